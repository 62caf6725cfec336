"""Whether a machine has become much slower than it was, by what it measures itself: pure, without a clock.

The measure is a short fixed loop, which is the same kind of step on every member. The fastest of many is what counts: a
step that keeps all processors busy delays most of them, but not all. So a machine is slow only if its processors are:
because they are throttled, because their host gives the time to others, or because memory is swapped.
"""

from collections import deque

# A machine that has less than this part of its speed is slow.
SLOW = 0.25
# Measurements in the time that it takes to become slow.
_MEASUREMENTS = 6


class Pace:
    """How fast a machine is, compared with its best: it was `full` when it began. It is slow when all measurements of
    the last `window` seconds say so.
    """

    def __init__(self, full: float, window: float) -> None:
        self._best = full
        self._window = window
        self._recent: deque[tuple[float, float]] = deque()
        self._last: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is time for another measurement."""
        return self._last is None or now - self._last >= self._window / _MEASUREMENTS

    def is_low(self, speed: float) -> bool:
        """Whether a measurement is that of a slow machine."""
        return speed < SLOW * self._best

    def add(self, now: float, speed: float) -> None:
        """Take a measurement."""
        self._last = now
        self._best = max(self._best, speed)
        self._recent.append((now, speed))
        # The last one before the window stays: what is in it counts only if it is covered.
        while len(self._recent) > 1 and self._recent[1][0] <= now - self._window:
            self._recent.popleft()

    @property
    def value(self) -> float:
        """The part of its speed that the machine has, if it is slow; else 1."""
        times = [time for time, _ in self._recent]
        if len(times) <= _MEASUREMENTS // 2 or times[-1] - times[0] < self._window:
            return 1.0
        fastest = max(speed for _, speed in self._recent)
        return round(fastest / self._best, 3) if self.is_low(fastest) else 1.0
