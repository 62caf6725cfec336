"""Results of steps in caches outside of the store: `--cache-from`.

The cache of the store is asked first. A cache is asked only when a step is not there: its index, which names the keys
of every platform, and a platform's cache only if it has one of them. A layer that is found is not downloaded before
something reads it, and a push to the same registry mounts it.

A cache that is not there is a cache without results. One that cannot be read is reported once, and the build goes on.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.buildcache import documents
from polyarch.buildcache.carrier import Around, Carrier, Expiring, InRepository
from polyarch.buildcache.types import open_carrier
from polyarch.buildcache.values import CachedLayer, CachedMount, PlatformCache
from polyarch.buildcache.wanted import CacheSource
from polyarch.builder.cache.lost import LostLayers
from polyarch.builder.cache.results import LocalResults
from polyarch.contents.layer import Layer
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.transfer import publish

if TYPE_CHECKING:
    from polyarch.layers.compression import Compression
    from polyarch.transfer.read_through import ReadThroughSource


class RemoteResults:
    """Implements `StepResults`: the results of the store, and those of caches. It owns the carriers, until `close`.

    `platforms` are those of the build; `epoch` is the time (RFC 3339) that layers of a build with SOURCE_DATE_EPOCH
    have, whatever a cache says. Layers that are `lost` are not used. With `eager`, a cache is asked for each
    layer whether it still has it, for a build that cannot be done again.
    """

    def __init__(
        self,
        local: LocalResults,
        sources: Iterable[CacheSource],
        around: Around,
        source: "ReadThroughSource",
        platforms: Sequence[Platform],
        epoch: str | None,
        lost: LostLayers,
        *,
        eager: bool = False,
    ) -> None:
        self._lost = lost
        self._local = local
        self._around = around
        self._source = source
        self._epoch = epoch
        self._searches = [_Search(one, around, platforms, lost, eager=eager) for one in sources]
        self._origins: dict[str, str] = {}
        self._missed: set[str] = set()

    def find(self, key: str, compression: "Compression") -> Layer | None:
        """Implements `StepResults`."""
        found = self._local.find(key, compression)
        if found is not None:
            return found
        for search in self._searches:
            hit = search.find(key)
            if hit is not None:
                layer = self._layer(search.carrier, *hit)
                self._local.keep(key, layer)
                self._origins[key] = search.carrier.where
                self._lost.hits[hit[0].blob] = search.carrier.where
                return layer
        self._missed.add(key)
        return None

    def keep(self, key: str, layer: Layer) -> None:
        """Implements `StepResults`."""
        self._local.keep(key, layer)

    def origin(self, key: str) -> str:
        """Implements `StepResults`."""
        return self._origins.get(key, "")

    def misses(self, key: str) -> tuple[str, ...]:
        """Implements `StepResults`."""
        return tuple(search.miss for search in self._searches) if key in self._missed else ()

    def fill_mount(self, identity: str, directory: str) -> bool:
        """Implements `StepResults`: from the first cache that has the mount, and was asked for it with `mounts=`."""
        from polyarch.builder.cache import mounts

        mount = f"the cache mount {mounts.shown(identity)}"
        for search in self._searches:
            blob = search.mount(identity)
            if blob is None:
                continue
            where = search.carrier.where
            unit = f"cache mount {identity} from {where}"
            try:
                with (
                    progress.reported(self._around.emit, unit, f"filling {mount} from {where}"),
                    search.carrier.open_blob(blob) as content,
                ):
                    mounts.unpack(content, directory, self._around.store.largest_layer, self._noting(mount))
            except PolyarchError as error:
                message = f"{mount} is not filled from {where}: {error.message}"
                self._around.emit(progress.Warned(message, error.hint or ""))
            else:
                return True
        return False

    def _noting(self, mount: str) -> Callable[[str], None]:
        return lambda reason: self._around.emit(progress.Warned(f"{mount}: {reason}"))

    def verdict(self, platform: Platform, key: str) -> bytes | None:
        """What the check of an image's layers found on the machine that sent them to a cache (`builder/verify.py`)."""
        found = (search.verdict(platform, key) for search in self._searches)
        return next((content for content in found if content is not None), None)

    def close(self) -> None:
        """Close the carriers."""
        for search in self._searches:
            search.carrier.close()

    def _layer(self, carrier: Carrier, entry: CachedLayer, cache: PlatformCache) -> Layer:
        recorded = cache.blobs[entry.blob]
        blob = documents.layer_descriptor(recorded)
        table = layer_table.find(blob)
        listed = cache.blobs.get(table.digest) if table is not None and table.offset is None else None
        if isinstance(carrier, InRepository):
            seen = [blob.digest] if listed is None else [blob.digest, listed.digest]
            publish.remember_blobs(self._around.store, seen, carrier.reference)
        else:
            for one in (recorded, listed):
                if one is not None:
                    self._source.add(one, carrier)
        return Layer(created=self._epoch or entry.created, diff_id=entry.diff_id, blob=blob, notes=entry.notes)


