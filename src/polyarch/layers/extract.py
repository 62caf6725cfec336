"""Read single files from the blob of a layer, without decompressing more than necessary."""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from polyarch.errors import CorruptError
from polyarch.layers.compression import END_SIZES, decompress, inflated, sniff
from polyarch.layers.deflate_blocks import checksum
from polyarch.layers.listing import ListedEntry, Listing
from polyarch.layers.reader import Expanded
from polyarch.oci.place import Readable

_CHUNK = 1 << 20


class LayerFiles:
    """The files of one layer. It owns a descriptor of the blob, and of a spool, until it is closed.

    A layer in blocks, or a plain tar, is read at the offset of the file. Any other is decompressed once, into a file in
    `directory` without a name, which vanishes with the descriptor. `blob` is the digest of the file at `path`: the
    offsets of a listing are valid for the blob from which they were taken, and for no other with the same diff id.

    It may be used from several threads.
    """

    def __init__(self, path: str, listing: Listing, directory: str, blob: str) -> None:
        self._listing = listing
        self._directory = directory
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._spool = -1
        self._spooling = threading.Lock()
        # The stream of a reader that was closed. The next file to be read is often the next one in the layer.
        self._left: _Inflating | None = None
        self._leaving = threading.Lock()
        self._plain = sniff(os.pread(self._file, 6, 0)) == "none"
        self._blocks = listing.blocks if listing.blob and listing.blob == blob else ()

    def open(self, listed: ListedEntry) -> "FileReader":
        """A reader of the bytes of a file of the listing, holes as zeros.

        Raises CorruptError if it is not a file (a hard link's bytes are its target's). Reading raises it for a
        damaged blob.
        """
        if listed.kind != "file":
            raise CorruptError(f"{listed.path} is a {listed.kind} and has no bytes of its own")
        if self._blocks and not self._plain:
            stream = self._enter(listed.offset)
            return FileReader(stream, listed, lambda: self._leave(stream))
        return FileReader(_Positioned(self._file if self._plain else self._spooled(), listed.offset), listed)

    def read(self, listed: ListedEntry) -> bytes:
        """All bytes of a file of the listing."""
        with self.open(listed) as reader:
            return reader.read()

    def _enter(self, offset: int) -> "_Inflating":
        """The content from `offset` on, from the last block before it or from the position of a closed reader."""
        from bisect import bisect_right

        index = bisect_right(self._blocks, offset, key=lambda block: block[1]) - 1
        compressed, plain = self._blocks[index]
        with self._leaving:
            stream, self._left = self._left, None
        if stream is None or not plain <= stream.position <= offset:
            source: Readable = _Positioned(self._file, compressed)
            if self._listing.stream:
                source = _Blocks(self._file, self._listing, index)
            else:
                source = decompress(source)
            stream = _Inflating(source, plain)
        while stream.position < offset:
            if not stream.read(min(offset - stream.position, _CHUNK)):
                raise CorruptError(f"a layer ends before byte {offset}, where its listing puts a file")
        return stream

    def _leave(self, stream: "_Inflating") -> None:
        with self._leaving:
            self._left = stream

    def _spooled(self) -> int:
        with self._spooling:
            if self._spool < 0:
                self._spool = self._inflate_all()
            return self._spool

    def _inflate_all(self) -> int:
        spool = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # At most the size of the listing: a blob that has more is a different one.
            source = decompress(_Positioned(self._file, 0), self._listing.size)
            while chunk := source.read(_CHUNK):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(spool, view) :]
        except BaseException:
            os.close(spool)
            raise
        return spool

    def close(self) -> None:
        """Close the descriptors. Safe to call twice."""
        for file in (self._file, self._spool):
            if file >= 0:
                os.close(file)
        self._file = self._spool = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Positioned:
    """Reads a file from an offset on, without changing the position that others share."""

    def __init__(self, file: int, offset: int) -> None:
        self._file = file
        self._offset = offset

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        chunk = os.pread(self._file, size, self._offset)
        self._offset += len(chunk)
        return chunk


class _Blocks:
    """The tar from the block `index` on. Each block is decompressed as a whole and verified before it is returned."""

    def __init__(self, file: int, listing: Listing, index: int) -> None:
        self._file = file
        self._listing = listing
        self._index = index
        self._content = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if not self._content and self._index < len(self._listing.blocks):
            self._content = memoryview(self._block())
            self._index += 1
        found, self._content = bytes(self._content[:size]), self._content[size:]
        return found

    def _block(self) -> bytes:
        blocks, stream = self._listing.blocks, self._listing.stream
        start, plain = blocks[self._index]
        if self._index + 1 < len(blocks):
            end, behind = blocks[self._index + 1]
        else:
            end, behind = os.fstat(self._file).st_size - END_SIZES[stream], self._listing.size
        content = inflated(stream, os.pread(self._file, end - start, start), behind - plain)
        if content is None or checksum(content) != self._listing.checksums[self._index]:
            raise CorruptError(f"a {stream} stream is damaged between bytes {start} and {end}")
        return content


class _Inflating:
    """A stream that knows its position in the tar."""

    def __init__(self, source: Readable, position: int) -> None:
        self._source = source
        self.position = position

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self.position += len(chunk)
        return chunk


class _Stored:
    """The bytes that the tar stores of a file, from a source that continues after them."""

    def __init__(self, source: Readable, size: int, path: str) -> None:
        self._source = source
        self._left = size
        self._path = path

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        wanted = min(size, self._left)
        chunk = self._source.read(wanted) if wanted else b""
        if wanted and not chunk:
            raise CorruptError(f"a layer ends {self._left} bytes before the end of {self._path}")
        self._left -= len(chunk)
        return chunk


class FileReader:
    """The bytes of one file of a layer. It owns nothing: the LayerFiles owns the descriptor, and outlives it."""

    def __init__(self, source: Readable, listed: ListedEntry, leave: Callable[[], None] | None = None) -> None:
        stored = listed.size if listed.pieces is None else sum(length for _, length in listed.pieces)
        content = _Stored(source, stored, listed.path)
        self._content: Readable = content if listed.pieces is None else Expanded(content, listed.size, listed.pieces)
        self._leave = leave

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises CorruptError if the layer ends too early."""
        try:
            return self._content.read(size)
        except BaseException:
            # A stream that has failed is not used again.
            self._leave = None
            raise

    def close(self) -> None:
        """Return the stream, so that a reader of another file can use it. Safe to call twice."""
        if self._leave is not None:
            self._leave()
            self._leave = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
