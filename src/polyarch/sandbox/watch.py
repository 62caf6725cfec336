"""Looking at the processes of a container from time to time: whether the first one hangs, and how much memory they use.

An emulator ends itself with the signal that its program was to die of: qemu resets the signal's action, sends the
signal to itself and waits for it, with all other signals blocked (linux-user/signal.c, `die_with_signal`). The first
process of a pid namespace does not get a signal that it does not handle (pid_namespaces(7)), so it would wait for
ever. A process in this state cannot wake up again, so killing it is what the signal was to do.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping

from polyarch.sandbox import signals

_PAUSES = (0.02, 0.04, 0.08, 0.16)
_PAUSE = 0.25
# The signals that cannot be blocked, and those that glibc does not let a program block.
_NEVER_BLOCKED = frozenset({signal.SIGKILL, signal.SIGSTOP, 32, 33})
_ALL = frozenset(range(1, 65))


class Watch:
    """What was seen of the processes of one container. The caller decides when to `look`."""

    def __init__(self, *, emulated: bool, measured: bool) -> None:
        self._emulated = emulated
        self._measured = measured
        self._looks = 0
        self.peak_memory = 0

    def pause(self) -> float:
        """How many seconds to wait before the next look: at first short, because many processes end soon."""
        return _PAUSES[self._looks] if self._looks < len(_PAUSES) else _PAUSE

    def look(self, guard: int) -> int:
        """Look once. Return the signal that the first process of the container hangs in, or 0."""
        self._looks += 1
        number = 0
        for process in signals.first_processes(guard):
            if self._emulated:
                number = number or deadly_wait(process)
            if self._measured:
                for each in signals.descendants(process):
                    self.peak_memory = max(self.peak_memory, _peak_memory(each))
        return number

    def trusted(self, peak: int) -> int:
        """Return the peak memory that the kernel reports for the guard and its descendants, or 0 if it is not theirs.

        A child starts with the memory of its parent, and the kernel counts that, too. So a value that this process
        itself reaches says nothing.
        """
        return peak if self._measured and peak > _peak_memory(os.getpid()) else 0


def deadly_wait(process: int) -> int:
    """Return the one signal that a thread of `process` waits for without handling it, all others blocked; else 0."""
    for thread in _numbers(f"/proc/{process}/task"):
        state = _status(f"/proc/{process}/task/{thread}/status")
        if not state.get("State", "").startswith("S"):
            continue
        handled, ignored, blocked = (_signals(state.get(name, "0")) for name in ("SigCgt", "SigIgn", "SigBlk"))
        awaited = _ALL - blocked - _NEVER_BLOCKED
        if len(awaited) == 1 and not awaited & (handled | ignored):
            return next(iter(awaited))
    return 0


def _peak_memory(process: int) -> int:
    words = _status(f"/proc/{process}/status").get("VmHWM", "").split()
    return int(words[0]) << 10 if words else 0


def _status(path: str) -> Mapping[str, str]:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as lines:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def _signals(mask: str) -> frozenset[int]:
    bits = int(mask, 16)
    return frozenset(number for number in _ALL if bits >> (number - 1) & 1)


def _numbers(directory: str) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir(directory) if name.isdecimal())
