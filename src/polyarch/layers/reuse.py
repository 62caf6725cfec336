"""Blocks that a layer of before has in the same compression: copied, not compressed again.

One changed file of 5,000 changes one block. A gzip member ends with the checksum and the size of its content, so what
a blob has is seen by reading eight bytes a block, and nothing has to be remembered for it. A candidate is taken only if
it inflates to the very bytes, which costs a third of compressing them and keeps a damaged blob from spreading.
"""

import os
from types import TracebackType
from typing import Self

from polyarch.layers.compression import inflated
from polyarch.layers.listing import Listing

_TRAILER = 8


class ReusableBlocks:
    """The blocks of one gzip layer in the file at `path`: a `pack.KnownBlock`. It owns the file until `close`.

    Raises FileNotFoundError where the blob is gone.
    """

    def __init__(self, path: str, size: int, listing: Listing) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        starts = [start for start, _ in listing.blocks]
        ends = [*starts[1:], size]
        self._places = {
            os.pread(self._file, _TRAILER, end - _TRAILER): (start, end - start)
            for start, end in zip(starts, ends, strict=True)
        }

    def __call__(self, block: bytes) -> bytes | None:
        """The compressed bytes of this block, if the layer has them. May be called from any thread."""
        from deflate import crc32

        mark = crc32(block).to_bytes(4, "little") + (len(block) & 0xFFFFFFFF).to_bytes(4, "little")
        place = self._places.get(mark)
        if place is None:
            return None
        start, size = place
        data = os.pread(self._file, size, start)
        return data if inflated(data, len(block)) == block else None

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
