"""The options of `build` that test the images before they are named or pushed."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from polyarch.cli.session import Session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest
    from polyarch.builder.judge import Judge
    from polyarch.imagetest import ImageTest, TestOutcome
    from polyarch.imagetest.suite import Suite
    from polyarch.progress import Emit

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--test", "tests", multiple=True, metavar="CMD", help="Name and push only if CMD succeeds inside"),
    click.option(
        "--test-host", "test_hosts", multiple=True, metavar="CMD", help="The same for CMD on this machine; see --port"
    ),
    click.option("--test-file", "test_files", multiple=True, metavar="FILE", help="The same for the tests in FILE"),
    click.option(
        "--port", "test_port", type=click.IntRange(1, 65535), metavar="N", help="The port that --test-host waits for"
    ),
    click.option("--push-passed", is_flag=True, help="Name and push the platforms whose tests pass; exit with 1"),
)


def test_options(function: F) -> F:
    """The options of `build` about tests."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@contextlib.contextmanager
def tested(
    session: Session, request: "BuildRequest", words: Mapping[str, Any]
) -> "Iterator[Callable[[Emit], Judge] | None]":
    """Yield what makes the judge of a build; None if the options ask for no tests.

    It is entered before the process has other threads. Raises UsageError, TestFileError, UnsupportedError.
    """
    if not (words["tests"] or words["test_hosts"] or words["test_files"]):
        if words["push_passed"] or words["test_port"]:
            raise UsageError("--push-passed and --port belong to tests", "give --test, --test-host or --test-file")
        yield None
        return
    from polyarch.imagetest.judging import judge

    planned = _tests(words)
    name = request.export.names[0].tagged().familiar() if request.export.names else "the image"
    with suite_of(session, request.host.emulators) as suite:
        suite.enter()
        yield lambda emit: judge(
            suite, session.store, planned, name, lambda outcome: show_failure(session, outcome), emit
        )


def suite_of(session: Session, emulators: Iterable[tuple[str, str]]) -> "Suite":
    """The suite whose commands on this machine run in the current directory, with the variables of this process."""
    from polyarch.imagetest.suite import Suite

    return Suite(
        directory=os.getcwd(),
        environment=session.environment.variables,
        search_path=session.environment.search_path,
        clock=time.monotonic,
        emulators=emulators,
    )


def _tests(words: Mapping[str, Any]) -> "list[ImageTest]":
    from polyarch.imagetest import read_tests
    from polyarch.imagetest.values import ImageTest

    found = [ImageTest(name=command, run=("/bin/sh", "-c", command)) for command in words["tests"]]
    found += [
        ImageTest(name=command, command=("/bin/sh", "-c", command), start=(), port=words["test_port"] or 0)
        for command in words["test_hosts"]
    ]
    return [*found, *read_tests(map(Path, words["test_files"]))]


def show_failure(session: Session, outcome: "TestOutcome") -> None:
    """Print what failed."""
    from polyarch.render import tests as rendering

    if shown := rendering.details(outcome):
        session.note(shown.rstrip("\n"))
