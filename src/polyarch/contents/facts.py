"""Facts about the files of a layer, collected in one read of it (`reading`) and remembered by diff id."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents import listings, packages, reading
from polyarch.contents.binaries import Binary, identify, is_candidate
from polyarch.contents.layer import LayerBlob
from polyarch.contents.packages import PackageList
from polyarch.errors import PolyarchError
from polyarch.oci.place import Readable, Source
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.listing import ListedEntry, Listing
    from polyarch.oci.digest import Digest
    from polyarch.store import Store

_MAX_TEXT = 1 << 20
_PIECE = 1 << 20


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """Facts about the files of a layer, by the offset of their data, which is unique in a layer. `texts` are the files
    that configure the search path of libraries; `packages` are the databases of package managers.
    """

    binaries: dict[int, Binary]
    texts: dict[int, str]
    packages: dict[int, PackageList]


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
        with progress.reported(self._emit, f"check {layer.diff_id}", f"read {layer.blob.digest}"):
            wanted = interests if briefly else None
            known = listings.find(self._store, layer.diff_id, wanted) if self._store is not None else None
            collector = FactsCollector()
            listing = reading.visit(self._source, layer, self._store, known, interests, collector.look)
            facts = collector.facts()
            if self._store is not None:
                _FACTS.put(self._store.cache, layer.diff_id, facts)
            return listing, facts


class FactsCollector:
    """Collects the facts of one layer while its files are read. It owns nothing."""

    def __init__(self) -> None:
        self._binaries: dict[int, Binary] = {}
        self._texts: dict[int, str] = {}
        self._packages: dict[int, PackageList] = {}

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
