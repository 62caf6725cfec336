"""The pieces of a file as they came out of a stream, read in any order without joining them."""

from bisect import bisect_right
from collections.abc import Iterable


class Scattered:
    """A file of pieces that nothing copies until they are read. It holds them, and owns nothing else."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = list(pieces)
        self._starts: list[int] = []
        self._size = 0
        for piece in self._pieces:
            self._starts.append(self._size)
            self._size += len(piece)
        self._at = 0

    def seek(self, offset: int) -> None:
        """Go to an offset from the beginning. Behind the end there is nothing to read."""
        self._at = offset

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        start, end = self._at, min(self._at + size, self._size)
        if start >= end:
            return b""
        self._at = end
        number = bisect_right(self._starts, start) - 1
        found = []
        while start < end:
            at = start - self._starts[number]
            found.append(self._pieces[number][at : at + end - start])
            start += len(found[-1])
            number += 1
        return b"".join(found)
