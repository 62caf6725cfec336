"""Read the tar of a layer block by block, at the offsets that its table of contents gives.

If the resulting tar has the diff id of the image, the offsets are correct, no matter who wrote the table. So a reader
can start in the middle of a layer that was pulled with its table, as of one that was packed here.
"""

from polyarch.errors import CorruptError
from polyarch.layers.compression import END_SIZES, RAISE_THE_LIMIT, inflated
from polyarch.layers.deflate_blocks import checksum
from polyarch.layers.listing import Listing
from polyarch.oci.place import Readable

# A block has up to 1 MiB and one more entry. A table must not make a reader allocate much more.
_LARGEST = 8 << 20
_CHUNK = 1 << 20


class BlockwiseReader:
    """The tar in `reader`, a whole blob with the blocks of `table`. It owns nothing. `position` is that in the tar."""

    def __init__(self, reader: Readable, table: Listing, limit: int | None) -> None:
        if limit is not None and table.size > limit:
            raise CorruptError(f"a layer has more than the {limit} bytes that are allowed", RAISE_THE_LIMIT)
        self._reader = reader
        self._table = table
        self._index = 0
        self._content = memoryview(b"")
        self.position = 0
        self._exactly(table.blocks[0][0])

    def read(self, size: int = -1, /) -> bytes:
        """See `place.Readable`. Raises CorruptError if the table is wrong or the blob is damaged."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if not self._content and self._index < len(self._table.blocks):
            self._content = memoryview(self._block())
            self._index += 1
        found, self._content = bytes(self._content[:size]), self._content[size:]
        self.position += len(found)
        return found

    def _block(self) -> bytes:
        table, index = self._table, self._index
        start, plain = table.blocks[index]
        last = index + 1 == len(table.blocks)
        end, behind = (start + _LARGEST, table.size) if last else table.blocks[index + 1]
        if not 0 < behind - plain <= _LARGEST or not 0 < end - start <= _LARGEST:
            raise CorruptError(f"a table of contents has an impossible block at byte {start}")
        data = self._rest(end - start) if last else self._exactly(end - start)
        content = inflated(table.stream, data, behind - plain)
        if content is None or checksum(content) != table.checksums[index]:
            raise CorruptError(f"a table of contents is wrong about the block at byte {start}, or the layer is damaged")
        return content

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (chunk := self._reader.read(min(size, _CHUNK))):
            parts.append(chunk)
            size -= len(chunk)
        if size:
            raise CorruptError("a layer ends before its table of contents says so")
        return b"".join(parts)

    def _rest(self, most: int) -> bytes:
        """The last block: everything that is left, without the end of the stream."""
        parts: list[bytes] = []
        left = most
        while left and (chunk := self._reader.read(min(left, _CHUNK))):
            parts.append(chunk)
            left -= len(chunk)
        if self._reader.read(1):
            raise CorruptError("a layer is longer than its table of contents says")
        return b"".join(parts)[: -END_SIZES[self._table.stream]]
