"""`test`: run an image's tests for every platform."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UsageError

if TYPE_CHECKING:
    from polyarch.imagetest import ImageTest

_COMMAND = "polyarch.test.command"


class _WithCommand(click.Command):
    """Keeps the words behind `--` apart: they are a command on this machine."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[at + 1 :])
            if not args[at + 1 :]:
                raise UsageError("a command is expected after --", "as in: polyarch test IMAGE --port 80 -- ./smoke.sh")
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command("test", cls=_WithCommand)
@click.argument("images", nargs=-1, metavar="[IMAGE...] [-- COMMAND...]", shell_complete=options.complete_image)
@options.platform(several=True, help="Test these platforms (default: all of the image)")
@click.option("--run", "inside", metavar="CMD", help="Run this shell command inside, instead of the image's own")
@click.option("-p", "--port", type=click.IntRange(1, 65535), metavar="N", help="The port on which the image listens")
@click.option("--http", metavar="PATH", help="Expect that a GET of this path is answered with 200")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Do the tests in FILE; repeatable")
@click.option("--timeout", metavar="DURATION", help="How long an image may take, as in 90s (default: 60s)")
@click.option(
    "--pull",
    type=click.Choice(["always", "missing", "never"]),
    default="missing",
    help="When to pull the image (default: missing)",
)
@click.option("--junit", metavar="FILE", help="Write the outcomes to FILE as JUnit's XML")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON")
@options.insecure
@pass_session
@click.pass_context
def test(
    context: click.Context,
    session: Session,
    images: tuple[str, ...],
    platform: tuple[str, ...],
    inside: str | None,
    port: int | None,
    http: str | None,
    files: tuple[str, ...],
    timeout: str | None,
    pull: str,
    junit: str | None,
    as_json: bool,
    insecure: bool,
) -> int:
    """Test an image for all of its platforms, side by side, native or emulated.

    Runs a command inside with --run. Otherwise starts the image, waits for its HEALTHCHECK or until it listens on
    --port, and runs COMMAND on this machine, with POLYARCH_TEST_URL, POLYARCH_TEST_HOST and POLYARCH_PLATFORM in its
    environment. The image has a network of its own. Exits with 1 if a test fails.
    """
    from polyarch.cli.test_flags import show_failure, suite_of
    from polyarch.imagetest.planning import TestPlanner
    from polyarch.render import tests as rendering

    command: tuple[str, ...] = context.meta.get(_COMMAND, ())
    tests = _tests(inside, port, http, command, files, timeout)
    if not images and not files:
        raise UsageError("an image is expected", "as in: polyarch test IMAGE --run 'app --version'")
    with suite_of(session, session.emulators()) as suite:
        registry = session.registry_for(images if insecure else ())
        with session.display("quiet" if as_json else None, verb="Pulling") as emit:
            planner = TestPlanner(
                session.store,
                registry,
                session.host(),
                images=images,
                wanted=session.platforms(platform),
                policy=pull,  # type: ignore[arg-type]
                emit=emit,
            )
            planned = planner.plan(tests)
        outcomes = suite.run(session.store, planned, partial(show_failure, session))
    if junit:
        _write(Path(junit), rendering.junit(outcomes))
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(rendering.documents(outcomes)), indent=2))
    else:
        click.echo(rendering.table(outcomes), nl=False)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _tests(
    inside: str | None,
    port: int | None,
    http: str | None,
    command: tuple[str, ...],
    files: Sequence[str],
    timeout: str | None,
) -> "tuple[ImageTest, ...]":
    """The tests that the words of the command describe. Raises UsageError for words that contradict each other."""
    from polyarch.dockerfile.instructions.healthcheck import duration
    from polyarch.imagetest import read_tests
    from polyarch.imagetest.values import DEFAULT_TIMEOUT, Expectation, HttpCheck, ImageTest

    if files:
        if inside or port or http or command or timeout:
            raise UsageError("--file says what is tested", "leave out --run, --port, --http, --timeout and the command")
        return read_tests(map(Path, files))
    if inside and (port or http or command):
        raise UsageError("--run is a command inside, instead of the image's own", "leave it out, or write a --file")
    if http and not http.startswith("/"):
        raise UsageError(f"the path {http!r} does not begin with /", "as in --http /health")
    try:
        seconds = (
            duration(timeout if timeout.endswith(tuple("smh")) else f"{timeout}s") / 1e9 if timeout else DEFAULT_TIMEOUT
        )
    except PolyarchError:
        seconds = 0
    if seconds <= 0:
        raise UsageError(f"--timeout {timeout!r} is not a time", "as in 90, 90s or 1m30s")
    name = inside or shlex.join(command) or (f"GET {http}" if http else "it starts")
    return (
        ImageTest(
            name=name,
            run=("/bin/sh", "-c", inside) if inside else (),
            start=None if inside else (),
            port=port or 0,
            command=command,
            expect=Expectation(http=(HttpCheck(path=http, status=200),) if http else ()),
            timeout=seconds,
        ),
    )


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise PolyarchError(f"cannot write {path}: {error.strerror}") from error
