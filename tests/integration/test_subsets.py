"""Some platforms of an image are pushed, pulled, saved or removed: the index is kept, nothing is sent in part."""

import json
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests.integration.conftest import Skopeo
from tests.oci import schemas
from tests.program import Program

_ALL = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]


def _here(program: Program, name: str) -> list[str]:
    """The platforms of a name whose content is in the store."""
    listed = program("images", "--format", "json", name).json()
    return [entry["Platform"] for entry in listed["Platforms"] if entry["Available"]]


def _id(program: Program, name: str) -> str:
    return program("images", "-q", "--no-trunc", name).stdout.strip()


def _remote(skopeo: Skopeo, name: str) -> Any:
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}").stdout
    schemas.validate(raw.encode(), json.loads(raw)["mediaType"])
    return json.loads(raw)


@pytest.fixture
def name(polyarch: Program, busybox: str, registry: LocalRegistry) -> str:
    """A name in the registry, of an image of the store for four platforms. It is its only name."""
    given = f"{registry.address}/team/app:1"
    polyarch("tag", busybox, given)
    polyarch("rmi", busybox)
    return given


class TestPush:
    """The original index where the registry takes it, else one of just those; the message says which."""

    @pytest.mark.parametrize("command", [["push"], ["manifest", "push"]], ids=" ".join)
    def test_a_registry_that_wants_all_members_gets_an_index_of_those_that_were_sent(
        self, polyarch: Program, name: str, skopeo: Skopeo, command: list[str]
    ) -> None:
        pushed = polyarch(*command, "--platform", "linux/arm64", "--platform", "linux/s390x", name)
        assert "sent an index with only linux/arm64, linux/s390x" in pushed.stderr
        assert [entry["platform"]["architecture"] for entry in _remote(skopeo, name)["manifests"]] == ["arm64", "s390x"]
        assert _here(polyarch, name) == _ALL, "the image here is as it was"

    @pytest.mark.parametrize("command", [["push"], ["manifest", "push"]], ids=" ".join)
    def test_a_registry_that_takes_it_has_the_original_index(
        self, polyarch: Program, name: str, skopeo: Skopeo, command: list[str]
    ) -> None:
        polyarch("push", name)
        pushed = polyarch(*command, "--platform", "linux/arm64", name)
        assert "sent the complete index, but only its images for linux/arm64" in pushed.stderr
        assert _id(polyarch, name) in pushed.stdout
        assert len(_remote(skopeo, name)["manifests"]) == len(_ALL)

    def test_all_platforms_by_name_are_the_whole_image(self, polyarch: Program, name: str) -> None:
        pushed = polyarch("push", "--platform", ",".join(_ALL), name)
        assert "index" not in pushed.stderr
        assert _id(polyarch, name) in pushed.stdout

    def test_a_platform_that_there_is_not_is_an_error_that_lists_those_there_are(
        self, polyarch: Program, name: str, registry: LocalRegistry
    ) -> None:
        for command in (["push"], ["manifest", "push"], ["save", "-o", "/dev/null"], ["rmi"]):
            result = polyarch.fails(*command, "--platform", "linux/riscv64", name)
            assert "linux/riscv64" in result.stderr
            assert "linux/amd64, linux/arm64, linux/arm/v7, linux/s390x" in result.stderr
        assert not any(line.startswith(("PUT", "POST", "PATCH")) for line in registry.requests())


