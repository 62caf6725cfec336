"""Single files out of a layer's blob, inflating no more than is asked for."""

import os
import threading
from types import TracebackType
from typing import Self

from polyarch.errors import CorruptError
from polyarch.layers.compression import decompress, sniff
from polyarch.layers.listing import Listed, Listing
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
        self._plain = sniff(os.pread(self._file, 6, 0)) == "none"
        self._blocks = listing.blocks if listing.blob and listing.blob == blob else ()

    def open(self, listed: Listed) -> "FileReader":
        """A reader of the bytes of a file of the listing, holes as zeros.

        Raises CorruptError for what is no file (a hard link's bytes are its target's); reading does for a damaged blob.
        """
        if listed.kind != "file":
            raise CorruptError(f"{listed.path} is a {listed.kind} and has no bytes of its own")
        if self._plain:
            source: Readable = _Positioned(self._file, listed.offset)
        elif self._blocks:
            source = self._enter(listed.offset)
        else:
            source = _Positioned(self._spooled(), listed.offset)
        return FileReader(source, listed)

    def read(self, listed: Listed) -> bytes:
        """All bytes of a file of the listing."""
        with self.open(listed) as reader:
            return reader.read()

    def _enter(self, offset: int) -> Readable:
        """The content from `offset` on, inflated from the last block that begins no later."""
        from bisect import bisect_right

        index = bisect_right(self._blocks, offset, key=lambda block: block[1]) - 1
        compressed, plain = self._blocks[index]
        source = decompress(_Positioned(self._file, compressed))
        left = offset - plain
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise CorruptError(f"a layer ends before byte {offset}, where its listing puts a file")
            left -= len(chunk)
        return source

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

    def __init__(self, source: Readable, listed: Listed) -> None:
        stored = listed.size if listed.pieces is None else sum(length for _, length in listed.pieces)
        content = _Stored(source, stored, listed.path)
        self._content: Readable = content if listed.pieces is None else Expanded(content, listed.size, listed.pieces)

    def read(self, size: int = -1, /) -> bytes:
        """As of `place.Readable`. Raises CorruptError where the layer ends too early."""
        return self._content.read(size)

    def close(self) -> None:
        """Nothing to do; a blob's reader has it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return
