"""Progress on a terminal, one line per unit of work, redrawn at most ten times a second: `--progress=tty`."""

import os
import threading
import time
from collections.abc import Callable
from typing import TextIO

from polyarch.cli.progress.unit import Unit, amount, short, title
from polyarch.progress import Event, OutputChunk, Started, Transferred, Warned
from polyarch.render import text

_INTERVAL = 0.1
_TAIL = 6
_BAR = 12
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"
_RESET, _RED, _BLUE, _YELLOW, _BOLD = "\x1b[0m", "\x1b[31m", "\x1b[34m", "\x1b[33m", "\x1b[1m"


class Live:
    """Draws on a terminal until it is closed; then the last frame stays and the cursor is shown again.

    It owns a thread that redraws on a timer. The thread starts at the first event that arrives while other threads
    run: one that starts earlier would prevent the process from entering a user namespace
    (unshare(CLONE_NEWUSER) fails with EINVAL in a process of several threads).
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        colour: bool = True,
        verb: str = "Building",
        clock: Callable[[], float] = time.monotonic,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._stream = stream
        self._colour = colour
        self._verb = verb
        self._clock = clock
        self._size = size or self._terminal_size
        self._lock = threading.Lock()
        self._units: dict[str, Unit] = {}
        self._above: list[str] = []
        self._drawn: list[str] = []
        self._columns = 0
        self._last = float("-inf")
        self._began = clock()
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._take(event)
            now = self._clock()
            if now - self._last >= _INTERVAL:
                self._draw(now)
            if self._ticker is None and threading.active_count() > 1:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()

    def close(self) -> None:
        """Draw the last frame and restore the terminal. Safe to call twice."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            if self._units or self._above:
                self._draw(self._clock(), final=True)
        if self._ticker is not None:
            self._ticker.join()

    def _tick(self) -> None:
        while not self._closed.wait(_INTERVAL):
            with self._lock:
                now = self._clock()
                if not self._closed.is_set() and now - self._last >= _INTERVAL:
                    self._draw(now)

    def _take(self, event: Event) -> None:
        if isinstance(event, Warned):
            detail = "".join(f"\n{line}" for line in event.detail.splitlines())
            self._above.append(self._paint(f"WARNING: {event.message}", _YELLOW) + detail)
            return
        now = self._clock()
        if isinstance(event, Started):
            self._units[event.id] = Unit(len(self._units) + 1, title(event), now)
            return
        unit = self._units.get(event.id)
        if unit is None:
            return
        if isinstance(event, OutputChunk):
            unit.lines(event.data)
        elif isinstance(event, Transferred):
            unit.items[event.item] = event
        else:
            unit.rest()
            unit.finished, unit.cached, unit.error = now, event.cached, event.error
            unit.canceled = event.canceled

    def _draw(self, now: float, *, final: bool = False) -> None:
        columns, rows = self._size()
        # The last column stays empty: terminals differ in where the cursor goes after it is written.
        frame = self._frame(now, columns - 1, rows - 1, final=final)
        parts = [f"\x1b[{self._height(columns)}F" if self._drawn else _HIDE]
        if columns != self._columns:
            # Clear rows that the terminal wrapped: it would join them again when it becomes wider.
            parts.append("\x1b[J" if self._drawn else "")
            self._columns = columns
        # Lines above the frame scroll into the terminal's history.
        parts += [line.replace("\n", "\x1b[K\n") + "\x1b[K\n" for line in self._above]
        # Do not wrap long lines: a terminal that has just become narrower may not have reported its new size.
        parts += [_CUT, *(line + "\x1b[K\n" for line in frame), "\x1b[J", _WRAP]
        if final:
            parts.append(_SHOW)
        self._stream.write("".join(parts))
        self._stream.flush()
        self._above.clear()
        self._drawn = frame
        self._last = now

    def _height(self, columns: int) -> int:
        """The rows that the last frame takes now: a terminal that became narrower has wrapped its lines."""
        return sum(max(-(-text.width(text.plain(line)) // columns), 1) for line in self._drawn)

    def _frame(self, now: float, columns: int, rows: int, *, final: bool) -> list[str]:
        units = list(self._units.values())
        done = sum(unit.finished is not None for unit in units)
        ending = " FINISHED" if final and done == len(units) else ""
        head = f"[+] {self._verb} {now - self._began:.1f}s ({done}/{len(units)}){ending}"
        blocks = [(unit, self._unit_lines(unit, now, columns)) for unit in units]
        room = rows - 1
        used = sum(len(lines) for _, lines in blocks)
        kept: list[list[str]] = []
        for unit, lines in blocks:
            # Leave out finished units if there is no room for all, the oldest first.
            if used > room and unit.finished is not None and not unit.error:
                used -= len(lines)
                continue
            kept.append(lines)
        lines = [line for block in kept for line in block]
        return [self._paint(text.clip(head, columns), _BOLD), *lines[-room:]]

    def _unit_lines(self, unit: Unit, now: float, columns: int) -> list[str]:
        elapsed = f"{(unit.finished if unit.finished is not None else now) - unit.started:.1f}s"
        mark = "CACHED " if unit.cached else "ERROR " if unit.error else "CANCELED " if unit.canceled else ""
        colour = _RED if unit.error else _YELLOW if unit.canceled else _BLUE if unit.finished is not None else ""
        lines = [self._paint(_spread(f" => {mark}{unit.title}", elapsed, columns), colour)]
        if unit.finished is not None:
            return lines
        moving = [
            item for item in unit.items.values() if not item.note and (not item.total or item.current < item.total)
        ]
        lines += [_spread(f" => => {short(item.item)} {amount(item)}", _bar(item), columns) for item in moving[:_TAIL]]
        lines += [text.clip(f" => => # {line}", columns) for line in unit.tail[-_TAIL:]]
        return lines

    def _paint(self, line: str, colour: str) -> str:
        return f"{colour}{line}{_RESET}" if self._colour and colour else line

    def _terminal_size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return 80, 24
        # A terminal that does not know its size reports 0.
        return size.columns or 80, size.lines or 24


def _spread(left: str, right: str, columns: int) -> str:
    """A line with `left` at its start and `right` at its end."""
    room = max(columns - text.width(right) - 1, 0)
    return f"{text.pad(text.clip(left, room), room)} {right}"


def _bar(item: Transferred) -> str:
    if not item.total:
        return ""
    filled = min(_BAR, _BAR * item.current // item.total)
    return f"[{'=' * filled}{' ' * (_BAR - filled)}] {100 * item.current // item.total:3d}%"
