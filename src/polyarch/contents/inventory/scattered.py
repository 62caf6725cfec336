"""The pieces of a file as they came out of a stream, read in any order without joining them."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Scattered:
    """A file of pieces that nothing copies until they are read. It holds them, and owns nothing else."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = list(pieces)
        # Where each piece ends.
        self._ends = list(accumulate(map(len, self._pieces)))
        self._at = 0

    def seek(self, offset: int) -> None:
        """Go to an offset from the beginning. Behind the end there is nothing to read."""
        self._at = offset

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        start, end = self._at, self._at + size
        number = bisect_right(self._ends, start)
        if number < len(self._ends) and end <= self._ends[number]:
            piece = self._pieces[number]
            at = start - self._ends[number] + len(piece)
            self._at = end
            return bytes(piece[at : at + size])
        found = []
        while start < end and number < len(self._pieces):
            piece, behind = self._pieces[number], self._ends[number]
            at = start - (behind - len(piece))
            found.append(piece[at : at + end - start])
            start = min(behind, end)
            number += 1
        self._at = start
        return b"".join(found)
