"""`merge`: several machines build one platform each, and one of them combines the results without a registry."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases
from tests.integration.conftest import Skopeo
from tests.oci import schemas
from tests.people import Person
from tests.program import Program

Built = Callable[..., Path]

_DOCKERFILE = "FROM busybox\nARG TARGETARCH\nRUN echo built for $TARGETARCH on $(uname -m) > /made\nCMD cat /made\n"


@pytest.fixture
def built(polyarch: Program, busybox_store: Path, tmp_path: Path) -> Built:
    """Build one platform on a machine of its own: `built("linux/arm64", "arm64.tar")` gives the result's path."""

    def build(platform: str, file: str, *options: str, dockerfile: str = _DOCKERFILE) -> Path:
        machine = polyarch.on(tmp_path / f"machine-{file}")
        bases.copy_store(busybox_store, machine.root)
        output = f"type=oci,dest={tmp_path / file}" + ("" if "." in file else ",tar=false")
        machine("build", "--platform", platform, "-t", "app:1", "-o", output, *options, "-", stdin=dockerfile)
        return tmp_path / file

    return build


def test_archives_and_layouts_of_several_machines_become_one_image_that_runs_and_is_pushed(
    polyarch: Program, built: Built, registry: LocalRegistry, skopeo: Skopeo
) -> None:
    name = f"{registry.address}/app:1"
    sources = [built("linux/amd64", "amd64.tar"), built("linux/arm64", "arm64.tar"), built("linux/s390x", "layout")]
    merged = polyarch("merge", *sources, "-t", name, "-t", "app:latest")
    assert "linux/amd64, linux/arm64, linux/s390x: sha256:" in merged.stdout
    assert "differs" not in merged.stderr
    for platform, said in {"linux/arm64": "arm64 on aarch64", "linux/s390x": "s390x on s390x"}.items():
        assert polyarch("run", "--rm", "--platform", platform, name).stdout == f"built for {said}\n"
    assert polyarch("images", "-q", name).stdout == polyarch("images", "-q", "app").stdout
    polyarch("push", name)
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}").stdout
    schemas.validate(raw.encode(), json.loads(raw)["mediaType"])
    assert skopeo.config(f"docker://{name}", "linux/s390x")["architecture"] == "s390x"


def test_what_ought_to_be_the_same_and_is_not_is_reported(polyarch: Program, built: Built) -> None:
    one = built("linux/amd64", "amd64.tar", "--label", "version=1.0")
    other = _DOCKERFILE + "ENV DEBUG=1\nENTRYPOINT ['/bin/sh']\nCOPY <<E /more\nE\n"
    two = built("linux/arm64", "arm64.tar", "--label", "version=1.1", dockerfile=other.replace("'", '"'))
    told = polyarch("merge", one, two, "-t", "app:1").stderr
    for field in ("label version", "env DEBUG", "entrypoint", "layers"):
        assert f"{field} differs between platforms" in told
    assert "linux/amd64   1.0" in told
    assert "linux/arm64   1.1" in told


def test_two_results_for_one_platform_are_refused_by_their_files_and_no_name_changes(
    polyarch: Program, built: Built
) -> None:
    first = built("linux/amd64", "first.tar", dockerfile="FROM busybox\n")
    second = built("linux/amd64", "second.tar", dockerfile="FROM busybox\nLABEL other=yes\n")
    arm64 = built("linux/arm64", "arm64.tar", dockerfile="FROM busybox\n")
    polyarch("merge", first, arm64, "-t", "app:1")
    before = (polyarch.root / "oci/index.json").read_bytes()
    refused = polyarch.fails("merge", first, second, arm64, "-t", "app:1", "-t", "app:2")
    assert f"{first}: sha256:" in refused.stderr
    assert f"{second}: sha256:" in refused.stderr
    assert (polyarch.root / "oci/index.json").read_bytes() == before
    polyarch("merge", "--allow-duplicates", first, second, arm64, "-t", "app:2")
    assert len(polyarch("manifest", "inspect", "app:2").json()["manifests"]) == 3
    polyarch("merge", first, first, "-t", "app:3")
    assert len(polyarch("manifest", "inspect", "app:3").json()["manifests"]) == 1, "the same twice is once"


def test_what_cannot_be_merged_is_named_and_no_name_changes(
    polyarch: Program, built: Built, fresh: Program, tmp_path: Path
) -> None:
    whole = built("linux/amd64", "whole.tar", dockerfile="FROM busybox\n")
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:300_000])
    (tmp_path / "text.tar").write_text("not an archive\n" * 100)
    (tmp_path / "directory").mkdir()
    spoilt = bytearray(whole.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    (tmp_path / "spoilt.tar").write_bytes(spoilt)
    polyarch("merge", whole, "-t", "app:1")
    before = (polyarch.root / "oci/index.json").read_bytes()
    for file, reason in {
        "cut.tar": "ends in the middle of",
        "text.tar": "not a tar archive",
        "directory": "not an OCI image layout",
        "absent.tar": "No such file",
    }.items():
        result = polyarch.fails("merge", whole, tmp_path / file, "-t", "app:1")
        assert reason in result.stderr
        assert file in result.stderr
    assert polyarch.fails("merge", whole).status == 2
    assert (polyarch.root / "oci/index.json").read_bytes() == before
    # Where the store has the blob already, the spoilt one is not even read.
    assert "sha256:" in fresh.fails("merge", tmp_path / "spoilt.tar", "-t", "app:1").stderr
    assert fresh("images", "-q").stdout == ""


def test_a_user_without_root_merges_compressed_archives(
    unprivileged: Person, busybox_store: Path, tmp_path: Path
) -> None:
    user = unprivileged.polyarch
    bases.copy_store(busybox_store, user.root)
    unprivileged.give(user.root)
    for platform in ("amd64", "arm64"):
        user("save", "--platform", f"linux/{platform}", "-o", user.home / f"{platform}.tar.zst", "busybox")
    other = user.on(user.home / "other")
    other("merge", user.home / "amd64.tar.zst", user.home / "arm64.tar.zst", "-t", "app")
    assert other("run", "--rm", "--platform", "linux/arm64", "app", "uname", "-m").stdout == "aarch64\n"
