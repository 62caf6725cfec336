"""A strict, streaming reader of tar archives: a damaged header is an error with its offset, never an early end.

Names are returned as they are in the tar, except for the trailing slash of a directory; `entry.clean` makes paths of
them. Like Go's archive/tar, which every peer uses, it expects data only after files, ignores global pax headers, and
takes one or two blocks of zeros or the end of the stream as the end of the archive.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers import headers
from polyarch.layers.entry import Entry, Kind
from polyarch.layers.headers import BLOCK, MAX_EXTENSION, XATTR, ZEROS, Header
from polyarch.oci.place import Readable

_CHUNK = 1 << 20
_EXTENSIONS = (b"x", b"g", b"L", b"K")
_NO_RECORDS: Mapping[str, bytes] = MappingProxyType({})
_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"S": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
}

# Where a sparse file has data: (offset, length) of each piece, in order.
Pieces = tuple[tuple[int, int], ...]


class TarMember(msgspec.Struct, frozen=True, gc=False):
    """An entry, and the offset of its `stored` bytes of data in the tar. `pieces` is None for a file without holes."""

    entry: Entry
    offset: int
    stored: int
    pieces: Pieces | None = None


class TarReader:
    """Reads a tar once: `next` returns a member, `read` its stored bytes. It owns only a buffer.

    No layer has a member without a name. With `nameless`, such a member is the root, as in programs that unpack tars.
    """

    def __init__(self, reader: Readable, *, nameless: bool = False) -> None:
        self._reader = reader
        self._buffer = b""
        self._at = 0
        self._base = 0
        self._left = 0
        self._padding = 0
        self._ended = False
        self._nameless = nameless

    @property
    def position(self) -> int:
        """The offset in the tar of the next byte that is read."""
        return self._base + self._at

    def _more(self) -> bool:
        """Append the next bytes to those left in the buffer. Returns False at the end of the stream."""
        chunk = self._reader.read(_CHUNK)
        self._base += self._at
        self._buffer = self._buffer[self._at :] + chunk if self._at < len(self._buffer) else chunk
        self._at = 0
        return bool(chunk)

    def _take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        while len(self._buffer) - self._at < size:
            if not self._more():
                raise CorruptError(f"a tar is cut off at byte {self._base + len(self._buffer)}, in {what}")
        start, self._at = self._at, self._at + size
        return self._buffer[start : self._at]

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` stored bytes of the current member, empty at their end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if not self._left or not size:
            return b""
        if self._at == len(self._buffer) and not self._more():
            raise CorruptError(f"a tar is cut off at byte {self.position}, in the data of a file")
        start = self._at
        self._at = min(start + min(size, self._left), len(self._buffer))
        self._left -= self._at - start
        return self._buffer[start : self._at]

    def views(self) -> Iterator[memoryview]:
        """The rest of the current member's stored bytes, as views of what was read: nothing is copied."""
        while self._left:
            if self._at == len(self._buffer) and not self._more():
                raise CorruptError(f"a tar is cut off at byte {self.position}, in the data of a file")
            start = self._at
            self._at = min(start + self._left, len(self._buffer))
            self._left -= self._at - start
            yield memoryview(self._buffer)[start : self._at]

    def _skip(self) -> None:
        """Skip the rest of the current member's data and its padding."""
        rest = self._left + self._padding
        self._left = self._padding = 0
        while rest > len(self._buffer) - self._at:
            rest -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            if not self._more():
                raise CorruptError(f"a tar is cut off at byte {self.position}, in the data of a file")
        self._at += rest

    def drain(self) -> None:
        """Read what follows the end of the archive: padding, which is part of the diff id, too."""
        while self._reader.read(_CHUNK):
            pass

    def _header(self) -> bytes | None:
        """The next header block; None at the end of the archive."""
        start = self._at
        block = self._buffer[start : start + BLOCK]
        if len(block) == BLOCK and block[0]:
            self._at = start + BLOCK
            return block
        while len(self._buffer) - self._at < BLOCK and self._more():
            pass
        if self._at == len(self._buffer):
            return None
        at = self.position
        block = self._take(BLOCK, "a header")
        if block[0] or block != ZEROS:
            return block
        while len(self._buffer) - self._at < BLOCK and self._more():
            pass
        if self._at < len(self._buffer) and self._take(BLOCK, "the end of the archive") != ZEROS:
            raise CorruptError(f"a tar has one block of zeros at byte {at} and continues after it")
        return None

    def next(self) -> TarMember | None:
        """The next member; None at the end. What was not read of the previous one is skipped.

        Raises CorruptError if the tar is damaged or cut off.
        """
        if self._ended:
            return None
        if self._left or self._padding:
            self._skip()
        at = self._base + self._at
        block = self._header()
        if block is None:
            self._ended = True
            return None
        header = headers.decode(block, at)
        if header.flag in _EXTENSIONS:
            return self._extended(header, at)
        return self._member(header, block, _NO_RECORDS, None, None, at)

    def _extended(self, header: Header, at: int) -> TarMember | None:
        """The next member, whose first header is an extension."""
        records: Mapping[str, bytes] = _NO_RECORDS
        long_name: bytes | None = None
        long_link: bytes | None = None
        extended = False
        while True:
            payload = self._payload(header, at)
            flag = header.flag
            if flag == b"x":
                records = headers.decode_pax(payload, at)
            elif flag == b"g":
                headers.decode_pax(payload, at)
            elif flag == b"L":
                long_name = payload.partition(b"\0")[0]
            else:
                long_link = payload.partition(b"\0")[0]
            extended = extended or flag != b"g"
            at = self._base + self._at
            block = self._header()
            if block is None:
                if extended:
                    raise CorruptError(f"a tar ends at byte {at}, after an extended header without an entry")
                self._ended = True
                return None
            header = headers.decode(block, at)
            if header.flag not in _EXTENSIONS:
                return self._member(header, block, records, long_name, long_link, at)

    def _payload(self, header: Header, at: int) -> bytes:
        if header.size > MAX_EXTENSION:
            raise CorruptError(f"the extended header at byte {at} has a size of {header.size} bytes")
        payload = self._take(header.size, "an extended header")
        self._take(-header.size % BLOCK, "an extended header")
        return payload

    def _member(
        self,
        header: Header,
        block: bytes,
        records: Mapping[str, bytes],
        long_name: bytes | None,
        long_link: bytes | None,
        at: int,
    ) -> TarMember:
        kind = _KINDS.get(header.flag)
        if kind is None:
            raise CorruptError(f"the tar entry at byte {at} has the type {header.flag!r}, which no layer may have")
        name = header.name if long_name is None else long_name
        link = header.link if long_link is None else long_link
        uid, gid, mtime, stored = header.uid, header.gid, header.mtime, header.size
        xattrs: tuple[tuple[str, bytes], ...] = ()
        if records:
            name = records.get("GNU.sparse.name") or records.get("path") or name
            link = records.get("linkpath") or link
            uid = headers.pax_number(records, "uid", uid, at)
            gid = headers.pax_number(records, "gid", gid, at)
            mtime = headers.pax_number(records, "mtime", mtime, at, signed=True)
            stored = headers.pax_number(records, "size", stored, at)
            prefix = len(XATTR)
            xattrs = tuple(sorted((key[prefix:], value) for key, value in records.items() if key.startswith(XATTR)))
        if not name and not self._nameless:
            raise CorruptError(f"the tar entry at byte {at} has no name")
        if name[-1:] == b"/" and kind in ("file", "directory"):
            # The oldest format of tar has no type for directories.
            kind, name = "directory", name.rstrip(b"/") or b"/"
        if kind != "file":
            stored = 0
        size, pieces = stored, None
        sparse = header.flag == b"S" or (records and ("GNU.sparse.map" in records or "GNU.sparse.major" in records))
        if sparse and kind == "file":
            size, pieces, stored = self._sparse(header, block, records, stored, at)
        self._left = stored
        self._padding = -stored % BLOCK
        entry = Entry(
            path=name.decode("utf-8", "surrogateescape"),
            kind=kind,
            mode=header.mode,
            uid=uid,
            gid=gid,
            size=size,
            mtime=mtime,
            link=link.decode("utf-8", "surrogateescape") if kind in ("symlink", "hardlink") else "",
            xattrs=xattrs,
            major=header.major,
            minor=header.minor,
        )
        return TarMember(entry, self._base + self._at, stored, pieces)

    def _sparse(
        self, header: Header, block: bytes, records: Mapping[str, bytes], stored: int, at: int
    ) -> tuple[int, Pieces, int]:
        """The size, the pieces and the stored size of a sparse file, whose map may be part of the data."""
        try:
            if header.flag == b"S":
                size = headers.octal(block[483:495])
                numbers = self._gnu_map(block)
            elif "GNU.sparse.map" in records:
                size = headers.pax_number(records, "GNU.sparse.size", stored, at)
                numbers = [int(number) for number in records["GNU.sparse.map"].split(b",") if number]
            else:
                size = headers.pax_number(records, "GNU.sparse.realsize", stored, at)
                before = self.position
                numbers = self._pax_map()
                stored -= self.position - before
            pieces = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        except ValueError as error:
            raise CorruptError(f"the sparse file at byte {at} has a malformed map: {error}") from error
        end = 0
        for offset, length in pieces:
            if offset < end or length < 0:
                raise CorruptError(f"the sparse file at byte {at} has a map that is out of order")
            end = offset + length
        if end > size or sum(length for _, length in pieces) != stored:
            raise CorruptError(f"the sparse file at byte {at} has a map that does not fit its size")
        return size, pieces, stored

    def _gnu_map(self, block: bytes) -> list[int]:
        """The map of GNU's old format: four pieces in the header, twenty-one in each following block."""
        numbers: list[int] = []
        field, count, more = 386, 4, block[482]
        while True:
            for start in range(field, field + 24 * count, 24):
                if not block[start]:
                    break
                numbers += (headers.octal(block[start : start + 12]), headers.octal(block[start + 12 : start + 24]))
            if not more:
                return numbers
            if len(numbers) > MAX_EXTENSION // 12:
                raise ValueError("it is too long")
            block = self._take(BLOCK, "the map of a sparse file")
            field, count, more = 0, 21, block[504]

    def _pax_map(self) -> list[int]:
        """The map of the pax format 1.0: decimal lines before the data, the first with the number of pieces."""
        text = b""
        wanted: int | None = None
        while wanted is None or text.count(b"\n") <= 2 * wanted:
            if len(text) > MAX_EXTENSION:
                raise ValueError("it is too long")
            text += self._take(BLOCK, "the map of a sparse file")
            if wanted is None and b"\n" in text:
                wanted = int(text.partition(b"\n")[0])
                if not 0 <= wanted <= MAX_EXTENSION:
                    raise ValueError("it is too long")
        return [int(line) for line in text.split(b"\n")[1 : 2 * wanted + 1]]


