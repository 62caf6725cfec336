"""Why a process could not be started, told from what the runtime reports."""

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulation, runtime, search
from polyarch.sandbox.process import Process


class StartError(PolyarchError):
    """The process could not be started. `status` is what docker gives then: 127 not found, 126 not runnable, 125."""

    def __init__(self, message: str, hint: str | None = None, *, status: int = 125) -> None:
        super().__init__(message, hint)
        self.status = status


class EmulatorVariableError(UnsupportedError):
    """`variable` of the process would be read by the emulator as an option of its own."""

    def __init__(self, variable: str, platform: Platform, reason: str) -> None:
        super().__init__(
            f"the emulator for {platform} would take {variable} for an option of its own: {reason}",
            "rename the variable; a copy needs Linux 6.7 or later, a static qemu of Debian or Ubuntu, and a store "
            "(--root) that has room and is not mounted noexec",
        )
        self.variable = variable


def raise_if_not_started(bundle: str, process: Process) -> None:
    """Raises StartError if the runtime failed before there was a process."""
    reason = runtime.failure(bundle)
    if reason is None:
        return
    first, low = process.argv[0] if process.argv else "", reason.lower()
    if "not found in $path" in low or ("no such file" in low and first in reason):
        raise StartError(f"cannot run {first}: not found in the image", reason, status=127)
    for known in ("too many levels of symbolic links", "not a directory"):
        if low.endswith(known) and ("open executable" in low or first in reason):
            raise StartError(f"cannot run {first}: {known}", reason, status=126)
    if "open executable" in low or ("permission denied" in low and first in reason):
        raise StartError(f"cannot run {first}: permission denied", reason, status=126)
    # An empty reason is a failure of unshare, which can only be the mount of /proc; its message went to stderr.
    hidden = not reason or ("proc" in low and "not permitted" in low)
    hint = "inside a container, /proc must be whole: start it with --security-opt systempaths=unconfined"
    raise StartError(f"cannot start {first}{f': {reason}' if reason else ''}", hint if hidden else None)


def raise_if_foreign(rootfs: str, process: Process) -> None:
    """Raises StartError if the program is one that this machine cannot run as things are.

    The runtime tells by the status 1 and a word on the process's stderr, which any program might have given.
    """
    first = process.argv[0] if process.argv else ""
    found = search.program(rootfs, first, process.cwd, process.environment)
    architecture = search.architecture(rootfs, found) if found else None
    if architecture is not None and not emulation.is_runnable(architecture):
        raise StartError(
            f"cannot run {first}: exec format error: it is a program for {architecture}",
            "the image holds programs of another platform than the one it was run for",
            status=126,
        )
