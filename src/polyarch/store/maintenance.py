"""Administration of a store: how much it takes, whether it is whole, and what of it can go."""

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

# The part of the limit that is freed beyond need where the cache has passed it, and seconds to wait for other commands.
_ROOM = 10
_BUSY = 0.05
# Bytes of cache that are freed where a removal finds the disk full.
_FOOTHOLD = 1 << 20


class Maintenance:
    """What `Store.maintenance` gives. It works on the parts of that store, and owns nothing."""

    def __init__(
        self, blobs: "Blobs", manifests: "Manifests", tags: "Tags", snapshots: Snapshots, caches: Caches, cache: Cache
    ) -> None:
        self._blobs = blobs
        self._manifests = manifests
        self._tags = tags
        self._cache = cache
        self._collector = GarbageCollector(blobs, manifests, tags, snapshots, caches)

    def gc(self, keep: Keep | None = None, *, dry_run: bool = False, timeout: float = 30) -> Reclaimed:
        """Remove what no tag, no living process (this one included) and not `keep` needs.

        Raises ConflictError when the store is not free within `timeout` seconds, CorruptError when a manifest that a
        tag needs is damaged.
        """
        return self._collector.run(keep, dry_run=dry_run, timeout=timeout)

    def reclaim(self) -> int:
        """Remove what dead processes left, and also what belongs to ids of a user namespace; how many directories.

        For a process that has entered such a namespace: `Store.open` has already removed the rest.
        """
        return temporary.reclaim(self._blobs.layout.temporary, stuck=True)

    def usage(self, keep: Keep | None = None, *, timeout: float = 30) -> Usage:
        """What the store takes on disk. Raises as `gc` does."""
        return self._collector.usage(keep, timeout)

    def verify(self, progress: Callable[[int], None] | None = None) -> "Iterator[StoreProblem]":
        """Read every blob and follow every reference: what is wrong, as it is found.

        `progress` is called with the size of each blob that has been read; `usage` gives the sum.
        """
        return self._verifier().problems(progress)

    def repair(self, problem: "StoreProblem") -> bool:
        """Remove what is wrong, so that it can be fetched or made again; whether that was possible.

        A corrupt blob and a stray file are removed. A damaged index.json is set aside, and the images that are here
        are kept without their names. What is absent must be pulled or built again.
        """
        return self._verifier().repair(problem)

    def trim(self, limit: int) -> bool:
        """Where the cache has grown beyond `limit` bytes, remove what was unused the longest.

        Returns whether files are left that only a process inside their user namespace can remove. Never raises for a
        store that is busy or damaged: the next command tries again.
        """
        estimate = self._blobs.growth.estimate()
        # Some room is made at once, so that the next commands need not look again.
        aim = limit if estimate is None else limit - limit // _ROOM
        with contextlib.suppress(PolyarchError, OSError, KeyboardInterrupt):
            self._cache.trim(limit // _ROOM)
            keep = Keep(caches=False, cache_limit=max(aim - self._cache.size(), 0))
            return self.gc(keep, timeout=_BUSY).left
        return False

    def make_room(self) -> None:
        """Remove a little cache from a full disk, so that a removal can write what it has to."""
        keep = Keep(caches=False)
        # What stands in the way (a damaged manifest, another command) is reported when the removal fails again.
        with contextlib.suppress(PolyarchError):
            cache = self.usage(keep, timeout=_BUSY).cache
            self.gc(msgspec.structs.replace(keep, cache_limit=max(cache - _FOOTHOLD, 0)), timeout=_BUSY)

    def _verifier(self) -> "StoreVerifier":
        from polyarch.store.verify import StoreVerifier

        return StoreVerifier(self._blobs, self._manifests, self._tags)