class _Search:
    """One cache that is searched."""

    def __init__(
        self,
        source: CacheSource,
        around: Around,
        platforms: Sequence[Platform],
        lost: LostLayers,
        *,
        eager: bool,
    ) -> None:
        self.carrier = open_carrier(source.place, around)
        self._lost = lost
        self._eager = eager
        self._around = around
        self._platforms = platforms
        self._mounts = source.mounts
        # Layers from before this time (seconds since 1970) are not used.
        self._since = None if source.ttl is None else around.now - source.ttl
        self._lock = threading.Lock()
        self._read: dict[Platform, PlatformCache | None] = {}
        self._searched: tuple[Platform, ...] | None = None
        self._reason = ""
        self._removed = False

    @property
    def miss(self) -> str:
        """Why a step was not found here."""
        if self._removed:
            return self._reason or f"{self.carrier.where} has no result of it, or lost its layer"
        return self._reason or f"{self.carrier.where} has no result of it"

    def find(self, key: str) -> tuple[CachedLayer, PlatformCache] | None:
        """A layer, and the cache that names its blob: of a platform of the build, or else of any other. Steps that do
        not depend on a platform have the same key for all.
        """
        with self._lock:
            if self._searched is None:
                self._searched = self._begin()
            for platform in self._searched:
                try:
                    if not self.carrier.may_have(platform, key):
                        continue
                    cache = self.carrier.read(platform)
                    if cache is not None and key in cache.entries and self._is_gone(cache, cache.entries[key]):
                        continue
                except PolyarchError as error:
                    self._give_up(error)
                    return None
                entry = None if cache is None else cache.entries.get(key)
                self._read[platform] = cache
                if cache is not None and entry is not None and self._is_young(entry):
                    return entry, cache
        return None

    def mount(self, identity: str) -> Descriptor | None:
        """The blob of a cache mount that --cache-from names by `mounts=`."""
        from polyarch.builder.cache.mounts import named

        if not named(identity, self._mounts):
            return None
        with self._lock:
            if self._searched is None:
                self._searched = self._begin()
            for platform in self._searched:
                try:
                    cache = self.carrier.read(platform)
                except PolyarchError as error:
                    self._give_up(error)
                    return None
                found = None if cache is None else cache.mounts.get(identity)
                if cache is not None and found is not None and self._is_young(found):
                    return cache.blobs[found.blob]
        return None

    def verdict(self, platform: Platform, key: str) -> bytes | None:
        """A verdict, if the cache of this platform was read for its layers."""
        cache = self._read.get(platform)
        found = None if cache is None else cache.verdicts.get(key)
        return None if found is None else found.content

    def _is_gone(self, cache: PlatformCache, entry: CachedLayer) -> bool:
        """Whether a cache no longer has a layer, as far as that is known, or it removes blobs by itself."""
        asks = self._eager or isinstance(self.carrier, Expiring)
        if entry.blob not in self._lost and (not asks or self.carrier.has_blob(cache.blobs[entry.blob])):
            return False
        self._removed = True
        return True

    def _is_young(self, entry: CachedLayer | CachedMount) -> bool:
        if self._since is None:
            return True
        try:
            return datetime.fromisoformat(entry.created).timestamp() >= self._since
        except ValueError:
            return False

    def _begin(self) -> tuple[Platform, ...]:
        """The platforms whose caches are searched, after the first question to the carrier."""
        unit = f"cache from {self.carrier.where}"
        self._around.emit(progress.Started(unit, f"importing cache manifest from {self.carrier.where}"))
        try:
            return tuple(dict.fromkeys((*self._platforms, *self.carrier.platforms())))
        except PolyarchError as error:
            self._give_up(error)
            return ()
        finally:
            self._around.emit(progress.Finished(unit))

    def _give_up(self, error: PolyarchError) -> None:
        self._searched = ()
        where = self.carrier.where
        if isinstance(error, NotFoundError):
            self._reason = f"{where} does not exist yet"
            return
        reason = error.message if where in error.message else f"{where}: {error.message}"
        self._reason = reason
        self._around.emit(progress.Warned(f"the cache is not used: {reason}", error.hint or ""))
