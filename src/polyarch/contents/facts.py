"""Facts about the files of a layer, collected in one pass over its stream and remembered by diff id. The same pass
makes the listing if there is none yet. If the layer is compressed in blocks and its listing is known, only the blocks
with candidates are read, with range requests if its blob is in a registry.
"""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents import listings, packages
from polyarch.contents.binaries import Binary, identify, is_candidate
from polyarch.contents.layer import LayerBlob
from polyarch.contents.packages import Package
from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader, Ranged, Readable, Source
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.listing import ListedEntry, Listing
    from polyarch.layers.sequential import Opener
    from polyarch.oci.digest import Digest
    from polyarch.store import Store

_MAX_TEXT = 1 << 20
_PIECE = 1 << 20


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """Facts about the files of a layer, by the offset of their data, which is unique in a layer. `texts` are the files
    that configure the search path of libraries; `packages` are the lists of package managers.
    """

    binaries: dict[int, Binary]
    texts: dict[int, str]
    packages: dict[int, tuple[Package, ...]]


# Built here, as in `layers.listing`: several threads may decode the first one at the same time.
_decode = msgspec.msgpack.Decoder(Facts).decode
_FACTS: "Table[Digest, Facts]" = Table(tables.FACTS, msgspec.msgpack.encode, _decode)


class Learner:
    """Finds the facts of layers for one command; safe from many threads. It owns only locks.

    If `store` is None, nothing is remembered, and remembered listings are not used.
    """

    def __init__(self, source: Source, store: "Store | None", emit: progress.Emit = progress.ignore) -> None:
        self._source = source
        self._store = store
        self._emit = emit
        self._mutex = threading.Lock()
        self._busy: dict[Digest, threading.Lock] = {}
        self._known: dict[Digest, tuple[Listing, Facts]] = {}

    def learn(self, layer: LayerBlob) -> "tuple[Listing, Facts]":
        """Listing and facts of a layer. Raises CorruptError if it is damaged or does not match the config."""
        with self._mutex:
            lock = self._busy.setdefault(layer.diff_id, threading.Lock())
        with lock:
            known = self._known.get(layer.diff_id)
            if known is None:
                known = self._known[layer.diff_id] = self._remembered(layer) or self._read(layer)
            return known

    def facts(self, layer: LayerBlob) -> Facts:
        """Only the facts of a layer, without its listing, which can be large. Raises as `learn`."""
        known = _FACTS.get(self._store.cache, layer.diff_id) if self._store is not None else None
        return known or self._read(layer, briefly=True)[1]

    def _remembered(self, layer: LayerBlob) -> "tuple[Listing, Facts] | None":
        if self._store is None or (facts := _FACTS.get(self._store.cache, layer.diff_id)) is None:
            return None
        listing = listings.find(self._store, layer.diff_id)
        return None if listing is None else (listing, facts)

    def _read(self, layer: LayerBlob, *, briefly: bool = False) -> "tuple[Listing, Facts]":
        """Read the blob, and report progress. `briefly`: return only the relevant entries of a known listing."""
        unit = f"check {layer.diff_id}"
        self._emit(progress.Started(unit, f"read {layer.blob.digest}"))
        try:
            wanted = interests if briefly else None
            listing = listings.find(self._store, layer.diff_id, wanted) if self._store is not None else None
            learnt = self._scan(layer) if listing is None else (listing, self._read_files(layer, listing))
        except Exception as error:
            self._emit(progress.failed(unit, error))
            raise
        if self._store is not None:
            _FACTS.put(self._store.cache, layer.diff_id, learnt[1])
        self._emit(progress.Finished(unit))
        return learnt

    def _scan(self, layer: LayerBlob) -> "tuple[Listing, Facts]":
        collector = FactsCollector()
        with self._source.open_blob(layer.blob) as reader:
            listing = listings.read(layer, reader, self._store, collector.look)
        return listing, collector.facts()

    def _read_files(self, layer: LayerBlob, listing: "Listing") -> Facts:
        from polyarch.layers.sequential import read_files

        wanted = [entry for entry in listing.entries if interests(entry)]
        collector = FactsCollector()
        for entry, content in read_files(opener(self._source, layer, listing), listing, layer.blob.digest, wanted):
            collector.look(entry, content)
        return collector.facts()


