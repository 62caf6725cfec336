"""Read many files of one layer in one pass, in the order of their offsets, without decompressing anything twice.

`LayerFiles` is for single files. For hundreds of files it would decompress the same block for each. Here, one stream
is read forwards, and skips ahead if the listing has a block that begins closer to the next file.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from polyarch.errors import CorruptError
from polyarch.layers.compression import decompress
from polyarch.layers.extract import FileReader
from polyarch.layers.listing import ListedEntry, Listing
from polyarch.oci.place import BlobReader, Readable

_CHUNK = 1 << 20
# Seeking takes a request or a system call, and starts a new block. Shorter distances are read.
_WORTH_A_SEEK = 256 << 10

# Opens a blob at a compressed offset.
Opener = Callable[[int], BlobReader]


def read_files(
    opener: Opener, listing: Listing, blob: str, wanted: Iterable[ListedEntry]
) -> Iterator[tuple[ListedEntry, Readable]]:
    """The `wanted` files of a layer, each with its content, which can be read until the next file is requested.

    `blob` is the digest of what `opener` opens: the offsets in a listing are valid for one blob only. Raises
    CorruptError if the layer is damaged or ends within a file.
    """
    stream = _Stream(opener, listing, blob)
    try:
        for listed in sorted(wanted, key=lambda one: one.offset):
            stream.seek(listed.offset)
            yield listed, FileReader(stream, listed)
    finally:
        stream.close()


class _Stream:
    """The tar of the layer, read forwards. It owns the open reader of the blob."""

    def __init__(self, opener: Opener, listing: Listing, blob: str) -> None:
        self._opener = opener
        self._blocks = listing.blocks if listing.blob and listing.blob == blob else ()
        self._inside = listing.stream if self._blocks else ""
        self._reader: BlobReader | None = None
        self._plain: Readable | None = None
        self._at = 0

    def seek(self, offset: int) -> None:
        compressed, plain = 0, 0
        if self._blocks:
            index = bisect_right(self._blocks, offset, key=lambda block: block[1]) - 1
            compressed, plain = self._blocks[max(index, 0)]
        if self._plain is None or self._at > offset or plain > self._at + _WORTH_A_SEEK:
            self.close()
            self._reader = self._opener(compressed)
            self._plain = decompress(self._reader, inside=self._inside)
            self._at = plain
        while self._at < offset:
            if not self.read(min(offset - self._at, _CHUNK)):
                raise CorruptError(f"a layer ends before byte {offset}, where its listing puts a file")

    def read(self, size: int = -1, /) -> bytes:
        assert self._plain is not None
        chunk = self._plain.read(size)
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        reader, self._reader, self._plain = self._reader, None, None
        if reader is not None:
            reader.close()
