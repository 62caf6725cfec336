"""The walk-through of docs/guides/two-ways.md: docker's commands as people type them, with `polyarch` for `docker`.

`martindai/…` means a registry on loopback, by a mirror setting, so that no word of a command has to change.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests import trees
from tests.integration.conftest import Skopeo
from tests.program import Program, Result

_DOCKERFILE = 'FROM busybox\nARG TARGETARCH\nRUN uname -m > /robot && echo "$TARGETARCH" >> /robot\nCMD cat /robot\n'
_NAME = "martindai/wechat-robot"

Typed = Callable[[str], Result]


@pytest.fixture
def typed(
    polyarch: Program, busybox: str, registry: LocalRegistry, tmp_path: Path, context: Callable[[trees.Tree], Path]
) -> Typed:
    """Types a line of the walk-through in the directory of the Dockerfile: `typed("images")`."""
    settings = tmp_path / "registries.conf"
    settings.write_text(
        f'[[registry]]\nprefix = "docker.io/martindai"\nlocation = "{registry.address}/martindai"\ninsecure = true\n'
    )
    place = context({"Dockerfile": _DOCKERFILE})

    def line(words: str) -> Result:
        return polyarch(*words.split(), cwd=place, env={"CONTAINERS_REGISTRIES_CONF": str(settings)})

    return line


def _entries(index: Any) -> dict[str, str]:
    """Platform → digest, of an index."""
    return {
        f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
        for entry in index["manifests"]
    }


def test_the_first_way_one_build_for_both(typed: Typed, registry: LocalRegistry, skopeo: Skopeo) -> None:
    machine = typed("buildx inspect --bootstrap").stdout
    assert "linux/amd64" in machine
    assert "linux/arm64" in machine
    typed(f"buildx build --platform linux/amd64,linux/arm64 -t {_NAME}:1.0 --load .")
    listed = typed("images").stdout
    assert f"{_NAME}:1.0" in listed
    assert "linux/arm64" in listed
    pushed = typed(f"push {_NAME}:1.0").stdout
    shown = typed(f"manifest inspect {_NAME}:1.0").json()
    assert set(_entries(shown)) == {"linux/amd64", "linux/arm64"}
    assert skopeo.raw(f"docker://{registry.address}/{_NAME}:1.0") == shown
    assert "digest: sha256:" in pushed


@pytest.mark.parametrize(
    ("amd64", "arm64"),
    [(f"{_NAME}:1.1-amd64", f"{_NAME}:1.1-arm64"), (f"{_NAME}-amd64:1.1", f"{_NAME}-arm64:1.1")],
    ids=["architecture in the tag", "architecture in the name"],
)
def test_the_second_way_builds_each_on_its_own_and_ties_them_then(
    typed: Typed, registry: LocalRegistry, skopeo: Skopeo, amd64: str, arm64: str
) -> None:
    typed(f"buildx build --platform linux/amd64 -t {amd64} .")
    typed(f"buildx build --platform linux/arm64 -t {arm64} .")
    typed(f"push {amd64}")
    typed(f"push {arm64}")
    typed(f"manifest create {_NAME}:1.1 {amd64} {arm64} --amend")
    first = _entries(typed(f"manifest inspect {_NAME}:1.1").json())
    assert set(first) == {"linux/amd64", "linux/arm64"}

    # A new arm64 image is tied in by naming it, whether the list had it or not.
    typed(f"buildx build --platform linux/arm64 --label rebuilt=yes -t {_NAME}-arm64:1.1 .")
    typed(f"push {_NAME}-arm64:1.1")
    told = typed(f"manifest annotate --arch arm64 {_NAME}:1.1 {_NAME}-arm64:1.1")
    second = _entries(typed(f"manifest inspect {_NAME}:1.1").json())
    assert second["linux/amd64"] == first["linux/amd64"]
    assert second["linux/arm64"] != first["linux/arm64"]
    assert first["linux/arm64"] in told.stdout + told.stderr
    assert second["linux/arm64"] in told.stdout + told.stderr

    typed(f"manifest push {_NAME}:1.1")
    assert _entries(skopeo.raw(f"docker://{registry.address}/{_NAME}:1.1")) == second
    typed(f"manifest rm {_NAME}:1.1")
    assert f"{_NAME}:1.1\n" not in typed("manifest ls").stdout
    # What is gone here is still in the registry, and is made again from there.
    typed(f"manifest create {_NAME}:1.1 {amd64} {_NAME}-arm64:1.1")
    pushed = typed(f"manifest push {_NAME}:1.1")
    assert pushed.stdout.startswith("sha256:")


def test_everyone_gets_their_own(typed: Typed) -> None:
    typed(f"buildx build --platform linux/amd64,linux/arm64 -t {_NAME}:1.0 --push .")
    typed(f"pull --all-platforms {_NAME}:1.0")
    assert typed(f"run --rm --platform linux/arm64 {_NAME}:1.0").lines() == ["aarch64", "arm64"]
    assert typed(f"run --rm --platform linux/amd64 {_NAME}:1.0").lines() == ["x86_64", "amd64"]
