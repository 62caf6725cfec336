"""One run of the program: parse the arguments, run the command, report errors, return the exit status.

0 success, 1 failure, 2 wrong usage, 130 interrupted; `run` returns the status of its process.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import click

from polyarch.cli.errors import ErrorPrinter
from polyarch.client import environment
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from polyarch.cli.personality import Personality

INTERRUPTED = 130


def execute(arguments: Sequence[str], personality: "Personality | None" = None) -> int:
    """Run the command that `arguments` name, and print any error. Returns the exit status.

    A `personality` has other commands and another style of errors than Polyarch has under its own name.
    """
    # Both signals end the work in the same way: an exception on the main thread, so that every owner cleans up.
    signal.signal(signal.SIGTERM, _interrupt)
    variables = environment.variables()
    debug = "--debug" in arguments or "-D" in arguments
    printer = personality.printer if personality else ErrorPrinter
    errors = printer(debug=debug, colour=environment.terminal(variables).colour)
    return _status(lambda: _run(arguments, variables, errors, personality), errors)


def _run(
    arguments: Sequence[str],
    variables: Mapping[str, str],
    errors: ErrorPrinter,
    personality: "Personality | None" = None,
) -> int:
    """Parse and run. Errors are reported before the session closes, which may remove files for a while."""
    if personality:
        program, name = personality.program, personality.name
    else:
        from polyarch.cli.commands.program import program

        name = "polyarch"
    if instruction := variables.get("_POLYARCH_COMPLETE"):
        from polyarch.cli.completion import answer

        click.echo(answer(instruction, program, variables))
        return 0
    with program.make_context(name, list(arguments), obj=variables) as context:
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
        errors.show_interruption()
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as help_needed:
        return errors.show_help(help_needed)
    except (click.ClickException, PolyarchError, OSError) as error:
        return errors.report(error)
    except Exception as error:
        return errors.report_bug(error)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _silence_pipe() -> None:
    # Python flushes standard output at exit; into a closed pipe that would be a second, late error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
