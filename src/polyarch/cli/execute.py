"""One run of the program: parse the arguments, run the command, report errors, return the exit status.

0 success, 1 failure, 2 wrong usage, 130 interrupted; `run` returns the status of its process.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import click

from polyarch.cli.errors import ErrorPrinter
from polyarch.client import environment
from polyarch.errors import PolyarchError

INTERRUPTED = 130


def execute(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name, and print any error. Returns the exit status."""
    # Both signals end the work in the same way: an exception on the main thread, so that every owner cleans up.
    signal.signal(signal.SIGTERM, _interrupt)
    variables = environment.variables()
    debug = "--debug" in arguments or "-D" in arguments
    errors = ErrorPrinter(debug=debug, colour=environment.terminal(variables).colour)
    return _status(lambda: _run(arguments, variables, errors), errors)


def _run(arguments: Sequence[str], variables: Mapping[str, str], errors: ErrorPrinter) -> int:
    """Parse and run. Errors are reported before the session closes, which may remove files for a while."""
    from polyarch.cli.commands.program import program

    if instruction := variables.get("_POLYARCH_COMPLETE"):
        from click.shell_completion import shell_complete

        shell_complete(program, {"obj": variables}, "polyarch", "_POLYARCH_COMPLETE", instruction)
        return 0
    with program.make_context("polyarch", list(arguments), obj=variables) as context:
        return _status(lambda: _invoke(program, context), errors, interruptible=False)


def _invoke(program: click.Command, context: click.Context) -> int:
    result = program.invoke(context)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _status(work: Callable[[], int], errors: ErrorPrinter, *, interruptible: bool = True) -> int:
    """The exit status of `work`, after printing any error. Unless `interruptible`, an interruption is raised."""
    try:
        return work()
    except click.exceptions.Exit as exited:
        return exited.exit_code
    except BrokenPipeError:
        _silence_pipe()
        return 0
    except (KeyboardInterrupt, click.Abort):
        if not interruptible:
            raise
        print("polyarch: interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as help_needed:
        print(help_needed.format_message(), file=sys.stderr)
        return 2
    except (click.ClickException, PolyarchError, OSError) as error:
        return errors.report(error)
    except Exception as error:
        return errors.report_bug(error)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _silence_pipe() -> None:
    # Python flushes standard output at exit; into a closed pipe that would be a second, late error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
