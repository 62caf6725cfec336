"""Fixtures that build the cases, and their base images."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases
from tests.builds.cases import BASES, HERE, options_of, read, write_context
from tests.builds.images import Image
from tests.program import Program

ROOT = Path(__file__).parents[2]


class Worker:
    """A process that builds, with a store of its own: `worker.build(context, platforms=[…])`. Closed by its fixture."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: subprocess.Popen[str] | None = None

    def build(self, context: Path | str | None, **options: Any) -> dict[str, Any]:
        """The outcome of a build; options are the keywords of `polyarch.build`, as JSON has them."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.builds.worker", self.root],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"context": None if context is None else str(context), "platforms": ["linux/amd64"], **options}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the builder's process died"
        outcome: dict[str, Any] = json.loads(answer)
        return outcome

    def images(self, context: Path | str | None, **options: Any) -> dict[str, Image]:
        """The images of a build that must succeed, by platform."""
        outcome = self.build(context, **options)
        assert "error" not in outcome, outcome["error"]
        return {platform: self.image(digest) for platform, digest in outcome["images"].items()}

    def image(self, digest: str) -> Image:
        return Image(self.root / "oci", digest)

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(60)


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A builder whose store has the base images of the cases (`tests/builds/cases/bases.txt`)."""
    made = Worker(tmp_path_factory.mktemp("builds") / "store")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def busybox_worker(tmp_path_factory: pytest.TempPathFactory, busybox_store: Path) -> Iterator[Worker]:
    """A builder whose store has `busybox` for every platform of the tests."""
    root = tmp_path_factory.mktemp("runs") / "store"
    bases.copy_store(busybox_store, root)
    made = Worker(root)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def with_bases(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """The first with the images of `cases/bases.txt`."""
    return with_base_images(worker, tmp_path_factory)


@pytest.fixture(scope="session")
def busybox_with_bases(busybox_worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """The second with the images of `cases/bases.txt`."""
    return with_base_images(busybox_worker, tmp_path_factory)


def with_base_images(worker: Worker, factory: pytest.TempPathFactory) -> Worker:
    """The worker, with the images of `cases/bases.txt` in its store."""
    for case in read(HERE / f"{BASES}.txt"):
        worker.images(**options_of(case, factory.mktemp("base")), tags=[case.title])
    return worker


@pytest.fixture
def context(tmp_path: Path) -> Callable[[str, str], Path]:
    """A build context: `context("FROM scratch\\nCOPY a /", "a = text")`."""
    count = 0

    def make(dockerfile: str, files: str = "") -> Path:
        nonlocal count
        count += 1
        directory = write_context(tmp_path / f"context-{count}", files)
        (directory / "Dockerfile").write_text(dockerfile)
        return directory

    return make


@pytest.fixture
def base(polyarch: Program, busybox: str, registry: LocalRegistry) -> str:
    """The name of an image in the registry, for amd64 and others."""
    name = f"{registry.address}/base:1"
    polyarch("tag", busybox, name)
    polyarch("push", name)
    return name


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[], Program]:
    """Makes machines that start empty."""
    made: list[Program] = []

    def make() -> Program:
        home = tmp_path / f"machine-{len(made)}"
        home.mkdir()
        made.append(Program(home / "store", home))
        return made[-1]

    return make
