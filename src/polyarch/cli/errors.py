"""How errors are printed: the message, a hint, and the exit status."""

import contextlib
import sys

import click

from polyarch.errors import PolyarchError, UsageError


class ErrorPrinter:
    """Prints errors on standard error, with tracebacks if `debug`, in colour if `colour`."""

    def __init__(self, *, debug: bool, colour: bool) -> None:
        self._debug = debug
        self._colour = colour

    def report(self, error: click.ClickException | PolyarchError | OSError) -> int:
        """Print an error that the user can do something about. Returns the exit status."""
        # Imported only where there is an error: every start imports this file.
        from polyarch.cli import explained

        if isinstance(error, click.ClickException):
            error = explained.as_usage_error(error)
        elif isinstance(error, OSError):
            error = explained.as_system_error(error)
        if self._debug:
            import traceback

            traceback.print_exception(error, file=sys.stderr)
        self.show(error, explained.DOCTOR if explained.concerns_machine(error) else "")
        return 2 if isinstance(error, UsageError) else 1

    def show(self, error: PolyarchError, *hints: str) -> None:
        """Print the message of an error, its hint, and other hints."""
        self._print("polyarch: error", error.message, "31")
        for hint in filter(None, (error.hint, *hints)):
            self._print("hint", hint, "36")

    def show_help(self, needed: click.exceptions.NoArgsIsHelpError) -> int:
        """Print the help of a group without a command. Returns the exit status."""
        print(needed.format_message(), file=sys.stderr)
        return 2

    def show_interruption(self) -> None:
        """Say that the user ended the command."""
        print("polyarch: interrupted", file=sys.stderr)

    def report_bug(self, error: Exception) -> int:
        """Print an error that is ours. Returns the exit status."""
        import traceback

        if self._debug:
            traceback.print_exception(error, file=sys.stderr)
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/polyarch/')[2]}:{last.lineno}"
        hint = "run it again as 'polyarch --debug …' and send the output to Polyarch's developers"
        self.show(PolyarchError(f"this is a bug in polyarch: {type(error).__name__}: {error} ({where})", hint))
        return 1

    def _print(self, label: str, text: str, colour: str) -> None:
        shown = f"\x1b[{colour}m{label}: \x1b[0m{text}" if self._colour and sys.stderr.isatty() else f"{label}: {text}"
        # If the terminal is gone or the log's disk is full, the exit status still reports the failure.
        with contextlib.suppress(OSError):
            print(shown, file=sys.stderr, flush=True)
