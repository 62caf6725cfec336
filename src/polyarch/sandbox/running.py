"""A process that runs in a sandbox: waiting for it, signals, and how much memory it used."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from polyarch.sandbox import runtime, signals
from polyarch.sandbox.output import Reader
from polyarch.sandbox.watch import Watch

if TYPE_CHECKING:
    import subprocess

GRACE_SECONDS = 10.0


class RunningProcess:
    """A started process. `Sandbox.start` owns it, and kills it when its block ends.

    `wait` and `stop` are called by one thread at a time; other methods by any thread, and `send` by a signal handler.
    """

    def __init__(
        self,
        guard: "subprocess.Popen[bytes]",
        readers: Sequence[Reader],
        watch: Watch | None,
        ended: Callable[[int | None], None],
    ) -> None:
        """`guard` is the process of `Runtime.command`.

        `ended` is called once with the status, or with None if the process was killed by `kill`. It may raise.
        """
        self._guard = guard
        self._readers = readers
        self._watch = watch
        self._ended = ended
        self._status: int | None = None
        self._fatal = 0
        self._usage = 0

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit status (128 + n if signal n ended it), or None if the process still runs after `seconds`.

        Raises CancelledError, StartError, and what a function given for the output has raised.
        """
        if self._status is None:
            if self._guard.returncode is None and not self._wait_for_guard(seconds):
                return None
            status = self._reap()
            for reader in self._readers:
                reader.join()
            # It may have ended by itself just before it was killed.
            killed = self._fatal and status == 128 + signal.SIGKILL
            self._status = 128 + self._fatal if killed else status
            self._ended(None if killed else status)
        return self._status

    def send(self, number: int) -> bool:
        """Send `number` to the first process of the container. Return whether that has an effect.

        It has none if the process has not started yet or has ended, or if the kernel drops the signal: see
        `signals.deliver`.
        """
        return any(signals.deliver(process, number) for process in signals.first_processes(self._guard.pid))

    def stop(self, number: int = signal.SIGTERM, grace: float = GRACE_SECONDS) -> int:
        """End the process as `docker stop` does: signal `number`, and SIGKILL after `grace` seconds.

        A process that would never see the signal is killed at once. Return its status, as `wait`: 128 + `number` if
        it was killed for that reason.
        """
        if self._status is None and not self.send(number):
            self.kill(number)
        elif self.wait(grace) is None:
            self.kill()
        status = self.wait()
        assert status is not None
        return status

    def request_stop(self, number: int = signal.SIGTERM, grace: float = GRACE_SECONDS) -> None:
        """As `stop`, but return at once: `wait` then returns the status. For a signal handler."""
        if self.send(number):
            timer = threading.Timer(grace, self.kill)
            timer.daemon = True
            timer.start()
        else:
            self.kill(number)

    def kill(self, status_of: int = signal.SIGKILL) -> None:
        """Kill all processes of the container. The exit status is that of the signal `status_of`."""
        if self._status is None and self._guard.returncode is None:
            self._fatal = self._fatal or status_of
            if self._watch is not None:
                self._watch.look(self._guard.pid)
            runtime.kill(self._guard)

    @property
    def peak_memory(self) -> int:
        """The most memory that any one of its processes has used at a time, in bytes; 0 if that is not known.

        Known only to a process that was started with `measured`.
        """
        return max(self._usage, self._watch.peak_memory if self._watch else 0)

    def _wait_for_guard(self, seconds: float | None) -> bool:
        """Wait until the guard has ended, and look at its processes meanwhile. Return whether it has."""
        until = None if seconds is None else time.monotonic() + seconds
        end = os.pidfd_open(self._guard.pid)
        try:
            poll = select.poll()
            poll.register(end, select.POLLIN)
            while True:
                left = None if until is None else max(0.0, until - time.monotonic())
                pause = self._watch.pause() if self._watch else None
                shortest = min((each for each in (left, pause) if each is not None), default=None)
                if poll.poll(None if shortest is None else shortest * 1000):
                    return True
                if self._watch and (number := self._watch.look(self._guard.pid)):
                    self.kill(number)
                elif left is not None and left <= 0:
                    return False
        finally:
            os.close(end)

    def _reap(self) -> int:
        """Take the status of the guard, which has ended."""
        try:
            _, raw, usage = os.wait4(self._guard.pid, 0)
        except ChildProcessError:
            # Another thread, which cancelled it, was first.
            status = self._guard.wait()
        else:
            status = self._guard.returncode = os.waitstatus_to_exitcode(raw)
            if self._watch is not None:
                self._usage = self._watch.trusted(usage.ru_maxrss << 10)
        return 128 - status if status < 0 else status
