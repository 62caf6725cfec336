"""Progress as BuildKit's SolveStatus, one JSON object per line, for programs: `--progress=rawjson`."""

import threading
import time
from collections.abc import Callable
from typing import TextIO

from polyarch.cli.progress.unit import title
from polyarch.progress import Event, Finished, OutputChunk, Started, Transferred


class RawJson:
    """Writes each event as a JSON object. Owns nothing but its lock."""

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
            data = _base64(event.data)
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
            # BuildKit's text for a canceled vertex. Its clients recognize one by it.
            error = "context canceled" if event.canceled else event.error
            vertex |= {"error": error} if error else {}
            return {"vertexes": [vertex]}
        details = [_base64(line.encode()) for line in event.detail.splitlines()]
        return {"warnings": [{"level": 1, "short": _base64(event.message.encode()), "detail": details}]}

    def _stamp(self) -> str:
        now = self._clock()
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e9):09d}Z"


def _base64(data: bytes) -> str:
    """How Go's encoding/json writes bytes."""
    import base64

    return base64.b64encode(data).decode()
