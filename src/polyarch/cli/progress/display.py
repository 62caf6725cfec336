"""What a command shows of its work: BuildKit's four ways to show one stream of events.

`auto` is `tty` on a terminal and `plain` elsewhere. `tty` redraws a line for each unit of work in place; `plain`
writes lines that stay; `rawjson` writes BuildKit's SolveStatus objects, a line each; `quiet` writes nothing.
"""

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TextIO

from polyarch.cli.progress.modes import WAYS
from polyarch.errors import UsageError
from polyarch.progress import Emit, Event, Finished, OutputChunk, Started, Transferred, Warned
from polyarch.render import text


class Unit:
    """What is known of one unit of work. Owned by its renderer, changed under the renderer's lock."""

    __slots__ = ("cached", "canceled", "error", "finished", "items", "number", "partial", "started", "tail", "title")

    def __init__(self, number: int, title: str, started: float) -> None:
        self.number = number
        self.title = title
        self.started = started
        self.finished: float | None = None
        self.cached = False
        self.canceled = False
        self.error = ""
        self.items: dict[str, Transferred] = {}
        self.partial = b""
        self.tail: list[str] = []

    def lines(self, data: bytes) -> list[str]:
        """The lines that `data` completes. A carriage return overwrites, so only what follows it counts."""
        *whole, self.partial = (self.partial + data).split(b"\n")
        shown = [text.plain(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")) for line in whole]
        self.tail = (self.tail + shown)[-20:]
        return shown

    def rest(self) -> list[str]:
        """The last line, which no newline ended."""
        return self.lines(b"\n") if self.partial else []


def title(event: Started) -> str:
    """The unit's name with its platforms in the brackets, as BuildKit writes `[linux/arm64 build 2/5] RUN make`."""
    name = text.plain(event.name)
    if not event.platforms:
        return name
    platforms = ",".join(event.platforms)
    return f"[{platforms} {name[1:]}" if name.startswith("[") else f"[{platforms}] {name}"


class Renderer(Protocol):
    """Shows events until it is closed. Calling it is thread-safe."""

    def __call__(self, event: Event, /) -> None: ...
    def close(self) -> None: ...


class Display:
    """A renderer for the time of one command: `with Display(…) as emit`. Closing leaves the terminal as it was."""

    def __init__(self, way: str, stream: TextIO, *, colour: bool = True, verb: str = "Building") -> None:
        self._renderer = _renderer(way, stream, colour, verb)

    def __enter__(self) -> Emit:
        return self._renderer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()


def _renderer(way: str, stream: TextIO, colour: bool, verb: str) -> Renderer:
    if way not in WAYS:
        raise UsageError(f"--progress does not know {way!r}", f"it takes {', '.join(WAYS)}")
    if way == "auto":
        way = "tty" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if way == "tty":
        from polyarch.cli.progress.live import Live

        return Live(stream, colour=colour, verb=verb)
    if way == "rawjson":
        return RawJson(stream)
    return Quiet() if way == "quiet" else Plain(stream)


class Quiet:
    """Shows nothing."""

    def __call__(self, event: Event, /) -> None:
        return

    def close(self) -> None:
        return


class Plain:
    """Lines that stay, each with the number of its unit. Owns nothing but its lock."""

    # A transfer that goes on is mentioned this often.
    INTERVAL = 5.0

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
        found = self._units.get(event.id)
        if found is None:
            return []
        if isinstance(event, OutputChunk):
            return [f"#{found.number} {now - found.started:.3f} {line}" for line in found.lines(event.data)]
        if isinstance(event, Transferred):
            return self._transfer(event, found, now)
        lines = [f"#{found.number} {now - found.started:.3f} {line}" for line in found.rest()]
        if event.error:
            return [*lines, f"#{found.number} ERROR: {event.error.splitlines()[0]}", ""]
        if event.canceled:
            return [*lines, f"#{found.number} CANCELED", ""]
        done = "CACHED" if event.cached else f"DONE {now - found.started:.1f}s"
        return [*lines, f"#{found.number} {done}", ""]

    def _transfer(self, event: Transferred, unit: Unit, now: float) -> list[str]:
        key = (event.id, event.item)
        finished = bool(event.note) or (event.total > 0 and event.current >= event.total)
        if not finished and now - self._mentioned.setdefault(key, now) < self.INTERVAL:
            return []
        if finished and self._mentioned.get(key) == float("inf"):
            return []
        self._mentioned[key] = float("inf") if finished else now
        return [f"#{unit.number} {event.item} {amount(event)}"]


def short(item: str) -> str:
    """A digest cut to what tells it apart; any other name as it is."""
    return item[:19] if item.startswith("sha256:") else item


def amount(event: Transferred) -> str:
    """How far a transfer is, in words."""
    if event.note:
        return event.note
    if event.total and event.current >= event.total:
        return f"{text.size(event.total)} done"
    return f"{text.size(event.current)} / {text.size(event.total)}" if event.total else text.size(event.current)


class RawJson:
    """BuildKit's SolveStatus, a JSON object a line, for programs that read it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._started: dict[str, dict[str, object]] = {}

    def __call__(self, event: Event, /) -> None:
        import msgspec

        with self._lock:
            line = msgspec.json.encode(self._status(event)).decode()
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        self._stream.flush()

    def _status(self, event: Event) -> dict[str, object]:
        now = self._stamp()
        if isinstance(event, Started):
            vertex: dict[str, object] = {"digest": event.id, "name": title(event), "started": now}
            self._started[event.id] = vertex
            return {"vertexes": [vertex]}
        if isinstance(event, OutputChunk):
            import base64

            data = base64.b64encode(event.data).decode()
            return {"logs": [{"vertex": event.id, "stream": event.stream, "data": data, "timestamp": now}]}
        if isinstance(event, Transferred):
            status: dict[str, object] = {"id": event.item, "vertex": event.id, "current": event.current}
            status |= {"total": event.total, "timestamp": now}
            if event.note:
                status["name"] = event.note
            if event.total and event.current >= event.total:
                status["completed"] = now
            return {"statuses": [status]}
        if isinstance(event, Finished):
            vertex = {**self._started.get(event.id, {"digest": event.id}), "completed": now}
            vertex |= {"cached": True} if event.cached else {}
            # What BuildKit says of a vertex that was given up, by which its clients know one.
            error = "context canceled" if event.canceled else event.error
            vertex |= {"error": error} if error else {}
            return {"vertexes": [vertex]}
        import base64

        details = [base64.b64encode(line.encode()).decode() for line in event.detail.splitlines()]
        return {
            "warnings": [{"level": 1, "short": base64.b64encode(event.message.encode()).decode(), "detail": details}]
        }

    def _stamp(self) -> str:
        now = self._clock()
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e9):09d}Z"
