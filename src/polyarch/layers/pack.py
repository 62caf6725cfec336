"""Pack a layer in one pass: form the tar, hash it, cut it into blocks, compress them in a few threads, and hash them.

A block ends at the first entry boundary after 1 MiB, so that one changed file changes one block. The content of a
larger file begins a new block, and is cut every 1 MiB. Blocks depend on the entries only: with another number of
workers, their content and order are the same.

Memory does not depend on the size of the layer, except for the listing, which grows with the number of entries.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers import deflate_blocks, headers, toc
from polyarch.layers.compression import Compression, is_far
from polyarch.layers.content import copy_pieces, read_whole
from polyarch.layers.entry import Content, Entry, Item
from polyarch.layers.links import LinkGuard
from polyarch.layers.listing import KEPT, KEPT_SIZE, Encoder, Entrances, ListedEntry, Listing, decode, listed
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import ANNOTATION

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

BLOCK_SIZE = 1 << 20

# An uncompressed block → its compressed bytes, if they are known (`reuse.py`). Called from the workers.
KnownBlock = Callable[[bytes], bytes | None]


class LayerSink(Protocol):
    """Receives the bytes of a blob in order."""

    def write(self, data: bytes, /) -> object: ...


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `pack`: both digests, the size of the blob in bytes, its media type, and its encoded listing.

    `toc` is its table of contents (toc.py); empty if it has none. `annotations` are those of the descriptor.
    """

    diff_id: Digest
    digest: Digest
    size: int
    media_type: str
    encoded: bytes
    toc: bytes = b""
    annotations: dict[str, str] = {}

    @property
    def listing(self) -> Listing:
        """The listing, decoded from `encoded`."""
        return decode(self.encoded)

    def descriptor(self) -> Descriptor:
        """The blob's descriptor."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=self.size, annotations=self.annotations)


def pack(
    items: Iterable[Item],
    output: LayerSink,
    compression: Compression,
    workers: int = 2,
    known: KnownBlock | None = None,
    size: int | None = None,
) -> Packed:
    """Write the layer of `items` to `output`, compressed by `workers` threads, which end before this returns.

    The same items give the same bytes for any number of workers. `known` finds blocks that were compressed before.
    `size` is that of the tar (`tar_size`), with which a zstd frame begins; None if it is not known.

    Raises ConflictError for a file that changed while it was packed, NotFoundError for one that vanished, CorruptError
    for an entry that a tar cannot hold, and for a hard link whose file does not come before it. The caller then removes
    what `output` has received.
    """
    from concurrent.futures import ThreadPoolExecutor

    from polyarch.layers.syscalls import reuse_freed_memory

    reuse_freed_memory()
    tar = TarBuilder()
    with ThreadPoolExecutor(max(1, workers), "pack") as pool:
        blocks = Blocks(output, compression, pool, max(1, workers), known, size)
        try:
            for entry, content in items:
                tar.add(entry, content, blocks.add)
            tar.end(blocks.add)
            if size is not None and size != tar.position:
                raise CorruptError(f"a tar has {tar.position} bytes where {size} were expected")
            blocks.finish()
        except BaseException:
            blocks.cancel()
            raise
    digest = Digest(f"sha256:{blocks.blob.hexdigest()}")
    entrances = blocks.entrances(digest)
    encoded = tar.entries.encode(tar.position, tar.texts, entrances)
    table = toc.encode(encoded, blocks.written) if compression.kind != "none" else b""
    return Packed(
        diff_id=Digest(f"sha256:{blocks.plain.hexdigest()}"),
        digest=digest,
        size=blocks.written,
        media_type=compression.media_type(),
        encoded=encoded,
        toc=table,
        annotations={ANNOTATION: toc.name(table)} if table else {},
    )


def tar_size(entries: Iterable[Entry]) -> int:
    """The size in bytes of the tar of these entries."""
    size = len(headers.END)
    for entry in entries:
        size += len(headers.encode(entry))
        if entry.kind == "file":
            size += entry.size + -entry.size % headers.BLOCK
    return size


def tar_stream(items: Iterable[Item]) -> Iterator[bytes]:
    """The plain tar of `items`, in pieces of about 1 MiB. Raises as `pack` does."""
    tar = TarBuilder()
    ready: list[bytes] = []
    for entry, content in items:
        tar.add(entry, content, ready.append)
        yield from ready
        ready.clear()
    tar.end(ready.append)
    yield from ready


class Blocks:
    """Compresses blocks on a pool and writes them in order. The owner of the pool shuts it down."""

    def __init__(
        self,
        output: LayerSink,
        compression: Compression,
        pool: "ThreadPoolExecutor",
        workers: int,
        known: KnownBlock | None,
        size: int | None = None,
    ) -> None:
        self._output = output
        self._kind = compression.kind
        self._framing = compression.framing(size)
        self._pool = pool
        # A waiting block for each worker keeps it busy while the next one is read.
        self._most = 2 * workers
        self._known = known
        self._before = b"", b"", 0
        # The start of each block, the block, and its work; None for a first block, until there is a second one.
        self._pending: deque[tuple[int, bytes, Future[tuple[bytes, int]] | None]] = deque()
        self._crc = 0
        self.position = 0
        self.plain = hashlib.sha256()
        self.blob = hashlib.sha256()
        self.written = 0
        # The offset of every block, for the table of an eStargz layer.
        self.offsets: list[int] = []
        self._starts: list[tuple[int, int]] = []
        self._checksums: list[int] = []

    def add(self, block: bytes) -> None:
        """Take the next block of the tar."""
        # Most small layers have one block. Starting a thread for it would take longer than compressing it.
        if self.position and self._pending and self._pending[0][2] is None:
            start, first, _ = self._pending[0]
            self._pending[0] = start, first, self._pool.submit(self._work, first)
        self._pending.append((self.position, block, self._pool.submit(self._work, block) if self.position else None))
        self.position += len(block)
        self.plain.update(block)
        if self._kind == "gzip":
            self._crc = deflate_blocks.checksum(block, self._crc)
        while len(self._pending) > self._most or (self._pending and _is_done(self._pending[0][2])):
            self._write_next()

    def _work(self, block: bytes) -> tuple[bytes, int]:
        # A sparse file has thousands of blocks of zeros. Other blocks differ from the last one in their first bytes.
        before, data, checksum = self._before
        if block != before:
            data = (self._known(block) if self._known is not None else None) or self._framing.compress(block)
            checksum = deflate_blocks.checksum(block)
            self._before = block, data, checksum
        return data, checksum

    def _write_next(self) -> None:
        start, block, future = self._pending.popleft()
        data, checksum = self._work(block) if future is None else future.result()
        if not self.written:
            self._write(self._framing.start)
        if self._kind == "estargz":
            self.offsets.append(self.written)
        if is_far(self._starts, start):
            self._starts.append((self.written, start))
            self._checksums.append(checksum)
        else:
            self._checksums[-1] = deflate_blocks.checksum(block, self._checksums[-1])
        self._write(data)

    def _write(self, data: bytes) -> None:
        self.blob.update(data)
        self._output.write(data)
        self.written += len(data)

    def drain(self) -> None:
        """Write the blocks that are still being compressed."""
        while self._pending:
            self._write_next()

    def finish(self, end: bytes | None = None) -> None:
        """Write the blocks that are still being compressed, then `end` or the usual end of the stream."""
        self.drain()
        if not self.written:
            self._write(self._framing.start)
        self._write(self._framing.end(self._crc, self.position) if end is None else end)

    def entrances(self, digest: Digest) -> Entrances:
        """Where reading the blob of this digest can start."""
        if self._kind == "none":
            return Entrances()
        if self._kind == "estargz":
            return Entrances(self._starts, digest)
        return Entrances(self._starts, digest, self._kind, self._checksums)

    def cancel(self) -> None:
        """Drop the blocks that no worker has begun."""
        for _, _, future in self._pending:
            if future is not None:
                future.cancel()


def _is_done(future: "Future[tuple[bytes, int]] | None") -> bool:
    return future is not None and future.done()


class TarBuilder:
    """Forms the tar of entries, cuts it into blocks, and records the offset of the data of each entry."""

    def __init__(self) -> None:
        self.entries = Encoder()
        self.texts: dict[str, bytes] = {}
        self.position = 0
        self._parts: list[bytes] = []
        self._filled = 0
        self._links = LinkGuard(self.entries.files)

    def add(self, entry: Entry, content: Content | None, emit: Callable[[bytes], None]) -> None:
        """Add the header and the data of an entry. `emit` gets each block that is full."""
        self._put(headers.encode(entry))
        added = listed(entry, self.position)
        self._links.add(added)
        self.entries.add(added)
        if entry.size and entry.kind == "file":
            if content is None:
                raise CorruptError(f"{entry.path} has {entry.size} bytes and no content was given")
            self._put_content(added, content, emit)
            if rest := -entry.size % headers.BLOCK:
                self._put(headers.ZEROS[:rest])
        if self._filled >= BLOCK_SIZE:
            self._cut(emit)

    def _put_content(self, entry: ListedEntry, content: Content, emit: Callable[[bytes], None]) -> None:
        if entry.size > BLOCK_SIZE:
            self._cut(emit)
            copy_pieces(entry, content, BLOCK_SIZE, lambda chunk: self._large(chunk, emit))
        else:
            data = read_whole(entry, content)
            if entry.path in KEPT and entry.size <= KEPT_SIZE:
                self.texts[entry.path] = data
            self._put(data)

    def end(self, emit: Callable[[bytes], None]) -> None:
        """Add the end of the archive."""
        self._put(headers.END)
        self._cut(emit)

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._filled += len(data)
        self.position += len(data)

    def _cut(self, emit: Callable[[bytes], None]) -> None:
        if self._filled:
            block = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            self._filled = 0
            emit(block)

    def _large(self, chunk: bytes, emit: Callable[[bytes], None]) -> None:
        """Add a piece of a large file. All pieces but the last are exactly one block."""
        self._put(chunk)
        if len(chunk) == BLOCK_SIZE:
            self._cut(emit)
