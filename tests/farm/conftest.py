"""A builder with members of a farm, each with a store of its own; and farms with a scheduler."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases, needs
from tests.farm import farms
from tests.program import Program

ROOT = Path(__file__).parents[2]


class FarmBuilder:
    """Builds in new processes, with a store and the stores of members below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"

    def member(self, name: str) -> Path:
        return self.root / "members" / name

    def build(self, context: Path, *members: str, store: Path | None = None, **options: Any) -> dict[str, Any]:
        """The outcome of a build with these members; without any, of one on this machine."""
        question = {"context": str(context), "platforms": ["linux/amd64"], **options}
        question["members"] = [str(self.member(name)) for name in members]
        done = subprocess.run(
            [sys.executable, "-m", "tests.farm.worker", store or self.store],
            cwd=ROOT,
            input=json.dumps(question),
            stdout=subprocess.PIPE,
            text=True,
            timeout=100,
        )
        assert done.stdout, "the builder's process died"
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def images(self, context: Path, *members: str, **options: Any) -> dict[str, str]:
        """The digests of the images of a build that must succeed, by platform."""
        outcome = self.build(context, *members, **options)
        assert "error" not in outcome, outcome["error"]
        return outcome["images"]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    needs.need("docker-registry")
    started = LocalRegistry(tmp_path_factory.mktemp("registry"))
    yield started
    started.stop()


@pytest.fixture
def farm(tmp_path: Path, busybox_store: Path) -> FarmBuilder:
    """A builder whose store has `busybox` for every platform of the tests; its members have nothing."""
    made = FarmBuilder(tmp_path / "farm")
    bases.copy_store(busybox_store, made.store)
    return made


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Path]:
    """Makes a context of files by path: their text."""

    def make(dockerfile: str, files: dict[str, str] | None = None) -> Path:
        directory = tmp_path / "context"
        directory.mkdir(exist_ok=True)
        for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    return make


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The command line with a store that all tests of a module share."""
    place = tmp_path_factory.mktemp("farm")
    (place / "home").mkdir()
    return Program(place / "store", place / "home")


@pytest.fixture(scope="module")
def shared_farm(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[farms.Farm]:
    """A scheduler that all tests of a module share."""
    with farms.farm(program, tmp_path_factory.mktemp("shared"), silence=4) as opened:
        yield opened


@pytest.fixture
def own_farm(program: Program, tmp_path: Path) -> Iterator[farms.Farm]:
    """A scheduler for one test, which may end it."""
    with farms.farm(program, tmp_path / "farm", silence=4) as opened:
        yield opened


@pytest.fixture(scope="module")
def builder(busybox_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The command line with a store that has busybox."""
    place = tmp_path_factory.mktemp("builder")
    (place / "home").mkdir()
    bases.copy_store(busybox_store, place / "store")
    return Program(place / "store", place / "home")


@pytest.fixture
def small(builder: Program, tmp_path: Path) -> Iterator[farms.Farm]:
    """A farm without members, which notices after three seconds that one is cut off."""
    with farms.farm(builder, tmp_path / "farm", silence=3) as opened:
        yield opened
