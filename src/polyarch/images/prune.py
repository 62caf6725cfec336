"""`prune` and `system df`: what the store takes, and what of it nothing needs."""

from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.images import choose
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest

if TYPE_CHECKING:
    from polyarch.store import Keep, Reclaimed, Store, Usage


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each there are, and their bytes on disk. `garbage` is what `prune` would give back."""

    images: int
    unnamed: int
    snapshots: int
    usage: "Usage"
    cache: int


def space(store: "Store") -> Space:
    """What the store takes. Raises ConflictError where another command keeps it busy."""
    path = store.layout.cache
    return Space(
        images=len(store.tagged()),
        unnamed=len(store.kept()),
        snapshots=len(store.snapshots.keys()),
        usage=store.usage(_keep(store, everything=False, storage=None)),
        cache=_size(path) + _size(f"{path}-wal"),
    )


def prune(
    store: "Store", *, everything: bool = False, storage: int | None = None, dry_run: bool = False
) -> "Reclaimed":
    """Remove images without a name and all that no name needs: layers that only a build's cache remembers, and
    unpacked layers of no image here; with `everything`, unpacked layers of images as well, and the cache itself.

    `storage` stops when the store takes no more than so many bytes. Raises ConflictError, CorruptError.
    """
    keep = _keep(store, everything=everything, storage=storage)
    if dry_run:
        return store.gc(keep, dry_run=True)
    for descriptor in store.kept():
        store.forget(descriptor.digest)
    reclaimed = store.gc(keep)
    if everything:
        store.cache.clear()
    return reclaimed


def _keep(store: "Store", *, everything: bool, storage: int | None) -> "Keep":
    from polyarch.store import Keep

    snapshots = frozenset() if everything else frozenset(_snapshots(store))
    return Keep(snapshots=snapshots, storage=storage)


def _snapshots(store: "Store") -> set[str]:
    """The keys under which layers of named images may be unpacked."""
    keys: set[str] = set()
    for descriptor in store.tagged().values():
        for manifest in _manifests(store, descriptor):
            try:
                diff_ids = choose.read_config(store, manifest).diff_ids
            except (NotFoundError, CorruptError):
                continue
            keys.update(diff_ids, digests.chain_ids(diff_ids))
    return keys


def _manifests(store: "Store", root: Descriptor) -> list[Manifest]:
    found: list[Manifest] = []
    pending, seen = [root], set[Digest]()
    while pending:
        descriptor = pending.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        try:
            document = store.load(descriptor)
        except (NotFoundError, CorruptError):
            # A platform that was never pulled has nothing unpacked either; what is damaged, fsck names.
            continue
        if isinstance(document, Index):
            pending += indexes.images(document)
        else:
            found.append(document)
    return found


def _size(path: str) -> int:
    import os

    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