class Expanded:
    """The content of a sparse file, with zeros for holes, from a reader of its pieces."""

    def __init__(self, stored: Readable, size: int, pieces: Pieces) -> None:
        self._stored = stored
        self._size = size
        self._pieces = list(reversed(pieces))
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        while self._pieces and not self._pieces[-1][1]:
            self._pieces.pop()
        offset, length = self._pieces[-1] if self._pieces else (self._size, 0)
        if self._at < offset:
            chunk = bytes(min(size, offset - self._at, _CHUNK))
        else:
            chunk = self._stored.read(min(size, length))
            if self._pieces:
                self._pieces[-1] = (offset + len(chunk), length - len(chunk))
        self._at += len(chunk)
        return chunk


def begins(reader: Readable) -> bool:
    """Whether `reader` begins with a tar header whose checksum is correct, as Go's archive/tar decides."""
    try:
        block = b""
        while len(block) < BLOCK and (chunk := reader.read(BLOCK - len(block))):
            block += chunk
        if len(block) < BLOCK:
            return False
        headers.decode(block, 0)
    except CorruptError:
        return False
    return True


def content(tar: TarReader, member: TarMember) -> Readable:
    """The content of the current member, with zeros for holes. It can be read until the next member is requested."""
    return tar if member.pieces is None else Expanded(tar, member.entry.size, member.pieces)


def members(reader: Readable) -> Iterator[tuple[Entry, Readable]]:
    """The entries of a tar with their content, in order, names as they are in the tar.

    A content can be read until the next entry is requested. Raises CorruptError with the offset if the tar is damaged
    or cut off.
    """
    tar = TarReader(reader)
    while (member := tar.next()) is not None:
        yield member.entry, content(tar, member)
