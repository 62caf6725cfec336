"""Running a small program from memory, with a limit on its time."""

import contextlib
import os
import select
import signal
from collections.abc import Sequence

import msgspec

from polyarch.sandbox import syscalls

# Programs of probes take some milliseconds. An emulator that hangs does not work.
_MILLISECONDS = 10_000
_MOST = 1 << 20


class Execution(msgspec.Struct, frozen=True):
    """How a program ended: its exit status, or minus the number of the signal; and what it wrote to standard output."""

    status: int
    output: bytes


def execute(program: bytes, emulator: Sequence[str] = ()) -> Execution | None:
    """Run a program without arguments and variables. None if the kernel cannot start it.

    It is run by `emulator`, a path and options; without one, the binfmt_misc of this process's namespace decides. After
    10 seconds, it is killed.
    """
    with contextlib.ExitStack() as files:
        # The output goes to a file, because nothing reads a pipe before the program ends.
        file, output = (syscalls.memory_file(name, content) for name, content in (("probe", program), ("output", b"")))
        for each in (file, output):
            files.callback(os.close, each)
        path = f"/proc/self/fd/{file}"
        streams = [(os.POSIX_SPAWN_OPEN, stream, "/dev/null", os.O_RDWR, 0) for stream in (0, 2)]
        try:
            command = [*emulator, path]
            child = os.posix_spawn(command[0], command, {}, file_actions=[*streams, (os.POSIX_SPAWN_DUP2, output, 1)])
        except OSError:
            return None
        end = os.pidfd_open(child)
        files.callback(os.close, end)
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(_MILLISECONDS):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return Execution(os.waitstatus_to_exitcode(status), os.pread(output, _MOST, 0))
