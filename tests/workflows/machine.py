"""Machines that run the steps of a workflow. Each job has one of its own, with an empty store."""

import contextlib
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tests.program import Program, Result, run


class Machine(Protocol):
    """A runner of a CI service.

    `directory` is empty, and is at the same path for the machine and for the test.
    """

    directory: Path

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], path: Sequence[str] = (), stdin: str = ""
    ) -> Result:
        """Run a command to its end, with directories that stand first on PATH."""

    def give(self, place: Path) -> None:
        """Let the user of the machine write a file or a tree."""


# Makes a machine that ends with the context.
Machines = Callable[[], contextlib.AbstractContextManager[Machine]]


class LocalMachine:
    """This machine, with a store, a home and a directory below `directory`. `program` says who the user is."""

    def __init__(self, program: Program, directory: Path, give: Callable[[Path], object] = lambda _: None) -> None:
        self.directory = directory / "runner"
        home = directory / "home"
        for made in (self.directory, home):
            made.mkdir(parents=True)
        give(directory)
        self._give = give
        self._program = Program(directory / "store", home, program.prefix)

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], path: Sequence[str] = (), stdin: str = ""
    ) -> Result:
        program = self._program
        search = ":".join((*path, str(program.path.parent), program.env["PATH"]))
        variables = {**program.env, **env, "PATH": search}
        return run([*program.prefix, *words], check=False, cwd=cwd, env=variables, stdin=stdin)

    def give(self, place: Path) -> None:
        self._give(place)


def local(program: Program, directory: Path, give: Callable[[Path], object] = lambda _: None) -> Machines:
    """Machines with stores of their own below a directory."""
    count = 0

    @contextlib.contextmanager
    def one() -> Generator[Machine]:
        nonlocal count
        count += 1
        yield LocalMachine(program, directory / f"machine-{count}", give)

    return one


def with_path(words: Sequence[str], path: Sequence[str]) -> list[str]:
    """A command for a machine whose PATH is known there alone: it runs another one, with directories first on PATH."""
    first = "".join(f"{shlex.quote(one)}:" for one in path)
    return ["bash", "-c", f'PATH={first}"$PATH" exec "$@"', "bash", *words]
