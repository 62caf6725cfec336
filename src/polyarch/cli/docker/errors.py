"""Errors in docker's form. What clients show to their users is the last line: `ERROR: ` and the cause."""

import contextlib
import io
import sys
from types import TracebackType
from typing import Self

import click

from polyarch.cli.errors import ErrorPrinter
from polyarch.errors import NoImageError, PolyarchError

# The status of `docker run` if the container was not started: a smaller one could be that of its process.
_RUN_FAILED = 125


class DockerErrors(ErrorPrinter):
    """Prints hints first and the cause last, in one line."""

    def report(self, error: click.ClickException | PolyarchError | OSError) -> int:
        super().report(error)
        context = click.get_current_context(silent=True)
        return _RUN_FAILED if context is not None and context.invoked_subcommand == "run" else 1

    def show(self, error: PolyarchError, *hints: str) -> None:
        with contextlib.suppress(OSError):
            print(report(error, *hints), file=sys.stderr, flush=True)

    def show_help(self, needed: click.exceptions.NoArgsIsHelpError) -> int:
        # Clients take another exit status as the answer that docker has no such group.
        click.echo(needed.format_message())
        return 0

    def show_interruption(self) -> None:
        print("ERROR: interrupted", file=sys.stderr)


def report(error: PolyarchError, *hints: str) -> str:
    """The lines for an error: its hints, all of a longer message, and last of all its cause."""
    cause, *more = error.message.splitlines() or [""]
    if error.hint and cause.startswith("unknown flag: ") and "daemon" in error.hint:
        # The reason is all that there is to say, and clients show the last line only.
        return f"ERROR: {cause}: {error.hint}"
    lines = [f"hint: {hint}" for hint in (error.hint, *hints) if hint]
    if more:
        lines += [cause, *more]
    if isinstance(error, NoImageError):
        # The words of docker's engine, which clients look for.
        return "\n".join([*lines, f"Error response from daemon: No such image: {error.name}"])
    return "\n".join([*lines, f"ERROR: {cause}"])


class NoticingStream:
    """Standard error while a command runs. `written` says whether anything was written to it."""

    def __init__(self) -> None:
        self.stream: io.TextIOWrapper | _Noticing = sys.stderr  # type: ignore[assignment]

    def __enter__(self) -> Self:
        buffer = getattr(sys.stderr, "buffer", None)
        if buffer is not None:
            self.stream = _Noticing(
                buffer, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
            )
            sys.stderr = self.stream
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()

    @property
    def written(self) -> bool:
        return getattr(self.stream, "written", True)


class _Noticing(io.TextIOWrapper):
    """A text stream that remembers whether anything was written."""

    written = False

    def write(self, text: str) -> int:
        self.written = self.written or bool(text.strip())
        return super().write(text)
