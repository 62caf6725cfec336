"""Listings: the contents of a layer, made in one streaming read and remembered by diff id.

A listing can always be made again, so its encoding has a version, and other versions are not read.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers.compression import LARGEST, RAISE_THE_LIMIT, Decompressed, decompress
from polyarch.layers.entry import Entry, Kind, clean, parent_of
from polyarch.layers.reader import Pieces, TarReader, content
from polyarch.layers.whiteouts import OPAQUE
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable

# The files of a base that a build reads: for the names of --chown and USER, and the distribution.
KEPT = frozenset({"etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"})
KEPT_SIZE = 1 << 20
_VERSION = 1
_COLUMN = 64 << 10


class ListedEntry(Entry, frozen=True, kw_only=True, gc=False):
    """An entry, and the offset of its data in the uncompressed tar. `pieces` is None for a file without holes."""

    offset: int = 0
    pieces: Pieces | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a layer, in the order of the tar.

    `size` is that of the uncompressed tar in bytes. `blocks` are the (compressed, uncompressed) offsets at which
    reading the blob `blob` can start; both are empty if unknown. If `stream` is empty, a block is a member or frame of
    its own. Otherwise, it is in the middle of one stream of that kind ("gzip", "zstd"), and `checksums` are the CRC-32
    of the content of each. `texts` are the few small files of `KEPT`.
    """

    entries: tuple[ListedEntry, ...]
    size: int
    blocks: tuple[tuple[int, int], ...] = ()
    blob: str = ""
    texts: dict[str, bytes] = {}
    stream: str = ""
    checksums: tuple[int, ...] = ()

    @property
    def hides_all(self) -> bool:
        """Whether the layers below are hidden by an opaque root, which the kernel's overlay cannot express."""
        return any(entry.path == OPAQUE for entry in self.entries)

    def implicit_parents(self) -> tuple[str, ...]:
        """The directories that contain entries of the layer and are not listed in it, sorted.

        They take mode and owner from the layers below, so the unpacked layer depends on these.
        """
        known = {entry.path for entry in self.entries if entry.kind != "hardlink"}
        missing: set[str] = set()
        for entry in self.entries:
            parent = parent_of(entry.path)
            while parent and parent not in known and parent not in missing:
                missing.add(parent)
                parent = parent_of(parent)
        return tuple(sorted(missing))

    def encode(self) -> bytes:
        """The listing as bytes. Names are in two columns, because some are not text that msgpack accepts."""
        entries = self.entries
        names = "\0".join([entry.path for entry in entries]).encode("utf-8", "surrogateescape")
        links = "\0".join([entry.link for entry in entries]).encode("utf-8", "surrogateescape")
        rows = msgspec.msgpack.encode([_row_of(entry) for entry in entries])
        known = Entrances(self.blocks, self.blob, self.stream, self.checksums)
        return _joined_columns((names, links), [rows], self.size, self.texts, known)


class Entrances(NamedTuple):
    """Where reading a blob can start: the fields of a `Listing` with these names."""

    blocks: Sequence[tuple[int, int]] = ()
    blob: str = ""
    stream: str = ""
    checksums: Sequence[int] = ()


class Encoder:
    """Encodes a listing entry by entry. Each takes about ninety bytes, a fifth of an object."""

    def __init__(self) -> None:
        self._count = 0
        self._names = bytearray()
        self._links = bytearray()
        self._rows = bytearray()

    def add(self, entry: ListedEntry) -> None:
        """Take the next entry."""
        if self._count:
            self._names += b"\0"
            self._links += b"\0"
        self._count += 1
        self._names += entry.path.encode("utf-8", "surrogateescape")
        self._links += entry.link.encode("utf-8", "surrogateescape")
        self._rows += msgspec.msgpack.encode(_row_of(entry))

    def encode(self, size: int, texts: Mapping[str, bytes], entrances: "Entrances | None" = None) -> bytes:
        """The encoded listing, as `Listing.encode` returns it."""
        rows = (_array_head(self._count), self._rows)
        return _joined_columns((self._names, self._links), rows, size, texts, entrances or Entrances())

    def __len__(self) -> int:
        """The approximate size of the encoded listing in bytes."""
        return len(self._names) + len(self._links) + len(self._rows)

    def files(self) -> set[str]:
        """The paths of all entries so far that are not directories."""
        return {entry.path for entry in decode(self.encode(0, {})).entries if entry.kind != "directory"}


