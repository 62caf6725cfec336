"""Copy compressed blocks from an earlier layer instead of compressing them again.

One changed file of 5,000 changes one block. The listing of a layer has the checksum and the size of the content of each
block. A block is used only if it decompresses to exactly the same bytes. That takes a third of the time of compressing
them, and a damaged block is not copied.
"""

import os
from types import TracebackType
from typing import Self

from polyarch.layers.deflate_blocks import END_SIZE, checksum, inflated
from polyarch.layers.listing import Listing


class ReusableBlocks:
    """The blocks of one gzip layer in the file at `path`: a `pack.KnownBlock`. It owns the file until `close`.

    Raises FileNotFoundError if the blob is gone.
    """

    def __init__(self, path: str, size: int, listing: Listing) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        starts = listing.blocks if listing.stream == "gzip" else ()
        ends = (*starts[1:], (size - END_SIZE, listing.size))
        self._places = {
            (crc, end[1] - start[1]): (start[0], end[0] - start[0])
            for start, end, crc in zip(starts, ends, listing.checksums, strict=False)
        }

    def __call__(self, block: bytes) -> bytes | None:
        """The compressed bytes of this block, if the layer has them. May be called from any thread."""
        place = self._places.get((checksum(block), len(block)))
        if place is None:
            return None
        start, size = place
        data = os.pread(self._file, size, start)
        return data if inflated(data, len(block)) == block else None

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
