"""Listings: what a layer holds, made in one streaming read and remembered by diff id for good.

A listing is derived and can always be made again, so its encoding carries a version and an older one is not read.
"""

import hashlib
import io
from collections.abc import Callable, Iterable
from typing import Annotated

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers.compression import LARGEST, RAISE_THE_LIMIT, decompress
from polyarch.layers.entry import Entry, Kind, clean, parent_of
from polyarch.layers.reader import Pieces, TarReader, content
from polyarch.layers.whiteouts import OPAQUE
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable

# What rules of the Dockerfile read of a base: names of --chown and USER, the distribution.
KEPT = frozenset({"etc/passwd", "etc/group", "etc/os-release", "usr/lib/os-release"})
KEPT_SIZE = 1 << 20
_VERSION = 1


class Listed(Entry, frozen=True, kw_only=True, gc=False):
    """An entry and where its data begins in the uncompressed tar. `pieces` is None for a file without holes."""

    offset: int = 0
    pieces: Pieces | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer holds, in the tar's order.

    `size` is the uncompressed tar's in bytes. `blocks` are the (compressed, uncompressed) offsets at which the blob
    `blob` can be entered; both are empty where nobody knows. `texts` are the few small files that rules read.
    """

    entries: tuple[Listed, ...]
    size: int
    blocks: tuple[tuple[int, int], ...] = ()
    blob: str = ""
    texts: dict[str, bytes] = {}

    @property
    def hides_all(self) -> bool:
        """Whether nothing of the layers below is seen: an opaque root, which the kernel's overlay cannot say."""
        return any(entry.path == OPAQUE for entry in self.entries)

    def implicit_parents(self) -> tuple[str, ...]:
        """The directories that the layer goes into without listing them, sorted.

        Unpacked alone, they take mode and owner of what lies below, so such a snapshot depends on the layers below.
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
        """The listing as bytes: names in two columns, because some are not text that msgpack takes."""
        rows = [
            (
                entry.kind,
                entry.mode,
                entry.uid,
                entry.gid,
                entry.size,
                entry.mtime,
                entry.offset,
                *((entry.xattrs, entry.major, entry.minor, entry.pieces) if _is_rare(entry) else ()),
            )
            for entry in self.entries
        ]
        names = "\0".join(entry.path for entry in self.entries).encode("utf-8", "surrogateescape")
        links = "\0".join(entry.link for entry in self.entries).encode("utf-8", "surrogateescape")
        return msgspec.msgpack.encode((_VERSION, names, links, rows, self.size, self.blocks, self.blob, self.texts))


def _is_rare(entry: Listed) -> bool:
    return bool(entry.xattrs or entry.major or entry.minor or entry.pieces is not None)


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
    """The whole, in the order in which it is encoded."""

    version: int
    names: bytes
    links: bytes
    rows: list[_Row]
    size: _Natural
    blocks: tuple[tuple[_Natural, _Natural], ...]
    blob: str
    texts: dict[str, bytes]


def decode(raw: bytes) -> Listing:
    """The listing that `encode` gave. Raises CorruptError where the bytes are none, or of another version."""
    try:
        found = msgspec.msgpack.decode(raw, type=_Encoded)
        if found.version != _VERSION:
            raise CorruptError(f"a listing has the version {found.version}, this one reads {_VERSION}")
        entries: list[Listed] = []
        if found.rows:
            paths = found.names.decode("utf-8", "surrogateescape").split("\0")
            targets = found.links.decode("utf-8", "surrogateescape").split("\0")
            entries = [_joined(path, link, row) for path, link, row in zip(paths, targets, found.rows, strict=True)]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"a listing is malformed: {error}") from error
    return Listing(entries=tuple(entries), size=found.size, blocks=found.blocks, blob=found.blob, texts=found.texts)


def _joined(path: str, link: str, row: _Row) -> Listed:
    return Listed(
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


def listed(entry: Entry, offset: int, pieces: Pieces | None = None) -> Listed:
    """The entry with its path made clean and the place of its data. Raises CorruptError for a name with `..`."""
    return Listed(
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


# What is shown a file and its content while a layer is scanned; what it leaves unread is passed over.
Look = Callable[[Listed, Readable], None]


class _Hashing:
    """Hands on what it reads and hashes it."""

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

    `blob` is the digest of what is read, where it is known; only then can `LayerFiles` use the offsets of its blocks.
    `limit` is how many bytes the tar, and the files in it with their holes, may have. `look` is shown each file with
    its content, for who must see both in the same read. `nameless` as of `TarReader`; `algorithm` is the diff
    id's. Raises CorruptError for what is damaged, too large or leads upwards.
    """
    plain = decompress(reader, limit)
    hashing = _Hashing(plain.read, algorithm)
    tar = TarReader(hashing, nameless=nameless)
    entries: list[Listed] = []
    texts: dict[str, bytes] = {}
    unpacked = 0
    while (member := tar.next()) is not None:
        entry = listed(member.entry, member.offset, member.pieces)
        entries.append(entry)
        # A sparse file of a few bytes may claim exabytes, which who copies it would write out.
        unpacked += entry.size if entry.kind == "file" else 0
        if limit is not None and unpacked > limit:
            raise CorruptError(
                f"the files of a layer have more than the {limit} bytes that are allowed", RAISE_THE_LIMIT
            )
        if entry.path in KEPT and entry.kind == "file" and entry.size <= KEPT_SIZE:
            texts[entry.path] = b"".join(_chunks(content(tar, member)))
            if look is not None:
                look(entry, io.BytesIO(texts[entry.path]))
        elif look is not None and entry.kind == "file":
            look(entry, content(tar, member))
    tar.drain()
    blocks = tuple(plain.blocks) if len(plain.blocks) > 1 else ()
    return hashing.digest, Listing(
        entries=tuple(entries), size=plain.position, blocks=blocks, blob=str(blob) if blocks else "", texts=texts
    )


def _chunks(readable: Readable) -> Iterable[bytes]:
    return iter(lambda: readable.read(KEPT_SIZE), b"")
