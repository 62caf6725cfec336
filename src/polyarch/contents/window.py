"""The beginning and the end of a file that is read as a stream."""

from polyarch.oci.place import Readable

_CHUNK = 1 << 20
# Headers and string tables are at the beginning of a file; tools such as patchelf append to its end.
_HEAD = 32 << 20
_TAIL = 8 << 20
# A sparse file can claim any size at no cost; no program has its tables beyond this offset.
_FARTHEST = 2 << 30


class GoneError(Exception):
    """The bytes have been skipped, or are too far away to be read."""


class Window:
    """Random access to the first 32 MiB of a stream, and to the last 8 MiB before its position. It reads no further
    than requested. It owns nothing.
    """

    def __init__(self, reader: Readable) -> None:
        self._reader = reader
        self._head = bytearray()
        self._tail = bytearray()
        self._tail_at = _HEAD
        self._ended = False

    def take(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer at the end of the file. Raises GoneError if they are not available."""
        if size <= 0:
            return b""
        end = offset + size
        if end > _FARTHEST:
            raise GoneError
        while not self._ended and self._position < end:
            self._advance(end)
        if end <= len(self._head) or not self._tail:
            return bytes(self._head[offset:end])
        if offset < self._tail_at:
            if offset >= len(self._head):
                raise GoneError
            if self._tail_at != len(self._head):
                raise GoneError
            return bytes(self._head[offset:]) + bytes(self._tail[: end - self._tail_at])
        return bytes(self._tail[offset - self._tail_at : end - self._tail_at])

    @property
    def _position(self) -> int:
        return self._tail_at + len(self._tail) if self._tail else len(self._head)

    def _advance(self, end: int) -> None:
        room = _HEAD - len(self._head)
        chunk = self._reader.read(min(max(end - self._position, 4096), room or _CHUNK, _CHUNK))
        if not chunk:
            self._ended = True
        elif room:
            self._head += chunk
        else:
            self._tail += chunk
            if len(self._tail) > 2 * _TAIL:
                gone = len(self._tail) - _TAIL
                del self._tail[:gone]
                self._tail_at += gone