class TestPartial:
    """Content that is not in the store."""

    def test_a_pull_of_some_keeps_the_index_and_the_rest_can_follow(
        self, polyarch: Program, name: str, fresh: Program
    ) -> None:
        polyarch("push", name)
        fresh("pull", "--platform", "linux/arm64", "--platform", "linux/arm/v7", name)
        assert _here(fresh, name) == ["linux/arm64", "linux/arm/v7"]
        assert _id(fresh, name) == _id(polyarch, name)
        assert "not here" in fresh("images", name).stdout
        fresh("pull", "--platform", "linux/s390x", name)
        assert _here(fresh, name) == ["linux/arm64", "linux/arm/v7", "linux/s390x"]

    def test_what_is_missing_is_named_and_nothing_is_sent(
        self, polyarch: Program, name: str, registry: LocalRegistry, second_registry: LocalRegistry
    ) -> None:
        polyarch("rmi", "--platform", "linux/s390x", name)
        elsewhere = name.replace(registry.address, second_registry.address)
        polyarch("tag", name, elsewhere)
        for command in (["push", name], ["push", elsewhere], ["manifest", "push", name]):
            result = polyarch.fails(*command)
            assert "linux/s390x" in result.stderr
            assert "manifest sha256:" in result.stderr
            assert "--platform linux/amd64,linux/arm64,linux/arm/v7" in result.stderr
        for server in (registry, second_registry):
            assert not any(line.startswith(("PUT", "POST", "PATCH")) for line in server.requests())

    def test_the_other_platforms_go_when_they_are_asked_for(self, polyarch: Program, name: str, skopeo: Skopeo) -> None:
        polyarch("rmi", "--platform", "linux/s390x", name)
        polyarch("push", "--platform", "linux/amd64,linux/arm64", name)
        assert len(_remote(skopeo, name)["manifests"]) == 2
        result = polyarch.fails("push", "--platform", "linux/s390x", name)
        assert "linux/s390x: manifest sha256:" in result.stderr

    def test_a_layer_that_is_missing_is_named_with_its_platform(
        self, polyarch: Program, name: str, registry: LocalRegistry
    ) -> None:
        manifest = polyarch("manifest", "inspect", name, "linux/arm64").json()
        layer = manifest["layers"][0]["digest"]
        (polyarch.root / "oci/blobs/sha256" / layer.removeprefix("sha256:")).unlink()
        result = polyarch.fails("push", name)
        assert f"linux/arm64: blob {layer}" in result.stderr
        assert not any(line.startswith(("PUT", "POST", "PATCH")) for line in registry.requests())
        polyarch("push", "--platform", "linux/amd64", name)

    def test_removing_a_platform_gives_its_disk_back_and_says_what_went(self, polyarch: Program, name: str) -> None:
        digest = polyarch("manifest", "inspect", name).json()["manifests"][3]["digest"]
        gone = polyarch("rmi", "--platform", "linux/s390x", name).lines()
        assert gone[0] == f"Deleted: {digest}"
        assert len(gone) == 3, "a manifest, a config and a layer"
        assert _here(polyarch, name) == _ALL[:3]
        assert polyarch("rmi", "--platform", "linux/s390x", name).stdout == "", "there is nothing left to remove"
        assert polyarch("run", "--rm", "--platform", "linux/arm64", name, "uname", "-m").stdout == "aarch64\n"
        assert "not in the store" in polyarch.fails("run", "--platform", "linux/s390x", name).stderr

    def test_a_platform_that_another_name_needs_stays(self, polyarch: Program, name: str) -> None:
        polyarch("manifest", "create", "other", name)
        polyarch("manifest", "remove", "other", "linux/amd64")
        result = polyarch.fails("rmi", "--platform", "linux/s390x", name)
        assert "is also used by another name" in result.stderr
        assert _here(polyarch, name) == _ALL


def test_a_windows_image_goes_by_its_platform_whatever_its_version(polyarch: Program, name: str) -> None:
    polyarch("manifest", "annotate", "--os", "windows", "--os-version", "10.0.20348", name, "linux/s390x")
    polyarch(
        "manifest", "annotate", "--os", "windows", "--arch", "s390x", "--os-version", "10.0.1", name, "linux/arm/v7"
    )
    polyarch("rmi", "--platform", "windows(10.0.1)/s390x", name)
    entries = polyarch("images", "--format", "json", name).json()["Platforms"]
    assert [entry["Available"] for entry in entries] == [True, True, False, True]
    polyarch("rmi", "--platform", "windows/s390x", name)
    entries = polyarch("images", "--format", "json", name).json()["Platforms"]
    assert [entry["Available"] for entry in entries] == [True, True, False, False]
