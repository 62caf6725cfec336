"""Forward signals, and the size of the terminal, to the process of `run`."""

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# As docker's client: not the signals that the kernel sends for a fault of our own, nor those that stop or continue us.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (
    *_ENDING,
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
# A second Ctrl-C within this many seconds ends the process.
_REPEAT_SECONDS = 2.0


def forward_signals(clock: "Callable[[], float]", *, terminal: bool) -> None:
    """From now on, forward every signal to the process, as docker does; with `terminal`, also the terminal's size.

    The first process of a PID namespace ignores a signal that it has no handler for. Therefore a second SIGINT or
    SIGTERM within two seconds raises KeyboardInterrupt, as does a signal that cannot be delivered.
    """
    from polyarch.sandbox import signals

    last: dict[int, float] = {}

    def forward(number: int, frame: "FrameType | None") -> None:
        now = clock()
        delivered = signals.send(number)
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
