"""Keeping the output of a process, however much it is, in little memory."""

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from typing import Self

_MEMORY = 1 << 20
_MOST = 256 << 20
_TAIL = 64 << 10
_CHUNK = 1 << 20


class BoundedOutput:
    """All that `write` receives, in order: up to `most` bytes, and after a gap the last 64 KiB.

    Up to 1 MiB is in memory, more is in a file without a name in `directory`, which `close` removes, as does the end
    of this process. `write` is a sink for `Sandbox.start`; one for stdout and stderr keeps both as they arrive.
    """

    def __init__(self, directory: str, *, most: int = _MOST) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY, dir=directory)  # noqa: SIM115
        self._lock = threading.Lock()
        self._most = most
        self._kept = 0
        self._tail = bytearray()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Take more output. Called from any thread. What the disk does not take is left out."""
        with self._lock:
            self.size += len(data)
            head = data[: max(0, self._most - self._kept)]
            if head:
                try:
                    self._file.write(head)
                    self._kept += len(head)
                except OSError:
                    self._most, head = self._kept, b""
            self._tail += data[len(head) :]
            del self._tail[:-_TAIL]

    def read(self) -> Iterator[bytes]:
        """Yield what was kept, in pieces; where something was left out, a line says how much."""
        with self._lock:
            self._file.seek(0)
            left = self._kept
            while left and (piece := self._file.read(min(left, _CHUNK))):
                left -= len(piece)
                yield piece
            self._file.seek(self._kept)
            if missing := self.size - self._kept - len(self._tail):
                yield f"\n[{missing} bytes left out]\n".encode()
            yield bytes(self._tail)

    def close(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
