"""Pack the layers of arrangements, each once: for all platforms of a build and for later builds."""

import threading
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.cache import packed
from polyarch.builder.cache.results import StepResults
from polyarch.builder.export.streaming import Uploads, no_upload
from polyarch.builder.perform.environment import StepSettings
from polyarch.contents.layer import Layer

# Imported where it is used: a cached build packs nothing.
if TYPE_CHECKING:
    from polyarch.builder.perform.copy.arrange import Arrangement
    from polyarch.builder.perform.copy.equal import EqualCopies
    from polyarch.store import Store


class LayerPacker:
    """Packs the arrangements of one build; safe from many threads. It owns nothing.

    A `series` names a copy whose layer changes little from build to build: its last layer is remembered, and blocks
    of that layer are used again.
    """

    def __init__(self, store: "Store", results: StepResults, settings: StepSettings) -> None:
        self._store = store
        self._results = results
        self._settings = settings
        self._lock = threading.Lock()
        # Held while the layer of this key is made, so that only one thread makes it.
        self._single_flight: dict[str, threading.Lock] = {}
        self._copies: EqualCopies | None = None
        self._packed_here: set[str] = set()
        self._series_here: set[str] = set()

    def layer(
        self, arrangement: "Arrangement", epoch: int | None, series: str = "", uploads: Uploads = no_upload
    ) -> Layer:
        """The layer that holds an arrangement, from the cache or packed now."""
        key = self._key(arrangement, epoch)
        with self._lock:
            flight = self._single_flight.setdefault(key, threading.Lock())
        with flight:
            # Without the cache, a layer that was packed for another platform of this build still serves.
            if not self._settings.no_cache or key in self._packed_here:
                known = self._results.find(key, self._settings.compression)
                if known is not None:
                    return known
            made = self._equal().layer(series, arrangement, lambda: self._pack(arrangement, series, uploads))
            self._keep(key, made)
            return made

    def pack(
        self, arrangement: "Arrangement", epoch: int | None, series: str = "", uploads: Uploads = no_upload
    ) -> Layer:
        """Pack an arrangement without looking for its layer first, and remember the layer."""
        layer = self._pack(arrangement, series, uploads)
        # Without times, the fingerprint is known now, and not before.
        self._keep(self._key(arrangement, epoch), layer)
        return layer

    def _equal(self) -> "EqualCopies":
        from polyarch.builder.perform.copy.equal import EqualCopies

        with self._lock:
            if self._copies is None:
                self._copies = EqualCopies()
            return self._copies

    def _keep(self, key: str, layer: Layer) -> None:
        self._results.keep(key, layer)
        self._packed_here.add(key)

    def _pack(self, arrangement: "Arrangement", series: str, uploads: Uploads) -> Layer:
        settings = self._settings
        like = packed.find_last(self._store, self._last(series)) if series else None
        if like is not None and series in self._series_here:
            # Mostly the copy is the same on another platform. Then the layer has been sent.
            uploads = no_upload
        entries = (placed.entry for placed in arrangement.items)
        blob = packed.pack(
            self._store, arrangement.contents(), settings.compression, settings.workers, like, uploads, entries
        )
        layer = msgspec.structs.replace(blob, created=settings.created)
        if series:
            packed.remember_last(self._store, self._last(series), layer)
            self._series_here.add(series)
        return layer

    def has_last(self, series: str) -> bool:
        """Whether an earlier layer of the series is remembered."""
        return packed.find_last(self._store, self._last(series)) is not None

    def _key(self, arrangement: "Arrangement", epoch: int | None) -> str:
        return f"{arrangement.fingerprint(times=False)}-{epoch}-{self._settings.compression.tag()}"

    def _last(self, series: str) -> str:
        return f"{series} {self._settings.compression.tag()}"
