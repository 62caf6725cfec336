"""Administration of a store: its disk usage, its integrity, and the removal of unneeded content."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import PolyarchError
from polyarch.store import temporary
from polyarch.store.cache import Cache
from polyarch.store.caches import Caches
from polyarch.store.gc import GarbageCollector, Keep, Reclaimed, Usage
from polyarch.store.snapshots import Snapshots

if TYPE_CHECKING:
    from polyarch.store.blobs import Blobs
    from polyarch.store.manifests import Manifests
    from polyarch.store.tags import Tags
    from polyarch.store.verify import StoreProblem, StoreVerifier

# The part of the limit that is freed in addition if the cache exceeds it, and seconds to wait for other commands.
_ROOM = 10
_BUSY = 0.05
# Bytes of cache that are freed if a removal finds the disk full.
_FOOTHOLD = 1 << 20


class Maintenance:
    """The value of `Store.maintenance`. It works on the parts of that store, and owns nothing."""

    def __init__(
        self, blobs: "Blobs", manifests: "Manifests", tags: "Tags", snapshots: Snapshots, caches: Caches, cache: Cache
    ) -> None:
        self._blobs = blobs
        self._manifests = manifests
        self._tags = tags
        self._cache = cache
        self._collector = GarbageCollector(blobs, manifests, tags, snapshots, caches)

    def gc(self, keep: Keep | None = None, *, dry_run: bool = False, timeout: float = 30) -> Reclaimed:
        """Remove what neither a tag nor a running process (including this one) nor `keep` needs. Raises ConflictError
        if the store is not free within `timeout` seconds, CorruptError if a manifest that a tag needs is damaged.
        """
        return self._collector.run(keep, dry_run=dry_run, timeout=timeout)

    def reclaim(self) -> int:
        """Remove the leftovers of dead processes that belong to ids of a user namespace. Returns the number of
        directories. For a process that has entered such a namespace: `Store.open` has already removed the others.
        """
        return temporary.reclaim(self._blobs.layout.temporary, stuck=True)

    def usage(self, keep: Keep | None = None, *, timeout: float = 30) -> Usage:
        """The disk usage of the store. Raises as `gc` does."""
        return self._collector.usage(keep, timeout)

    def verify(self, progress: Callable[[int], None] | None = None) -> "Iterator[StoreProblem]":
        """Read every blob, follow every reference, and yield each problem as it is found. `progress` is called with the
        size of each blob that has been read; `usage` has their sum.
        """
        return self._verifier().problems(progress)

    def repair(self, problem: "StoreProblem") -> bool:
        """Remove corrupt content, so that it can be fetched or made again. Returns whether that was possible. Removes
        corrupt blobs and stray files. A damaged index.json is set aside, and the images in the store are kept without
        their names. Missing content must be pulled or built again.
        """
        return self._verifier().repair(problem)

    def trim(self, limit: int) -> bool:
        """If the cache has grown beyond `limit` bytes, remove the least recently used part. Returns whether files are
        left that only a process inside their user namespace can remove. Does not raise for a store that is busy or
        damaged: the next command tries again.
        """
        estimate = self._blobs.growth.estimate()
        # More than necessary is freed, so that the next commands need not do this again.
        aim = limit if estimate is None else limit - limit // _ROOM
        with contextlib.suppress(PolyarchError, OSError, KeyboardInterrupt):
            self._cache.trim(limit // _ROOM)
            keep = Keep(caches=False, cache_limit=max(aim - self._cache.size(), 0))
            return self.gc(keep, timeout=_BUSY).left
        return False

    def make_room(self) -> None:
        """Remove a little cache from a full disk, so that a removal has space for what it must write."""
        keep = Keep(caches=False)
        # An error here (a damaged manifest, another command) is reported when the removal fails again.
        with contextlib.suppress(PolyarchError):
            cache = self.usage(keep, timeout=_BUSY).cache
            self.gc(msgspec.structs.replace(keep, cache_limit=max(cache - _FOOTHOLD, 0)), timeout=_BUSY)

    def _verifier(self) -> "StoreVerifier":
        from polyarch.store.verify import StoreVerifier

        return StoreVerifier(self._blobs, self._manifests, self._tags)
