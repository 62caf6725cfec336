"""Garbage collection: remove content that no tag, no running process and no policy of the caller needs.

The store is locked while garbage is found, blobs are unlinked and snapshots moved to tmp/; trees are removed later.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import tables_of
from polyarch.store import disk, leases, referring, temporary
from polyarch.store.blobs import REPAIR, Blobs
from polyarch.store.caches import Caches
from polyarch.store.leases import Leased
from polyarch.store.manifests import KINDS, Manifests, children
from polyarch.store.snapshots import Snapshots
from polyarch.store.tags import Tags

_DIGEST_LENGTH = 64


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection keeps besides tagged and leased content.

    `digests`: blobs; a manifest among them covers all that it names. `unnamed`: whether images that are kept without a
    name stay. `snapshots`: keys, None for every snapshot. `caches`: whether cache mounts and copies of emulators stay;
    cache mounts in use always do. `storage`: garbage is removed, least recently used first, only until the store takes
    at most this many bytes. `cache_limit`: the same for everything that no image needs. `only`: only these blobs are
    removed (those of a name that was just removed). `used_since`: what was used at this time (Unix time) or later
    stays.
    """

    digests: frozenset[Digest] = frozenset()
    unnamed: bool = True
    snapshots: frozenset[str] | None = frozenset()
    caches: bool = True
    storage: int | None = None
    cache_limit: int | None = None
    only: frozenset[Digest] | None = None
    used_since: float | None = None

    @property
    def measures_snapshots(self) -> bool:
        """Whether the collection looks at snapshots and cache mounts, and not only at blobs."""
        return self.snapshots is not None or self.storage is not None or not self.caches


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """A blob (`name` is its digest), a snapshot (its key), a cache mount, or a copy of an emulator (its digest).

    `size` is its bytes on disk, `used` when it was last used (Unix time). `needed`: an image of the store needs it;
    `named`: one that has a name. `leased`: a running command uses it. `spared`: the current `Keep` names it.
    """

    kind: Literal["blob", "snapshot", "cache", "emulator"]
    name: str
    size: int
    used: float
    needed: bool = False
    named: bool = False
    leased: bool = False
    spared: bool = False


