"""Why a process could not be started, from the reports of the runtime."""

from polyarch.errors import MachineError, PolyarchError, UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulation, runtime, search
from polyarch.sandbox.process import Process


class StartError(PolyarchError):
    """The process could not be started.

    `status` is docker's: 127 if it is not found, 126 if not executable, else 125.
    """

    def __init__(self, message: str, hint: str | None = None, *, status: int = 125) -> None:
        super().__init__(message, hint)
        self.status = status


class ForbiddenContainerError(StartError, MachineError):
    """The kernel, or the container in which this runs, forbids something that the runtime does for any process."""


class EmulatorVariableError(UnsupportedError):
    """The emulator would take `variable` of the process for an option of its own."""

    def __init__(self, variable: str, platform: Platform, reason: str) -> None:
        super().__init__(
            f"the emulator for {platform} would read the variable {variable} as its own option: {reason}",
            "rename the variable; a copy that ignores it needs Linux 6.7 or later, a static qemu from Debian or "
            "Ubuntu, and a store (--root) with free space that is not mounted noexec",
        )
        self.variable = variable


def raise_if_not_started(bundle: str, process: Process) -> None:
    """Raise StartError if the runtime failed before the process started."""
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
    # Without a reason, unshare has failed to mount /proc, and has written its message to stderr.
    hidden = not reason or ("proc" in low and "not permitted" in low)
    hint = "inside a container, /proc must not be masked: start it with --security-opt systempaths=unconfined"
    forbidden = hidden or ("operation not permitted" in low and "rlimit" not in low)
    kind = ForbiddenContainerError if forbidden else StartError
    raise kind(f"cannot start {first}{f': {reason}' if reason else ''}", hint if hidden else None)


def raise_if_foreign(rootfs: str, process: Process) -> None:
    """Raise StartError if the program is for an architecture that does not run here.

    The runtime reports that only by the status 1 and a message on stderr, which any program can produce.
    """
    first = process.argv[0] if process.argv else ""
    path = search.program(rootfs, first, process.cwd, process.environment)
    architecture = search.architecture(rootfs, path) if path else None
    if architecture is not None and not emulation.is_runnable(architecture):
        raise StartError(
            f"cannot run {first}: exec format error: the program is for {architecture}",
            "the image contains programs for another platform than the one it is run for",
            status=126,
        )
