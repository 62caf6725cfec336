"""The file of an emulator with changes, page by page: it has megabytes, and what changes in it are some places."""

import os
import struct
from collections.abc import Callable, Iterator

_PAGE = 4096
_PIECE = 64 << 10


class EmulatorImage:
    """The bytes of a file, and what was written over them. It grows if something is written behind its end.

    A copy costs as much as its changes, and nothing keeps the rest in memory.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """`read` returns bytes of the file: their offset, and their number."""
        self._read = read
        self._original = self._size = size
        self._pages: dict[int, bytes] = {}

    @classmethod
    def of_file(cls, descriptor: int) -> "EmulatorImage":
        """The image of an open file, which the caller closes after the last use."""
        return cls(lambda offset, size: os.pread(descriptor, size, offset), os.fstat(descriptor).st_size)

    @classmethod
    def of_bytes(cls, content: bytes | bytearray) -> "EmulatorImage":
        """The image of a file with this content."""
        raw = bytes(content)
        return cls(lambda offset, size: raw[offset : offset + size], len(raw))

    def copy(self) -> "EmulatorImage":
        """The same content, which can be changed separately."""
        image = EmulatorImage(self._read, self._original)
        image._size, image._pages = self._size, dict(self._pages)
        return image

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes, fewer at the end."""
        end = min(offset + size, self._size)
        if offset >= end:
            return b""
        raw = self._read(offset, end - offset) if offset < self._original else b""
        changed = [number for number in range(offset // _PAGE, -(-end // _PAGE)) if number in self._pages]
        if not changed and len(raw) == end - offset:
            return raw
        found = bytearray(raw.ljust(end - offset, b"\0"))
        for number in changed:
            start, stop = max(number * _PAGE, offset), min((number + 1) * _PAGE, end)
            page = self._pages[number]
            found[start - offset : stop - offset] = page[start - number * _PAGE : stop - number * _PAGE]
        return bytes(found)

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write `data` at `offset`, which may be behind the end: zeros are between them."""
        self._size = max(self._size, offset + len(data))
        end = offset + len(data)
        for number in range(offset // _PAGE, -(-end // _PAGE)):
            place = number * _PAGE
            start, stop = max(place, offset), min(place + _PAGE, end)
            page = bytearray(self.read(place, _PAGE).ljust(_PAGE, b"\0")) if stop - start < _PAGE else bytearray(_PAGE)
            page[start - place : stop - place] = data[start - offset : stop - offset]
            self._pages[number] = bytes(page)

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        """The numbers at `offset`, as struct.unpack. Raises struct.error if the image ends before."""
        return struct.unpack(layout, self.read(offset, struct.calcsize(layout)))

    def pack(self, layout: str, offset: int, *values: int) -> None:
        """Write these numbers at `offset`. Raises struct.error."""
        self.write(offset, struct.pack(layout, *values))

    def places(self, pattern: bytes) -> list[int]:
        """Where `pattern` is, from the beginning on; of those that overlap, the first."""
        found: list[int] = []
        base, left = 0, b""
        for piece in self.pieces():
            left += piece
            at = 0
            while (place := left.find(pattern, at)) >= 0:
                found.append(base + place)
                at = place + len(pattern)
            kept = max(at, len(left) - len(pattern) + 1)
            base, left = base + kept, left[kept:]
        return found

    def pieces(self) -> Iterator[bytes]:
        """The whole content, in pieces."""
        for offset in range(0, self._size, _PIECE):
            yield self.read(offset, _PIECE)
