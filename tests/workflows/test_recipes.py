"""The recipes of docs/guides/ci.md for one platform on each machine, from beginning to end, with a real registry.

docker's documentation has them as "Distribute build across multiple runners", in two forms: build-push, and bake.
"""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.local_registry import LocalRegistry
from tests.conftest import Login
from tests.container import page
from tests.container.scripting import perform_workflow, verify
from tests.needs import need
from tests.program import Program
from tests.workflows.machine import Machines, local

pytestmark = pytest.mark.integration
DISTRIBUTED = "Each platform on its own runner"
BAKED = "With bake on each runner"
MERGED = "Without a registry in between"


class Forge(NamedTuple):
    """A service with runners and a registry. `look` is logged in there; `requests` are those of the registry."""

    machines: Machines
    registry: LocalRegistry
    base: str
    login: Login
    look: Program

    def run(self, section: str, text: str = "") -> tuple[str, dict[str, list[dict[str, dict[str, str]]]]]:
        login = (self.login.user, self.login.password)
        return perform_workflow(self.machines, self.registry.address, self.base, login, section, text=text)

    def tags(self, repository: str) -> list[str]:
        name = repository.partition("/")[2]
        directory = self.registry.storage / "docker/registry/v2/repositories" / name / "_manifests/tags"
        return sorted(tag.name for tag in directory.iterdir()) if directory.exists() else []


@pytest.fixture
def forge(
    polyarch: Program,
    busybox: str,
    registry: LocalRegistry,
    password_registry: LocalRegistry,
    login: Login,
    tmp_path: Path,
) -> Forge:
    need("crun", "qemu-aarch64-static", "jq")
    address = password_registry.address
    polyarch("login", "-u", login.user, "--password-stdin", address, stdin=login.password)
    base = f"{registry.address}/busybox"
    polyarch("tag", busybox, base)
    polyarch("push", base)
    return Forge(local(polyarch, tmp_path / "machines"), password_registry, base, login, polyarch)


def attested(index: dict[str, object]) -> list[str]:
    """The digests that the attestations of an index are about."""
    entries: list[dict[str, dict[str, str]]] = index["manifests"]  # type: ignore[assignment]
    notes = [entry.get("annotations", {}) for entry in entries]
    return sorted(one["vnd.docker.reference.digest"] for one in notes if "vnd.docker.reference.digest" in one)


def images(index: dict[str, object]) -> list[str]:
    entries: list[dict[str, dict[str, str]]] = index["manifests"]  # type: ignore[assignment]
    return sorted(str(one["digest"]) for one in entries if one["platform"]["architecture"] != "unknown")


def test_digests_of_two_runners_are_joined_under_the_tags_with_provenance_and_annotations(forge: Forge) -> None:
    repository, outputs = forge.run(DISTRIBUTED)
    index = verify(forge.look, f"{repository}:1.2.3")
    assert forge.tags(repository) == ["1.2", "1.2.3", "latest"]
    assert attested(index) == images(index)
    assert len({build["build"]["digest"] for build in outputs["build"]}) == 2
    (joined,) = outputs["join"]
    notes = json.loads(joined["meta"]["json"])["annotations"]
    assert index["annotations"] == dict(note.removeprefix("index:").split("=", 1) for note in notes)
    labels = json.loads(outputs["build"][0]["meta"]["json"])["labels"]
    config = forge.look("buildx", "imagetools", "inspect", "--format", "{{json .Image}}", f"{repository}:latest").json()
    for platform in ("linux/amd64", "linux/arm64"):
        assert config[platform]["config"]["Labels"] == labels


def test_the_other_form_of_the_output_has_the_name_in_it(forge: Forge) -> None:
    text = page.workflows()[DISTRIBUTED].replace("          tags: ${{ env.IMAGE }}\n", "")
    text = text.replace("outputs: type=image,push", "outputs: type=image,name=${{ env.IMAGE }},push")
    assert text.count("name=${{ env.IMAGE }},push-by-digest") == 1
    assert "          tags: ${{ env.IMAGE }}" not in text
    repository, outputs = forge.run("the other form", text)
    verify(forge.look, f"{repository}:1.2.3")
    assert forge.tags(repository) == ["1.2", "1.2.3", "latest"]
    for build in outputs["build"]:
        metadata = json.loads(build["build"]["metadata"])
        assert metadata["containerimage.digest"] == build["build"]["digest"] == build["build"]["imageid"]


def test_bake_pushes_by_digest_what_is_joined_under_the_tags_of_the_metadata(forge: Forge) -> None:
    repository, outputs = forge.run(BAKED)
    index = verify(forge.look, f"{repository}:v1.2.3")
    assert forge.tags(repository) == ["latest", "v1.2.3"]
    assert attested(index) == images(index)
    assert len(outputs["build"]) == 2
    for build in outputs["build"]:
        assert json.loads(build["bake"]["metadata"])["image"]["containerimage.digest"].startswith("sha256:")


def test_bake_with_the_repository_instead_of_no_tag_is_the_same(forge: Forge) -> None:
    text = page.workflows()[BAKED].replace("*.tags=\n", "*.tags=${{ env.IMAGE }}\n")
    text = text.replace('type=image,"name=${{ env.IMAGE }}",push', "type=image,push")
    repository, _ = forge.run("bake with names", text)
    verify(forge.look, f"{repository}:v1.2.3")
    assert forge.tags(repository) == ["latest", "v1.2.3"]


@pytest.mark.parametrize("form", ["archives", "layouts"])
def test_files_of_two_runners_are_merged_and_only_the_result_is_pushed(forge: Forge, form: str) -> None:
    text = page.workflows()[MERGED]
    if form == "layouts":
        text = text.replace(".tar", "").replace("dest=$RUNNER_TEMP/", "tar=false,dest=$RUNNER_TEMP/image/")
        text = text.replace("path: ${{ runner.temp }}/${{ matrix.arch }}", "path: ${{ runner.temp }}/image")
    before = len(forge.registry.requests())
    repository, outputs = forge.run(f"merged {form}", text)
    index = verify(forge.look, f"{repository}:v1.2.3")
    assert forge.tags(repository) == ["latest", "v1.2.3"]
    assert attested(index) == images(index)
    assert len(outputs["build"]) == 2
    name = repository.partition("/")[2]
    writes = [line for line in forge.registry.requests()[before:] if line.startswith("PUT") and "/manifests/" in line]
    assert all(name in line for line in writes)
