"""The tables of the cache: every kind of row is declared here, once, with what it keeps alive.

A `Kind` names a table. The package that defines the type of the values makes the one `Table` of a kind, with the
functions that turn values into bytes and back. Types of higher packages cannot be named here, because imports go down.
No other code reads or writes rows: `tests/store/test_tables.py` holds both rules.

A row may depend on blobs or snapshots, without which it is useless. They are written beside the row, so that the
garbage collector need not decode the values of other packages.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci.digest import Digest

if TYPE_CHECKING:
    from polyarch.store.cache import Cache

K = TypeVar("K", bound=str)
V = TypeVar("V")


class Kind(msgspec.Struct, frozen=True):
    """A kind of rows. Increment `version` when the encoding of its values changes. Rows of another version are never
    read, and disappear when the cache is trimmed. `keeps` says that a row may keep blobs or snapshots alive.
    """

    name: str
    version: int = 1
    keeps: bool = False

    @property
    def stored(self) -> str:
        """The name of the kind in the cache's file."""
        return self.name if self.version == 1 else f"{self.name} {self.version}"


class Kept(msgspec.Struct, frozen=True):
    """Blobs by digest, and snapshots by key, that rows of the cache keep alive."""

    digests: frozenset[Digest] = frozenset()
    snapshots: frozenset[str] = frozenset()


# What layers hold. Keys are diff ids, but for TOC (the digest of the table of contents, or of the blob) and INVENTORY
# (that of the blob, unless its diff id is proven).
LISTING = Kind("listing")  # layers.listing.Listing: the entries of a layer
TOC = Kind("toc")  # Listing: what the table of contents of a layer in a registry says, or the layer itself
SHAPE = Kind("shape")  # contents.unpack.LayerShape: what decides where a layer is unpacked
FACTS = Kind("facts", 2)  # contents.facts.Facts: binaries and packages of a layer
INVENTORY = Kind("inventory", 3)  # contents.inventory.inventory.Inventory: packages and licenses of a layer

# Results of work. Keys are cache keys of steps, but for PACKED (snapshot and compression), COMPRESSED and MADE (diff
# id).
RESULT = Kind("result", keeps=True)  # contents.layer.Layer: what a step made
PACKED = Kind("packed", keeps=True)  # Layer: the blob that a snapshot was packed to
MADE = Kind("made", keeps=True)  # Layer: the snapshot of a layer that this member of a farm made
LAST = Kind("last")  # Layer: what a COPY of the same text made the last time
COMPRESSED = Kind("compressed", keeps=True)  # Descriptor: the gzip blob of a plain tar of an archive
DOWNLOAD = Kind("http", keeps=True)  # builder.perform.http.Fetched, by hash of a URL: what an ADD fetched
VERDICT = Kind("verified")  # images.check.findings.Finding, several: what is wrong in new layers

# Build contexts: what files were, so that they are not read again.
STAT = Kind("stat")  # builder.contexts.walked.Rows, several, by directory and number of the part
SELECTION = Kind("selection")  # builder.perform.copy.selection.RememberedSelection

# Registries.
ORIGIN = Kind("origin")  # texts, by digest: the repositories where content was seen
REMOTE = Kind("remote")  # Digest, by reference: what a tag pointed at when it was last read or pushed
MIRRORED = Kind("mirrored", keeps=True)  # serve.upstream.MirroredContent, by reference: what `serve --mirror` fetched

# For people: lists and histories.
SUMMARY = Kind("summary")  # images.list: what `images` shows of a manifest
BUILD = Kind("build", 2)  # builder.history.record.BuildRecord, by project and by name of the image
ENTRY = Kind("entry")  # builder.history.entry.HistoryEntry, by id: a build that ended
FILES = Kind("files")  # digests by path, by hash of the list: the files that a COPY took

# What steps took: natively and under emulation.
DURATIONS = Kind("durations")  # builder.history.emulation.Durations, by cache key of the step and by command
RATIOS = Kind("ratios")  # numbers by command, by architecture: how many times longer emulation took

# The store's own: a number that is added to (growth.py), and no table.
GROWTH = Kind("growth")

# The errors of decoding malformed bytes.
_MALFORMED = (msgspec.DecodeError, ValueError, RecursionError, CorruptError)


class Table(Generic[K, V]):
    """The rows of one kind, as values. A table is a value itself; each method takes the cache that it works on.

    `decode` raises CorruptError, ValueError or msgspec.DecodeError for malformed bytes: such a row is deleted, and
    counts as absent. `keeps` returns what a value keeps alive.
    """

    def __init__(
        self,
        kind: Kind,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        keeps: Callable[[V], Kept] | None = None,
    ) -> None:
        assert kind.keeps == (keeps is not None), kind
        self._kind = kind.stored
        self._encode = encode
        self._decode = decode
        self._keeps = keeps

    def get(self, cache: "Cache", key: K, decode: Callable[[bytes], V] | None = None) -> V | None:
        """The value of a key; None if there is none. `decode` may read only a part of it."""
        raw = cache.get(self._kind, key)
        if raw is None:
            return None
        try:
            return (decode or self._decode)(raw)
        except _MALFORMED:
            cache.delete(self._kind, key)
            return None

    def has(self, cache: "Cache", key: K) -> bool:
        """Whether there is a row. Does not decode it."""
        return cache.get(self._kind, key) is not None

    def keys(self, cache: "Cache") -> list[str]:
        """The keys of all rows, the least recently used first."""
        return [key for key, _ in cache.entries(self._kind)]

    def all(self, cache: "Cache") -> dict[str, V]:
        """All values by key, the least recently used first."""
        found: dict[str, V] = {}
        for key, raw in cache.entries(self._kind):
            try:
                found[key] = self._decode(raw)
            except _MALFORMED:
                cache.delete(self._kind, key)
        return found

    def delete(self, cache: "Cache", key: K) -> None:
        """Forget a value, if there is one."""
        cache.delete(self._kind, key)

    def put(self, cache: "Cache", key: K, value: V) -> None:
        """Remember a value."""
        self.put_many(cache, [(key, value)])

    def put_many(self, cache: "Cache", items: Iterable[tuple[K, V]]) -> None:
        """Remember several values in one transaction."""
        rows: list[tuple[str, bytes, str]] = []
        before: V | None = None
        for key, value in items:
            # One value under several keys is encoded once.
            made = rows[-1][1:] if rows and value is before else (self._encode(value), self._kept(value))
            rows.append((key, *made))
            before = value
        cache.put_rows(self._kind, rows)

    def put_encoded(self, cache: "Cache", key: K, raw: bytes) -> None:
        """Remember an encoded value."""
        assert self._keeps is None
        cache.put(self._kind, key, raw)

    def _kept(self, value: V) -> str:
        kept = self._keeps(value) if self._keeps is not None else Kept()
        return "\n".join((*map("blob {}".format, kept.digests), *map("snapshot {}".format, kept.snapshots)))


def kept(cache: "Cache", kinds: Iterable[Kind] | None = None) -> Kept:
    """What the rows of these kinds (by default of all kinds) keep alive."""
    declared = [kind for kind in globals().values() if isinstance(kind, Kind)] if kinds is None else kinds
    digests: set[Digest] = set()
    snapshots: set[str] = set()
    for kind in declared:
        for line in cache.kept(kind.stored) if kind.keeps else ():
            what, _, name = line.partition(" ")
            if what == "blob":
                digests.add(Digest(name))
            else:
                snapshots.add(name)
    return Kept(frozenset(digests), frozenset(snapshots))
