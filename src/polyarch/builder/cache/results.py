"""Results of steps by their cache keys.

`StepResults` is the interface: a build asks one object, which may look in the local cache or elsewhere. A key is known
before anything runs, so a cached result costs no work and, if it is a blob in a registry, no download.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.builder.cache import packed
from polyarch.contents.layer import Layer, decode, encode
from polyarch.oci.platform import Platform
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.compression import Compression
    from polyarch.store import Store

_RESULTS: Table[str, Layer] = Table(tables.RESULT, encode, decode, packed.kept)


class StepResults(Protocol):
    """Finds and keeps the layers that steps made."""

    def find(self, key: str, compression: "Compression") -> Layer | None:
        """The layer that an earlier step made under this key, in any of its forms; None if there is none.

        If a layer was a snapshot, the blob of this compression that it was packed to may be returned with it.
        """
        ...

    def keep(self, key: str, layer: Layer) -> None:
        """Remember what a step made under a key."""
        ...

    def origin(self, key: str) -> str:
        """The cache in which the layer of this key was found, as the user calls it; empty for that of the store."""
        ...

    def misses(self, key: str) -> tuple[str, ...]:
        """Why each cache outside of the store does not have this key, as far as they were asked."""
        ...

    def fill_mount(self, identity: str, directory: str) -> bool:
        """Fill the empty directory of a new cache mount with what a cache has for it. Returns whether it did."""
        ...


class LocalResults:
    """The results in a store's cache: implements `StepResults`. It owns nothing."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def find(self, key: str, compression: "Compression") -> Layer | None:
        """Implements `StepResults`. Ignores a layer of which the store has neither the blob nor the snapshot any
        longer.
        """
        found = _RESULTS.get(self._store.cache, key)
        if found is None:
            return None
        if found.blob is not None:
            return found if self._store.has_blob(found.blob) else None
        unpacked = self._store.snapshots.get(found.snapshot) is not None
        blob = packed.find(self._store, found, compression)
        if blob is None:
            return found if unpacked else None
        # Both forms: a reader of the blob need not enter the namespace, and a mount of the snapshot need not unpack.
        return msgspec.structs.replace(blob, notes=found.notes, snapshot=found.snapshot if unpacked else blob.snapshot)

    def keep(self, key: str, layer: Layer) -> None:
        """Implements `StepResults`."""
        _RESULTS.put(self._store.cache, key, layer)

    def origin(self, key: str) -> str:
        """Implements `StepResults`."""
        return ""

    def misses(self, key: str) -> tuple[str, ...]:
        """Implements `StepResults`."""
        return ()

    def fill_mount(self, identity: str, directory: str) -> bool:
        """Implements `StepResults`."""
        return False

    def verdict(self, platform: Platform, key: str) -> bytes | None:
        """What a check on another machine found; never known here."""
        return None

    def close(self) -> None:
        """Nothing is open."""