class Reclaimed(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be. `left`: files that only a process inside their user namespace can remove.

    `cache` is how many bytes remain that no image needs; 0 if snapshots were not looked at.
    """

    removed: tuple[Garbage, ...]
    temporary: int
    left: bool = False
    cache: int = 0

    @property
    def size(self) -> int:
        """The bytes of all that was removed."""
        return sum(item.size for item in self.removed)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The items on disk, and how many bytes of them are garbage for a given `Keep`."""

    items: tuple[Garbage, ...]
    garbage: int

    @property
    def blobs(self) -> int:
        """The bytes of all blobs."""
        return sum(item.size for item in self.items if item.kind == "blob")

    @property
    def cache(self) -> int:
        """The bytes of the items that no image needs."""
        return _cache_of(self.items)


class GarbageCollector:
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

        Raises CorruptError if the manifest of a tag is damaged: what it names is unknown, and could be removed as
        garbage.
        """
        keep = keep or Keep()
        if keep.measures_snapshots:
            self._measure()
        with self._grave() as grave, self._blobs.lease.stepping_aside() as ours, self._blobs.lock.exclusive(timeout):
            everything = self._everything(keep, ours)
            garbage = _chosen(everything, [item for item in everything if _is_garbage(item, keep)], keep)
            self._blobs.trace("gc:marked")
            if not dry_run:
                removed: list[Garbage] = []
                with disk.explained("remove garbage", self._layout.root):
                    for item in garbage:
                        if self._remove(item, grave):
                            removed.append(item)
                        self._blobs.trace("gc:removed")
                garbage = removed
            cache = _cache_of(everything) - _cache_of(garbage) if keep.measures_snapshots else 0
            if keep.measures_snapshots and not dry_run:
                self._blobs.growth.correct(cache)
        if any(item.kind == "blob" for item in garbage) and not dry_run:
            with contextlib.suppress(PolyarchError):  # a full disk; entries without content are ignored
                referring.tidy(self._tags, self._blobs)
        dead = 0 if dry_run else temporary.reclaim(self._layout.temporary, stuck=True)
        left = any(name.endswith(temporary.STUCK) for name in os.listdir(self._layout.temporary))
        return Reclaimed(removed=tuple(garbage), temporary=dead, left=left, cache=cache)

    def usage(self, keep: Keep | None, timeout: float) -> Usage:
        """The current disk usage of the store. Raises as `run` does."""
        keep = keep or Keep()
        self._measure()
        with self._blobs.lease.stepping_aside() as ours, self._blobs.lock.exclusive(timeout):
            everything = self._everything(keep, ours)
        return Usage(items=tuple(everything), garbage=sum(item.size for item in everything if _is_garbage(item, keep)))

    def _measure(self) -> None:
        """Measure the items without a remembered size. That may take long, so it is done before the store is locked."""
        for key in self._snapshots.keys():  # noqa: SIM118 (no mapping)
            self._snapshots.size(key)
        for name in self._caches.names():
            self._caches.remembered_size(name)

    @contextlib.contextmanager
    def _grave(self) -> Iterator[str]:
        """The directory to which snapshots and cache mounts are moved; they are removed when the store is unlocked.

        It is locked, so that another command that starts meanwhile does not begin to remove them.
        """
        try:
            directory = temporary.TemporaryDirectory(self._layout.temporary)
        except PolyarchError:  # a full disk has no room for a directory
            yield self._layout.temporary
            return
        with directory as grave:
            yield str(grave)

    def _everything(self, keep: Keep, ours: Leased) -> list[Garbage]:
        """All blobs, and for some policies all snapshots and cache mounts; the store is locked.

        `ours` is what this process leases.
        """
        leased = leases.collect(self._layout)
        entries = self._tags.entries()
        referrers = entries.referrers
        try:
            named = self._reachable(entries.named.values(), (), referrers)
            needed = named | self._reachable(entries.unnamed, (), referrers)
            held = self._reachable((), leased.digests | ours.digests, referrers)
            spared = self._reachable((), keep.digests, referrers)
        except CorruptError as error:
            raise CorruptError(
                f"nothing was removed, because a manifest is damaged and its layers are unknown: {error.message}",
                REPAIR,
            ) from error
        found = [
            Garbage(
                kind="blob",
                name=digest,
                size=status.st_size,
                used=status.st_mtime,
                needed=digest in needed,
                named=digest in named,
                leased=digest in held,
                spared=digest in spared,
            )
            for digest, status in self._blobs.all()
        ]
        if keep.measures_snapshots:
            for key in self._snapshots.keys():  # noqa: SIM118 (no mapping)
                spared_too = keep.snapshots is None or key in keep.snapshots
                found.append(self._snapshot(key, leased=key in leased.snapshots | ours.snapshots, spared=spared_too))
            found += [self._cache(name) for name in self._caches.names()]
            found += self._emulators()
        return found

    def _snapshot(self, key: str, *, leased: bool, spared: bool) -> Garbage:
        used = os.lstat(self._snapshots.location(key)).st_mtime
        size = self._snapshots.size(key)
        return Garbage(kind="snapshot", name=key, size=size, used=used, leased=leased, spared=spared)

    def _cache(self, name: str) -> Garbage:
        return Garbage(
            kind="cache",
            name=name,
            size=self._caches.remembered_size(name),
            used=self._caches.used(name),
            leased=self._caches.is_used(name),
        )

    def _emulators(self) -> list[Garbage]:
        """The copies of emulators. One that is removed while it is registered stays usable for its users."""
        try:
            files = [file for file in os.scandir(self._layout.emulators) if len(file.name) == _DIGEST_LENGTH]
        except FileNotFoundError:
            return []
        stats = [(file.name, file.stat()) for file in files]
        return [Garbage(kind="emulator", name=name, size=one.st_size, used=one.st_mtime) for name, one in stats]

    def _reachable(
        self,
        entries: Iterable[Descriptor],
        others: Iterable[Digest],
        referrers: Mapping[Digest, Sequence[Descriptor]],
    ) -> set[Digest]:
        """The digests of all that the entries name, down to the layers and their tables of contents.

        Likewise of `others`, blobs of unknown type. The `referrers` of a manifest are needed as it is.
        """
        seen: set[Digest] = set()
        pending: list[Descriptor] = list(entries)
        for digest in others:
            seen.add(digest)
            pending.extend(referrers.get(digest, ()))
            document = self._manifests.find(digest)
            if document is not None:
                pending.extend((*children(document), *tables_of(document)))
        walked: set[Digest] = set()
        while pending:
            node = pending.pop()
            seen.add(node.digest)
            # Only manifests are opened. A damaged one stops the collection: what it names is unknown.
            if node.media_type in KINDS and node.digest not in walked:
                walked.add(node.digest)
                pending.extend(referrers.get(node.digest, ()))
                try:
                    document = self._manifests.peek(node)
                    pending.extend((*children(document), *tables_of(document)))
                except NotFoundError:
                    continue  # an index of which only some platforms were pulled
        return seen

    def _remove(self, item: Garbage, grave: str) -> bool:
        """Remove an item. Returns whether it is gone: a cache mount that is in use stays."""
        # Creates nothing, not even a directory: this must work on a full disk.
        if item.kind == "blob":
            with contextlib.suppress(FileNotFoundError):  # another process removed it first
                os.unlink(self._layout.blob(Digest(item.name)))
        elif item.kind == "emulator":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._layout.emulators}/{item.name}")
        elif item.kind == "cache":
            return self._caches.throw_away(item.name, grave)
        else:
            temporary.throw_away(self._snapshots.location(item.name), grave)
        return True


def _is_garbage(item: Garbage, keep: Keep) -> bool:
    recent = keep.used_since is not None and item.used >= keep.used_since
    if recent or item.spared or item.leased or (item.needed if keep.unnamed else item.named):
        return False
    match item.kind:
        case "blob":
            return keep.only is None or item.name in keep.only
        case "snapshot":
            return keep.snapshots is not None
        case "cache" | "emulator":
            return not keep.caches


def _cache_of(items: Iterable[Garbage]) -> int:
    """The bytes of the items that no image needs."""
    return sum(item.size for item in items if not item.needed)


def _chosen(everything: list[Garbage], garbage: list[Garbage], keep: Keep) -> list[Garbage]:
    garbage = sorted(garbage, key=lambda item: (item.used, item.name))
    if keep.cache_limit is not None:
        excess = _cache_of(everything) - keep.cache_limit
    elif keep.storage is not None:
        excess = sum(item.size for item in everything) - keep.storage
    else:
        return garbage
    chosen: list[Garbage] = []
    for item in garbage:
        if excess <= 0:
            break
        chosen.append(item)
        excess -= item.size
    return chosen