def _joined_columns(
    columns: Iterable[bytes | bytearray],
    rows: Iterable[bytes | bytearray],
    size: int,
    texts: Mapping[str, bytes],
    known: Entrances,
) -> bytes:
    """The encoded listing, joined by hand: msgspec would copy each of the columns before it writes them."""
    parts: list[bytes | bytearray] = [b"\x9a", msgspec.msgpack.encode(_VERSION)]
    for column in columns:
        parts += (_bytes_head(len(column)), column)
    parts += rows
    parts += map(msgspec.msgpack.encode, (size, known.blocks, known.blob, texts, known.stream, known.checksums))
    return b"".join(parts)


def _row_of(entry: ListedEntry) -> tuple[object, ...]:
    """The fields of an entry as they are encoded, without its names."""
    row = (entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime, entry.offset)
    if entry.xattrs or entry.major or entry.minor or entry.pieces is not None:
        return (*row, entry.xattrs, entry.major, entry.minor, entry.pieces)
    return row


def _array_head(count: int) -> bytes:
    """The start of an array in MessagePack, in the shortest form, as msgspec writes it."""
    if count < 16:
        return bytes((0x90 | count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")


def _bytes_head(length: int) -> bytes:
    """The same for bytes."""
    if length < 1 << 8:
        return b"\xc4" + length.to_bytes(1, "big")
    return b"\xc5" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xc6" + length.to_bytes(4, "big")


_Natural = Annotated[int, msgspec.Meta(ge=0)]


class _Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The fields of an entry as they are encoded, without its names."""

    kind: Kind
    mode: _Natural
    uid: _Natural
    gid: _Natural
    size: _Natural
    mtime: int
    offset: _Natural
    xattrs: tuple[tuple[str, bytes], ...] = ()
    major: _Natural = 0
    minor: _Natural = 0
    pieces: tuple[tuple[_Natural, _Natural], ...] | None = None


class _Encoded(msgspec.Struct, array_like=True, frozen=True):
    """The encoded listing, its fields in order."""

    version: int
    names: bytes
    links: bytes
    rows: list[_Row]
    size: _Natural
    blocks: tuple[tuple[_Natural, _Natural], ...]
    blob: str
    texts: dict[str, bytes]
    stream: str = ""
    checksums: tuple[_Natural, ...] = ()


def decode(raw: bytes, wanted: Callable[[ListedEntry], bool] | None = None) -> Listing:
    """The listing that `encode` returned, with only the entries that are `wanted`.

    Raises CorruptError if the bytes are not a listing, or one of another version.
    """
    found, entries = _decoded(raw, wanted)
    return _listing(found, entries)


def decode_blocks(raw: bytes) -> Listing:
    """The same without its entries. Raises as `decode` does."""
    found, _ = _decoded(raw, None, whole=False)
    return _listing(found, ())


def _listing(found: "_Encoded", entries: Iterable[ListedEntry]) -> Listing:
    if found.stream and len(found.checksums) != len(found.blocks):
        raise CorruptError(f"a listing has {len(found.checksums)} checksums of {len(found.blocks)} blocks")
    return Listing(
        entries=tuple(entries),
        size=found.size,
        blocks=found.blocks,
        blob=found.blob,
        texts=found.texts,
        stream=found.stream,
        checksums=found.checksums,
    )


def _decoded(
    raw: bytes, wanted: Callable[[ListedEntry], bool] | None, *, whole: bool = True
) -> "tuple[_Encoded, list[ListedEntry]]":
    try:
        # If only some entries are wanted, rows are decoded one by one.
        found = msgspec.msgpack.decode(raw, type=_Encoded if wanted is None and whole else _Loose)
        if found.version != _VERSION:
            raise CorruptError(f"a listing has the version {found.version}, this one reads {_VERSION}")
        entries: list[ListedEntry] = []
        if found.rows and whole:
            rows = map(_row, found.rows) if isinstance(found, _Loose) else found.rows
            columns = zip(_parts(found.names), _parts(found.links), rows, strict=True)
            every = (_joined(path, link, row) for path, link, row in columns)
            entries = list(every if wanted is None else filter(wanted, every))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"a listing is malformed: {error}") from error
    return found, entries


class _Loose(_Encoded, array_like=True, frozen=True):
    """The same with encoded rows."""

    rows: list[msgspec.Raw]  # type: ignore[assignment]


# msgspec analyses a type when it is first decoded. If two threads do that at the same time, the process crashes.
for _type in (_Encoded, _Loose, _Row):
    msgspec.msgpack.Decoder(_type)


def _row(raw: Any) -> _Row:
    return msgspec.msgpack.decode(raw, type=_Row)


def _parts(column: bytes) -> Iterator[str]:
    """The texts of a column, some at a time: a list of all would take five times as much memory."""
    start = 0
    while (end := column.find(b"\0", start + _COLUMN)) >= 0:
        yield from column[start:end].decode("utf-8", "surrogateescape").split("\0")
        start = end + 1
    yield from column[start:].decode("utf-8", "surrogateescape").split("\0")


def _joined(path: str, link: str, row: _Row) -> ListedEntry:
    return ListedEntry(
        path=path,
        kind=row.kind,
        mode=row.mode,
        uid=row.uid,
        gid=row.gid,
        size=row.size,
        mtime=row.mtime,
        link=link,
        xattrs=row.xattrs,
        major=row.major,
        minor=row.minor,
        offset=row.offset,
        pieces=row.pieces,
    )


def listed(entry: Entry, offset: int, pieces: Pieces | None = None) -> ListedEntry:
    """The entry with a clean path and the offset of its data. Raises CorruptError for a name with `..`."""
    return ListedEntry(
        path=clean(entry.path),
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime=entry.mtime,
        link=clean(entry.link) if entry.kind == "hardlink" else entry.link,
        xattrs=entry.xattrs,
        major=entry.major,
        minor=entry.minor,
        offset=offset,
        pieces=pieces,
    )


# Gets each file and its content while a layer is scanned. What it does not read is skipped.
Look = Callable[[ListedEntry, Readable], None]


class _Hashing:
    """Hashes what is read through it."""

    def __init__(self, read: Callable[[int], bytes], algorithm: str) -> None:
        self._read = read
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._read(size)
        self._hash.update(chunk)
        return chunk

    @property
    def digest(self) -> Digest:
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")


def scan(
    reader: Readable,
    blob: str = "",
    limit: int | None = LARGEST,
    look: Look | None = None,
    *,
    nameless: bool = False,
    algorithm: str = "sha256",
) -> tuple[Digest, Listing]:
    """The diff id and the listing of a layer, in one read of its blob, compressed or not. Nothing is written.

    `blob` is the digest of what is read, if it is known. `LayerFiles` can use the offsets of its blocks only then.
    `limit` is the maximum size in bytes of the tar, and of the files in it with their holes. `look` is called with each
    file and its content during the same read. For `nameless` see `TarReader`; `algorithm` is that of the diff id.
    Raises CorruptError for a tar that is damaged, too large, or has a name with `..`.
    """
    plain = decompress(reader, limit)
    hashing = _Hashing(plain.read, algorithm)
    listing = _read(plain, TarReader(hashing, nameless=nameless), blob, limit, look)
    return hashing.digest, listing


def scan_plain(tar: Readable, table: Listing, algorithm: str, limit: int | None = LARGEST) -> tuple[Digest, Listing]:
    """The same for the uncompressed `tar` of a layer that has the blocks of `table`."""
    plain = decompress(tar, limit)
    hashing = _Hashing(plain.read, algorithm)
    listing = _read(plain, TarReader(hashing), "", limit, None)
    return hashing.digest, msgspec.structs.replace(
        listing, blocks=table.blocks, blob=table.blob, stream=table.stream, checksums=table.checksums
    )


def scan_unhashed(reader: Readable, blob: str, limit: int | None = LARGEST, look: Look | None = None) -> Listing:
    """The listing of a layer as `scan` makes it, without the diff id, which takes a quarter of the time."""
    plain = decompress(reader, limit)
    return _read(plain, TarReader(plain), blob, limit, look)


def _read(plain: Decompressed, tar: TarReader, blob: str, limit: int | None, look: Look | None) -> Listing:
    entries: list[ListedEntry] = []
    texts: dict[str, bytes] = {}
    unpacked = 0
    while (member := tar.next()) is not None:
        entry = listed(member.entry, member.offset, member.pieces)
        entries.append(entry)
        if entry.kind != "file":
            continue
        # A sparse file of a few bytes may claim exabytes, which a copy of it would write.
        unpacked += entry.size
        if limit is not None and unpacked > limit:
            raise CorruptError(
                f"the files of a layer have more than the {limit} bytes that are allowed", RAISE_THE_LIMIT
            )
        if entry.path in KEPT and entry.size <= KEPT_SIZE:
            texts[entry.path] = b"".join(_chunks(content(tar, member)))
            if look is not None:
                look(entry, io.BytesIO(texts[entry.path]))
        elif look is not None:
            look(entry, content(tar, member))
    tar.drain()
    blocks = tuple(plain.blocks) if len(plain.blocks) > 1 else ()
    return Listing(
        entries=tuple(entries), size=plain.position, blocks=blocks, blob=str(blob) if blocks else "", texts=texts
    )


def _chunks(readable: Readable) -> Iterable[bytes]:
    return iter(lambda: readable.read(KEPT_SIZE), b"")
