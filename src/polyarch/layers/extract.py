"""Single files out of a layer's blob, inflating no more than is asked for."""

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

    A layer in blocks, or a plain tar, is read where the file is. Any other is inflated once, into a file in `directory`
    that has no name and vanishes with the descriptor. `blob` is the digest of the file at `path`: the offsets of a
    listing hold for the blob that they were taken of, and no other that has the same diff id.

    One may be read from several threads.
    """

    def __init__(self, path: str, listing: Listing, directory: str, blob: str) -> None:
        self._listing = listing
        self._directory = directory
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._spool = -1
        self._spooling = threading.Lock()
        # A stream that a reader has left inside a block: the next file of a layer is mostly the one behind it.
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
        """The content from `offset` on: from the last block that begins no later, or from where a reader left it."""
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
            # No more than the listing counted: a blob that inflates to more is another one.
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
    """A file read from an offset on, without moving the position that others share."""

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
    """The tar from the block `index` on. Each block is inflated whole, and verified before its bytes are given out."""

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
    """A stream that knows where in the tar it is."""

    def __init__(self, source: Readable, position: int) -> None:
        self._source = source
        self.position = position

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self.position += len(chunk)
        return chunk


class _Stored:
    """As many bytes as the tar stores of a file, of a source that goes on behind them."""

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
    """The bytes of one file of a layer. It owns nothing: the descriptor is the LayerFiles', which outlives it."""

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
        """Give back the stream, which then belongs to the reader of another file. Safe to call twice."""
        if self._leave is not None:
            self._leave()
            self._leave = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
