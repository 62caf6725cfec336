"""Collecting garbage: what no tag, no living process and no policy of the caller needs.

The store is locked while garbage is found, blobs are unlinked and snapshots moved to tmp/; the trees are removed after.
"""

import contextlib
import os
from collections.abc import Iterable
from typing import Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import disk, leases, temporary, trees
from polyarch.store.blobs import REPAIR, Blobs
from polyarch.store.caches import Caches
from polyarch.store.manifests import KINDS, Manifests, children
from polyarch.store.snapshots import Snapshots
from polyarch.store.tags import Tags


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection spares besides tags and leases.

    `digests`: blobs; a manifest among them stands for all that it names. `snapshots`: keys, None for every
    snapshot. `caches`: whether cache mounts stay; those in use always do. `storage`: garbage is removed, longest
    unused first, only until the store takes no more than these bytes. `only`: no other blob than these is looked at,
    whatever it is (what a name had that was just removed).
    """

    digests: frozenset[Digest] = frozenset()
    snapshots: frozenset[str] | None = frozenset()
    caches: bool = True
    storage: int | None = None
    only: frozenset[Digest] | None = None

    @property
    def measures_snapshots(self) -> bool:
        """Whether the sizes of snapshots matter, which takes a walk through each."""
        return self.snapshots is not None or self.storage is not None or not self.caches


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """A blob (`name` is its digest), a snapshot (its key) or a cache mount; its bytes on disk, when it was last used.

    `used` is Unix time.
    """

    kind: Literal["blob", "snapshot", "cache"]
    name: str
    size: int
    used: float


class Reclaimed(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go. `left`: files that only a caller inside their user namespace can remove."""

    removed: tuple[Garbage, ...]
    temporary: int
    left: bool = False

    @property
    def size(self) -> int:
        """The bytes of all that went."""
        return sum(item.size for item in self.removed)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the store takes on disk, in bytes, and how much of that is garbage for a given `Keep`."""

    blobs: int
    snapshots: int
    caches: int
    garbage: int


class Collector:
    """Finds and removes the garbage of a store."""

    def __init__(self, blobs: Blobs, manifests: Manifests, tags: Tags, snapshots: Snapshots, caches: Caches) -> None:
        self._blobs = blobs
        self._layout = blobs.layout
        self._manifests = manifests
        self._tags = tags
        self._snapshots = snapshots
        self._caches = caches

    def run(self, keep: Keep | None = None, *, dry_run: bool, timeout: float) -> Reclaimed:
        """Remove garbage. Raises ConflictError when the store is not free within `timeout` seconds.

        Raises CorruptError when a tag's manifest is damaged: what it names cannot be told from garbage then.
        """
        keep = keep or Keep()
        sizes = self._sizes() if keep.measures_snapshots else {}
        with self._blobs.lock.exclusive(timeout):
            everything = self._everything(sizes) if keep.measures_snapshots else self._all_blobs()
            garbage = _chosen(everything, self._garbage(everything, keep), keep.storage)
            self._blobs.trace("gc:marked")
            if not dry_run:
                removed: list[Garbage] = []
                with disk.explained("remove garbage", self._layout.root):
                    for item in garbage:
                        if self._remove(item):
                            removed.append(item)
                        self._blobs.trace("gc:removed")
                garbage = removed
        dead = 0
        if not dry_run:
            moved = sum(item.kind != "blob" for item in garbage)
            dead = max(0, temporary.reclaim(self._layout.temporary, stuck=True) - moved)
        left = any(name.endswith(temporary.STUCK) for name in os.listdir(self._layout.temporary))
        return Reclaimed(removed=tuple(garbage), temporary=dead, left=left)

    def usage(self, keep: Keep | None, timeout: float) -> Usage:
        """What the store takes now. Raises as `run` does."""
        sizes = self._sizes()
        with self._blobs.lock.exclusive(timeout):
            everything = self._everything(sizes)
            garbage = self._garbage(everything, keep or Keep())
        return Usage(
            blobs=sum(item.size for item in everything if item.kind == "blob"),
            snapshots=sum(item.size for item in everything if item.kind == "snapshot"),
            caches=sum(item.size for item in everything if item.kind == "cache"),
            garbage=sum(item.size for item in garbage),
        )

    def _sizes(self) -> dict[str, int]:
        """The sizes of snapshots and cache mounts by their paths."""
        # Walking trees takes long, so it is done before the store is locked.
        paths = [self._snapshots.location(key) for key in self._snapshots.keys()]  # noqa: SIM118 (no mapping)
        paths += [self._caches.location(name) for name in self._caches.names()]
        return {path: trees.tree_size(path) for path in paths}

    def _all_blobs(self) -> list[Garbage]:
        return [
            Garbage(kind="blob", name=digest, size=status.st_size, used=status.st_mtime)
            for digest, status in self._blobs.all()
        ]

    def _everything(self, sizes: dict[str, int]) -> list[Garbage]:
        found = self._all_blobs()
        for key in self._snapshots.keys():  # noqa: SIM118 (no mapping)
            path = self._snapshots.location(key)
            size = sizes[path] if path in sizes else trees.tree_size(path)
            found.append(Garbage(kind="snapshot", name=key, size=size, used=os.lstat(path).st_mtime))
        for name in self._caches.names():
            size = sizes.get(self._caches.location(name), 0)
            found.append(Garbage(kind="cache", name=name, size=size, used=self._caches.used(name)))
        return found

    def _garbage(self, everything: list[Garbage], keep: Keep) -> list[Garbage]:
        leased = leases.collect(self._layout)
        entries = self._tags.entries()
        try:
            needed = self._reachable([*entries.named.values(), *entries.unnamed], keep.digests | leased.digests)
        except CorruptError as error:
            raise CorruptError(
                f"nothing was removed, because it is not known what a damaged manifest needs: {error.message}",
                REPAIR,
            ) from error
        return [
            item
            for item in everything
            if (item.kind == "blob" and item.name not in needed and (keep.only is None or item.name in keep.only))
            or (
                item.kind == "snapshot"
                and keep.snapshots is not None
                and item.name not in keep.snapshots
                and item.name not in leased.snapshots
            )
            or (item.kind == "cache" and not keep.caches)
        ]

    def _reachable(self, entries: Iterable[Descriptor], others: Iterable[Digest]) -> set[Digest]:
        """The digests of all that the entries name, down to the layers, and likewise of blobs of unknown type."""
        seen: set[Digest] = set()
        pending: list[Descriptor] = list(entries)
        for digest in others:
            seen.add(digest)
            document = self._manifests.find(digest)
            if document is not None:
                pending.extend(children(document))
        walked: set[Digest] = set()
        while pending:
            node = pending.pop()
            seen.add(node.digest)
            # Only a manifest is opened, and one that is damaged stops the collection: what it names is not known.
            if node.media_type in KINDS and node.digest not in walked:
                walked.add(node.digest)
                try:
                    pending.extend(children(self._manifests.peek(node)))
                except NotFoundError:
                    continue  # of an index with some platforms only
        return seen

    def _remove(self, item: Garbage) -> bool:
        """Whether it is gone: a cache mount that is in use stays."""
        # Nothing is made here, not even a directory: it has to work on a full disk.
        if item.kind == "blob":
            with contextlib.suppress(FileNotFoundError):  # another program was faster
                os.unlink(self._layout.blob(Digest(item.name)))
        elif item.kind == "cache":
            return self._caches.throw_away(item.name)
        else:
            temporary.throw_away(self._snapshots.location(item.name), self._layout.temporary)
        return True


def _chosen(everything: list[Garbage], garbage: list[Garbage], storage: int | None) -> list[Garbage]:
    garbage = sorted(garbage, key=lambda item: (item.used, item.name))
    if storage is None:
        return garbage
    excess = sum(item.size for item in everything) - storage
    chosen: list[Garbage] = []
    for item in garbage:
        if excess <= 0:
            break
        chosen.append(item)
        excess -= item.size
    return chosen
