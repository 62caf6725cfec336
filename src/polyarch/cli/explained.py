"""Errors of click and of the operating system in this program's words, and hints that many errors share."""

import errno
import os

import click

from polyarch.errors import MachineError, PolyarchError, UsageError

# Flags of other programs that Polyarch does not have.
_FOREGROUND = "there is no daemon that keeps a container: it runs in the foreground and is removed when it ends"
_NETWORK = (
    "no port is published: a container uses this machine's network (--network=host), so its ports are open already"
)
_DOCKER_FLAGS = {
    **{("run", flag): _FOREGROUND for flag in ("-d", "--detach", "--name", "--restart", "--cidfile")},
    **{("run", flag): _NETWORK for flag in ("-p", "-P", "--publish", "--publish-all", "--expose")},
    ("run", "--mount"): "mount a directory with -v SOURCE:/TARGET[:ro]",
    # Those of buildah and podman.
    ("build", "--format"): "layers and configs have OCI's types; '-o type=image,oci-mediatypes=false' gives docker's",
    ("build", "--jobs"): "steps and platforms are done side by side as it is",
    ("build", "--layers"): "each step is a layer and is cached as it is; --no-cache does all steps again",
    ("build", "--manifest"): "-t names the index of all platforms",
    ("build", "--all-platforms"): "name them: --platform linux/amd64,linux/arm64",
}
# How alike a flag and a suggestion are at least, from 0 to 1: click suggests --port for --format.
_ALIKE = 0.65

# For errors of the machine.
DOCTOR = "'polyarch doctor' shows what this machine can do, and what to do about the rest"
_FREE_SPACE = "free some space: 'polyarch system df' shows what the store holds, 'polyarch system prune' frees it"
_HINTS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EACCES: "another user owns it, or its mode forbids it; --root chooses another store",
    errno.EROFS: "the file system is read-only; --root or POLYARCH_ROOT chooses another place for the store",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


def concerns_machine(error: BaseException | None) -> bool:
    """Whether a MachineError is the error, or its cause: a build of several platforms sums up what failed."""
    while error is not None and not isinstance(error, MachineError):
        error = error.__cause__
    return error is not None


def as_usage_error(error: click.ClickException) -> UsageError:
    """click's error in this program's form: what is wrong, and how the command is called."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "polyarch"
    hint = f"see '{path} --help'"
    if isinstance(error, click.NoSuchOption):
        message = f"unknown flag: {error.option_name}"
        close = [one for one in error.possibilities or () if _alike(one, error.option_name) >= _ALIKE]
        if docker_hint := _DOCKER_FLAGS.get((path.partition(" ")[2], error.option_name)):
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
    if (
        error.filename
        and error.errno == errno.ENOENT
        and not os.path.isdir(above := os.path.dirname(error.filename) or ".")
    ):
        return PolyarchError(f"{error.filename}: there is no directory {above}", "create it, or name another file")
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


def _alike(flag: str, other: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, flag.lstrip("-"), other.lstrip("-")).ratio()


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
