"""Forward signals, and the size of the terminal, to the process of `run`."""

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from polyarch.sandbox import RunningProcess

# As docker's client: not the signals that the kernel sends for a fault of our own, nor those that stop or continue us.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (
    *_ENDING,
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
# A second Ctrl-C within this many seconds ends the process.
_REPEAT_SECONDS = 2.0


class SignalTarget:
    """The process that signals are for, once it runs. SIGTERM sends `stop`, and kills it after `grace` seconds."""

    def __init__(self, stop: int, grace: float) -> None:
        self._stop = stop
        self._grace = grace
        self._running: RunningProcess | None = None

    def follow(self, running: "RunningProcess") -> None:
        """Pass the signals on to this process from now on."""
        self._running = running

    def receive(self, number: int) -> bool:
        """Pass a signal on. Return whether there was a process for it.

        SIGTERM asks for the end as `docker stop` does. Another signal that is to end the process, and that the kernel
        does not deliver to it, kills it: it is the first process of a pid namespace, but the user need not know that.
        """
        if self._running is None:
            return False
        if number == signal.SIGTERM:
            self._running.request_stop(self._stop, self._grace)
        elif not self._running.send(number) and number in _ENDING:
            self._running.kill(number)
        return True


def forward_signals(clock: "Callable[[], float]", process: SignalTarget, *, terminal: bool) -> None:
    """From now on, forward every signal to the process, as docker does; with `terminal`, also the terminal's size.

    A second SIGINT or SIGTERM within two seconds raises KeyboardInterrupt, as does a signal before the process runs.
    """
    from polyarch.sandbox import signals

    last: dict[int, float] = {}

    def forward(number: int, frame: "FrameType | None") -> None:
        now = clock()
        delivered = process.receive(number)
        repeated = now - last.get(number, -_REPEAT_SECONDS) < _REPEAT_SECONDS
        if number in _ENDING and (repeated or not delivered):
            raise KeyboardInterrupt
        if number in (signal.SIGINT, signal.SIGTERM):
            last[number] = now

    def resize(number: int, frame: "FrameType | None") -> None:
        signals.resize(*terminal_size())

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGWINCH, resize if terminal else forward)


def terminal_size() -> tuple[int, int]:
    """The rows and columns of the terminal at standard output."""
    size = os.get_terminal_size(sys.stdout.fileno())
    return size.lines, size.columns
