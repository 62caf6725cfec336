"""Commands on this machine, for a process that has entered a user namespace.

In the namespace the caller would look like root, and see the mounts of the sandbox. So a child process is forked
before, which stays outside and starts the commands. The commands end with it, and it ends with its parent.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NoReturn, Self

import msgspec

from polyarch.errors import PolyarchError

_LARGEST = 1 << 20
_NOT_STARTED = 127


class _HostCommand(msgspec.Struct, frozen=True):
    argv: tuple[str, ...]
    env: dict[str, str]


class HostCommands:
    """Starts commands outside. Owns the child process, until `close`. `run` may be called by several threads."""

    def __init__(self, directory: str) -> None:
        """`directory` is where the commands run. The calling process has a single thread."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = os.fork()
        if self._process == 0:
            ours.close()
            _serve(theirs, directory)
        theirs.close()
        self._socket = ours
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)

    def run(self, argv: Sequence[str], env: Mapping[str, str], output: int, timeout: float) -> int | None:
        """Run a command to its end and return its exit status (128 + n for signal n), or None if it takes longer.

        What it prints goes to the descriptor `output`. 127 is the status of a command that does not exist. The command
        and its children are killed after `timeout` seconds, and if an exception is raised here. What it leaves in the
        background is killed as well. A daemon is not: it has made a session of its own.
        """
        said = msgspec.msgpack.encode(_HostCommand(tuple(argv), dict(env)))
        if len(said) > _LARGEST // 2:
            raise PolyarchError(f"the command {argv[0]} has too many words")
        # The command is killed when the other end of this pipe is closed.
        answer, report = socket.socketpair()
        with answer:
            try:
                socket.send_fds(self._socket, [said], [output, report.fileno()])
            except OSError as error:
                raise PolyarchError(f"cannot run {argv[0]}: {error.strerror}") from error
            finally:
                report.close()
            answer.settimeout(timeout)
            try:
                raw = answer.recv(16)
            except TimeoutError:
                return None
            return int(raw or b"137")

    def close(self) -> None:
        """Kill what still runs, and wait for the end of the child process. Safe to call twice."""
        if self._process:
            self._socket.close()
            os.waitpid(self._process, 0)
            self._process = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve(commands: socket.socket, directory: str) -> NoReturn:
    """Start every command that is asked for, in the child process."""
    status = 1
    try:
        # Ctrl-C is for the parent, which closes its socket. A command does not inherit a handler.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        # The parent's files have locks.
        kept = commands.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        with contextlib.suppress(OSError):
            os.chdir(directory)
        stopped, stop = os.pipe()
        threads: list[threading.Thread] = []
        while True:
            said, files, _, _ = socket.recv_fds(commands, _LARGEST, 2)
            if not said:
                break
            for file in files:
                fcntl.fcntl(file, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            thread = threading.Thread(target=_perform, args=(said, files[0], files[1], stopped))
            thread.start()
            threads.append(thread)
        os.close(stop)
        for thread in threads:
            thread.join()
        status = 0
    finally:
        os._exit(status)


def _perform(said: bytes, output: int, report: int, stopped: int) -> None:
    """Run one command, and send its status. Kill it if the parent has given up."""
    command = msgspec.msgpack.decode(said, type=_HostCommand)
    try:
        started = subprocess.Popen(
            command.argv,
            env=command.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        os.write(output, f"{command.argv[0]}: {error.strerror}\n".encode())
        status = _NOT_STARTED
    else:
        status = _watched(started, report, stopped)
    finally:
        os.close(output)
    with contextlib.suppress(OSError):
        os.write(report, str(status).encode())
    os.close(report)


def _watched(started: "subprocess.Popen[bytes]", report: int, stopped: int) -> int:
    """The exit status of a command, which is killed if `report` or `stopped` hangs up."""
    end = os.pidfd_open(started.pid)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.register(report, select.POLLRDHUP)
    poll.register(stopped, select.POLLIN)
    poll.poll()
    os.close(end)
    # Its children have its session, and so its process group, whose number is taken until `wait`.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    status = started.wait()
    return 128 - status if status < 0 else status
