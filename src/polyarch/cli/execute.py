"""One run of the program: parse, perform, say what went wrong, give the exit status.

0 done, 1 the work failed, 2 wrong usage, 130 interrupted; `run` gives the status of its process.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import click

from polyarch.errors import PolyarchError, UsageError

INTERRUPTED = 130


def execute(words: Sequence[str]) -> int:
    """Perform what `words` say; gives the exit status, having printed any error."""
    from polyarch.cli.commands.program import program

    # Both end the work the same way: as an exception on the main thread, so that every owner cleans up.
    signal.signal(signal.SIGTERM, _interrupt)
    debug = "--debug" in words or "-D" in words
    return _told(lambda: _perform(program, words, debug), debug)


def _perform(program: click.Command, words: Sequence[str], debug: bool) -> int:
    """Parse and perform. What goes wrong is told before the session ends, which may remove things for a while."""
    if _completed(words):
        return 0
    with program.make_context("polyarch", list(words)) as context:
        return _told(lambda: _invoke(program, context), debug, interruptible=False)


def _invoke(program: click.Command, context: click.Context) -> int:
    result = program.invoke(context)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _told(work: Callable[[], int], debug: bool, *, interruptible: bool = True) -> int:
    """The exit status of `work`, having printed any error. An interruption passes unless `interruptible`."""
    try:
        return work()
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        _silence_pipe()
        return 0
    except (KeyboardInterrupt, click.Abort):
        if not interruptible:
            raise
        print("polyarch: interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        print(help_wanted.format_message(), file=sys.stderr)
        return 2
    except click.ClickException as error:
        return _report(as_usage_error(error), debug)
    except PolyarchError as error:
        return _report(error, debug)
    except OSError as error:
        return _report(as_system_error(error), debug)
    except Exception as error:
        return _report_bug(error, debug)


def _completed(words: Sequence[str]) -> bool:
    """Whether a shell asked for completions, and has been answered."""
    instruction = os.environ.get("_POLYARCH_COMPLETE")
    if not instruction:
        return False
    from click.shell_completion import shell_complete

    from polyarch.cli.commands.program import program

    shell_complete(program, {}, "polyarch", "_POLYARCH_COMPLETE", instruction)
    return True


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _silence_pipe() -> None:
    # Python flushes standard output when it ends; into a closed pipe that would be a second, late error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Flags of docker's that Polyarch has no use for, because no daemon keeps a container.
_FOREGROUND = "there is no daemon to keep a container: it runs in the foreground and is removed when it ends"
_NETWORK = (
    "no port is published: a container uses this machine's network (--network=host), so its ports are open already"
)
_OF_DOCKER = {
    **{("polyarch run", flag): _FOREGROUND for flag in ("-d", "--detach", "--name", "--restart", "--cidfile")},
    **{("polyarch run", flag): _NETWORK for flag in ("-p", "-P", "--publish", "--publish-all", "--expose")},
    ("polyarch run", "--mount"): "mount a directory with -v SOURCE:/TARGET[:ro]",
}


def as_usage_error(error: click.ClickException) -> UsageError:
    """click's error in this program's form: what is wrong, and how the command is called."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "polyarch"
    advice = f"see '{path} --help'"
    if isinstance(error, click.NoSuchOption):
        message = f"unknown flag: {error.option_name}"
        close = list(error.possibilities or ())
        if foreign := _OF_DOCKER.get((path, error.option_name)):
            advice = foreign
        elif close:
            advice = f"did you mean {' or '.join(close)}? {advice[0].upper()}{advice[1:]}"
        return UsageError(message, advice)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name = error.param.make_metavar(context) if context is not None else error.param.name
        usage = context.get_usage() if context is not None else ""
        return UsageError(f"{path} needs {str(name).rstrip('.')}", usage.replace("Usage: ", "usage: ") or advice)
    return UsageError(_first_lower(error.format_message().rstrip(".")), advice)


def as_system_error(error: OSError) -> PolyarchError:
    """An error of the operating system that no room has put into words of its own."""
    import errno

    if error.filename is None and error.errno == errno.ENOENT and _is_directory_gone():
        return PolyarchError(
            "the working directory has been removed", "change to a directory that exists, for example with: cd ~"
        )
    reason = (error.strerror or str(error)).lower()
    if error.filename is None and _is_of_output(error):
        return PolyarchError(f"cannot write to standard output: {reason}")
    where = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: "make room: 'polyarch system df' shows what the store holds, 'polyarch system prune' frees it",
        errno.EDQUOT: "make room: 'polyarch system df' shows what the store holds, 'polyarch system prune' frees it",
        errno.EACCES: "another user owns it, or its mode forbids it; --root chooses another store",
        errno.EROFS: "the file system is read-only; --root or POLYARCH_ROOT chooses another place for the store",
        errno.EMFILE: "raise the limit on open files (ulimit -n)",
    }
    return PolyarchError(f"{where}{reason}", hints.get(error.errno or 0))


def _is_directory_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _is_of_output(error: OSError) -> bool:
    """Whether standard output could not be written, by `click.echo` or at the end."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name in (click.echo.__name__, _invoke.__name__)


def _report(error: PolyarchError, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    say = _writer()
    say(f"polyarch: error: {error.message}", "31")
    if error.hint:
        say(f"hint: {error.hint}", "36")
    return 2 if isinstance(error, UsageError) else 1


def _report_bug(error: Exception, debug: bool) -> int:
    import traceback

    if debug:
        traceback.print_exception(error, file=sys.stderr)
    say = _writer()
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.rpartition('/polyarch/')[2]}:{last.lineno}"
    say(f"polyarch: error: this is a bug in polyarch: {type(error).__name__}: {error} ({place})", "31")
    say("hint: run it again as 'polyarch --debug …' and report what it prints to Polyarch's developers", "36")
    return 1


def _writer() -> Callable[[str, str], None]:
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")

    def say(text: str, colour: str) -> None:
        head, colon, rest = text.partition(": ")
        if text.startswith("polyarch: error: "):
            head, colon, rest = "polyarch: error", ": ", text.removeprefix("polyarch: error: ")
        shown = f"\x1b[{colour}m{head}{colon}\x1b[0m{rest}" if colours else text
        # Where the terminal is gone or the log's disk is full, the exit status says the rest.
        with contextlib.suppress(OSError):
            print(shown, file=sys.stderr, flush=True)

    return say


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