class FactsCollector:
    """Collects the facts of one layer while its files are read. It owns nothing."""

    def __init__(self) -> None:
        self._binaries: dict[int, Binary] = {}
        self._texts: dict[int, str] = {}
        self._packages: dict[int, tuple[Package, ...]] = {}

    def look(self, entry: "ListedEntry", content: Readable) -> None:
        """Examine a file. Reads no more of it than necessary."""
        if is_search_path(entry.path) and entry.size <= _MAX_TEXT:
            self._texts[entry.offset] = _all(content).decode("utf-8", "replace")
        elif packages.is_list(entry):
            self._packages[entry.offset] = packages.read(entry.path, _all(content))
        elif is_candidate(entry):
            binary = identify(content)
            if binary is not None:
                self._binaries[entry.offset] = binary

    def facts(self) -> Facts:
        """The facts of all files so far."""
        return Facts(binaries=self._binaries, texts=self._texts, packages=self._packages)


def interests(entry: "ListedEntry") -> bool:
    """Whether a file must be examined."""
    return entry.kind == "file" and (
        is_candidate(entry) or (is_search_path(entry.path) and entry.size <= _MAX_TEXT) or packages.is_list(entry)
    )


def is_search_path(path: str) -> bool:
    """Whether a file configures the search path of a loader: ld.so.conf(5), or musl's own."""
    directory, _, name = path.rpartition("/")
    return (
        path == "etc/ld.so.conf"
        or (directory == "etc/ld.so.conf.d" and name.endswith(".conf"))
        or (directory == "etc" and name.startswith("ld-musl-") and name.endswith(".path"))
    )


def _all(content: Readable) -> bytes:
    return b"".join(iter(lambda: content.read(_PIECE), b""))


def opener(source: Source, layer: LayerBlob, listing: "Listing") -> "Opener":
    """A function that opens a layer's blob for reading files: in the middle, if the listing and the source allow it."""
    return _Opener(source, layer.blob, whole=not (listing.blob and listing.blob == layer.blob.digest))


class _Opener:
    """Opens a blob for reading files: from its beginning, verified, or in the middle, piece by piece."""

    def __init__(self, source: Source, blob: Descriptor, *, whole: bool) -> None:
        self._source = source
        self._blob = blob
        self._whole = whole or not isinstance(source, Ranged)

    def __call__(self, offset: int) -> BlobReader:
        if self._whole:
            if offset:
                raise CorruptError(f"{self._blob.digest} cannot be entered at byte {offset}")
            return self._source.open_blob(self._blob)
        assert isinstance(self._source, Ranged)
        return _Pieces(self._source, self._blob, offset)


class _Pieces:
    """A blob from an offset on, fetched a piece at a time. It owns nothing."""

    def __init__(self, source: Ranged, blob: Descriptor, offset: int) -> None:
        self._source = source
        self._blob = blob
        self._at = offset
        self._piece = b""
        self._used = 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if self._used == len(self._piece):
            left = self._blob.size - self._at
            if left <= 0 or not size:
                return b""
            self._piece, self._used = self._source.read_range(self._blob, self._at, min(_PIECE, left)), 0
            self._at += len(self._piece)
        start, self._used = self._used, min(self._used + size, len(self._piece))
        return self._piece[start : self._used]

    def close(self) -> None:
        return

    def __enter__(self) -> "_Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        return


def learn_all(
    learner: Learner, layers: Iterable[LayerBlob], workers: int
) -> "dict[Digest, tuple[Listing, Facts] | PolyarchError]":
    """Listing and facts of each layer, on a few threads; for a layer that fails, its PolyarchError."""
    from concurrent.futures import ThreadPoolExecutor

    distinct = list({layer.diff_id: layer for layer in layers}.values())

    def one(layer: LayerBlob) -> "tuple[Listing, Facts] | PolyarchError":
        try:
            return learner.learn(layer)
        except PolyarchError as error:
            return error

    with ThreadPoolExecutor(max(1, min(workers, len(distinct))), thread_name_prefix="check") as pool:
        return dict(zip((layer.diff_id for layer in distinct), pool.map(one, distinct), strict=True))
