"""Progress as lines that stay, for logs: `--progress=plain`."""

import threading
import time
from collections.abc import Callable
from typing import TextIO

from polyarch.cli.progress.unit import Unit, amount, title
from polyarch.progress import Event, OutputChunk, Started, Transferred, Warned

# How often a transfer in progress is mentioned, in seconds.
_INTERVAL = 5.0


class Plain:
    """Writes lines, each with the number of its unit. Owns nothing but its lock."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._units: dict[str, Unit] = {}
        self._mentioned: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            lines = list(self._lines(event))
            if lines:
                self._stream.write("".join(line + "\n" for line in lines))
                self._stream.flush()

    def close(self) -> None:
        with self._lock:
            self._stream.flush()

    def _lines(self, event: Event) -> list[str]:
        now = self._clock()
        if isinstance(event, Warned):
            return [f"WARNING: {event.message}", *event.detail.splitlines()]
        if isinstance(event, Started):
            unit = Unit(len(self._units) + 1, title(event), now)
            self._units[event.id] = unit
            return [f"#{unit.number} {unit.title}"]
        known = self._units.get(event.id)
        if known is None:
            return []
        if isinstance(event, OutputChunk):
            return [f"#{known.number} {now - known.started:.3f} {line}" for line in known.lines(event.data)]
        if isinstance(event, Transferred):
            return self._transfer(event, known, now)
        lines = [f"#{known.number} {now - known.started:.3f} {line}" for line in known.rest()]
        if event.error:
            return [*lines, f"#{known.number} ERROR: {event.error.splitlines()[0]}", ""]
        if event.canceled:
            return [*lines, f"#{known.number} CANCELED", ""]
        result = "CACHED" if event.cached else f"DONE {now - known.started:.1f}s"
        return [*lines, f"#{known.number} {result}", ""]

    def _transfer(self, event: Transferred, unit: Unit, now: float) -> list[str]:
        key = (event.id, event.item)
        finished = bool(event.note) or (event.total > 0 and event.current >= event.total)
        if not finished and now - self._mentioned.setdefault(key, now) < _INTERVAL:
            return []
        if finished and self._mentioned.get(key) == float("inf"):
            return []
        self._mentioned[key] = float("inf") if finished else now
        return [f"#{unit.number} {event.item} {amount(event)}"]
