"""Fixtures for tests of whole commands against real parts, and skopeo as a second reader of the results."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests import trees
from tests.needs import need
from tests.oci.examples import AMD64, ARM64, image
from tests.program import Program, Result, run

_HERE = Path(__file__).parent


class Skopeo:
    """Reads images as another tool does. A place is a name as skopeo has it: `docker://…`, `oci:DIR:NAME`, …"""

    def __call__(self, *arguments: str | Path, check: bool = True) -> Result:
        return run(["skopeo", *arguments], check=check)

    def raw(self, place: str) -> Any:
        """The manifest or index that a place names."""
        return self("inspect", *_plain(place), "--raw", place).json()

    def inspect(self, place: str, platform: str) -> Any:
        """skopeo's view of a platform's entry; it fetches the config."""
        return self(*_choice(platform), "inspect", *_plain(place), place).json()

    def config(self, place: str, platform: str) -> Any:
        """The image config of a platform."""
        return self(*_choice(platform), "inspect", *_plain(place), "--config", place).json()

    def unpack(self, place: str, platform: str, directory: Path) -> Path:
        """Read every layer of a platform's image, checking all digests, into an OCI layout; the layout is returned."""
        options = ["--src-tls-verify=false"] if place.startswith("docker:") else []
        self(*_choice(platform), "copy", "--quiet", *options, place, f"oci:{directory}:copy")
        return directory


def _choice(platform: str) -> list[str]:
    system, architecture, *variant = platform.split("/")
    return [
        f"--override-os={system}",
        f"--override-arch={architecture}",
        *(f"--override-variant={part}" for part in variant),
    ]


def _plain(place: str) -> list[str]:
    return ["--tls-verify=false"] if place.startswith("docker:") else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def skopeo() -> Skopeo:
    """Another tool's reading: `skopeo.config(f"docker://{name}", "linux/arm64")["architecture"]`."""
    need("skopeo")
    return Skopeo()


@pytest.fixture
def context(tmp_path: Path) -> Callable[[trees.Tree], Path]:
    """A build context from a literal: `context({"Dockerfile": "FROM busybox", "run.sh": "#!/bin/sh"})`."""
    count = 0

    def make(tree: trees.Tree) -> Path:
        nonlocal count
        count += 1
        return trees.write(tmp_path / f"context-{count}", tree)

    return make


@pytest.fixture
def fresh(polyarch: Program, tmp_path: Path) -> Program:
    """The same user on another, empty store: another machine."""
    return polyarch.on(tmp_path / "fresh")


@pytest.fixture
def store(polyarch: Program) -> Iterator[Store]:
    """The store of `polyarch`, to put small images into."""
    with Store.open(polyarch.root) as opened:
        yield opened


@pytest.fixture
def app(store: Store, registry: LocalRegistry) -> str:
    """A name in the registry; `NAME-amd64` and `NAME-arm64` are images of the store, never pushed."""
    name = f"{registry.address}/team/app:1"
    image(store, AMD64, name=f"{name}-amd64")
    image(store, ARM64, name=f"{name}-arm64")
    return name
