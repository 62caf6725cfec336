"""How errors are printed: the message, a hint, and the exit status."""

import contextlib
import errno
import os
import sys

import click

from polyarch.errors import PolyarchError, UsageError

# Flags of docker that Polyarch does not have, because no daemon keeps a container.
_FOREGROUND = "there is no daemon that keeps a container: it runs in the foreground and is removed when it ends"
_NETWORK = (
    "no port is published: a container uses this machine's network (--network=host), so its ports are open already"
)
_DOCKER_FLAGS = {
    **{("polyarch run", flag): _FOREGROUND for flag in ("-d", "--detach", "--name", "--restart", "--cidfile")},
    **{("polyarch run", flag): _NETWORK for flag in ("-p", "-P", "--publish", "--publish-all", "--expose")},
    ("polyarch run", "--mount"): "mount a directory with -v SOURCE:/TARGET[:ro]",
}

_FREE_SPACE = "free some space: 'polyarch system df' shows what the store holds, 'polyarch system prune' frees it"
_HINTS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EACCES: "another user owns it, or its mode forbids it; --root chooses another store",
    errno.EROFS: "the file system is read-only; --root or POLYARCH_ROOT chooses another place for the store",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


class ErrorPrinter:
    """Prints errors on standard error, with tracebacks if `debug`, in colour if `colour`."""

    def __init__(self, *, debug: bool, colour: bool) -> None:
        self._debug = debug
        self._colour = colour

    def report(self, error: click.ClickException | PolyarchError | OSError) -> int:
        """Print an error that the user can do something about. Returns the exit status."""
        if isinstance(error, click.ClickException):
            error = as_usage_error(error)
        elif isinstance(error, OSError):
            error = as_system_error(error)
        if self._debug:
            import traceback

            traceback.print_exception(error, file=sys.stderr)
        self._print("polyarch: error", error.message, "31")
        if error.hint:
            self._print("hint", error.hint, "36")
        return 2 if isinstance(error, UsageError) else 1

    def report_bug(self, error: Exception) -> int:
        """Print an error that is ours. Returns the exit status."""
        import traceback

        if self._debug:
            traceback.print_exception(error, file=sys.stderr)
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/polyarch/')[2]}:{last.lineno}"
        self._print("polyarch: error", f"this is a bug in polyarch: {type(error).__name__}: {error} ({where})", "31")
        self._print("hint", "run it again as 'polyarch --debug …' and send the output to Polyarch's developers", "36")
        return 1

    def _print(self, label: str, text: str, colour: str) -> None:
        shown = f"\x1b[{colour}m{label}: \x1b[0m{text}" if self._colour and sys.stderr.isatty() else f"{label}: {text}"
        # If the terminal is gone or the log's disk is full, the exit status still reports the failure.
        with contextlib.suppress(OSError):
            print(shown, file=sys.stderr, flush=True)


def as_usage_error(error: click.ClickException) -> UsageError:
    """click's error in this program's form: what is wrong, and how the command is called."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "polyarch"
    hint = f"see '{path} --help'"
    if isinstance(error, click.NoSuchOption):
        message = f"unknown flag: {error.option_name}"
        close = list(error.possibilities or ())
        if docker_hint := _DOCKER_FLAGS.get((path, error.option_name)):
            hint = docker_hint
        elif close:
            hint = f"did you mean {' or '.join(close)}? {hint[0].upper()}{hint[1:]}"
        return UsageError(message, hint)
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name = error.param.make_metavar(context) if context is not None else error.param.name
        usage = context.get_usage() if context is not None else ""
        return UsageError(f"{path} needs {str(name).rstrip('.')}", usage.replace("Usage: ", "usage: ") or hint)
    return UsageError(_first_lower(error.format_message().rstrip(".")), hint)


def as_system_error(error: OSError) -> PolyarchError:
    """An error of the operating system that no other code has handled."""
    if error.filename is None and error.errno == errno.ENOENT and _working_directory_is_gone():
        return PolyarchError(
            "the working directory has been removed", "change to a directory that exists, for example with: cd ~"
        )
    reason = (error.strerror or str(error)).lower()
    if error.filename is None and _is_output_error(error):
        return PolyarchError(f"cannot write to standard output: {reason}")
    where = f"{error.filename}: " if error.filename else ""
    return PolyarchError(f"{where}{reason}", _HINTS.get(error.errno or 0))


def _working_directory_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _is_output_error(error: OSError) -> bool:
    """Whether writing to standard output failed: in `click.echo`, or in the flush of `execute._invoke`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_name in (click.echo.__name__, "_invoke")


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
