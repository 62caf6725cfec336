"""`prune`: remove unused content."""

import shutil
from typing import TYPE_CHECKING

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.store import tables
from polyarch.transfer import choose

if TYPE_CHECKING:
    from polyarch.store import Keep, Reclaimed, Store


def prune(
    store: "Store",
    *,
    everything: bool = False,
    storage: int | None = None,
    used_since: float | None = None,
    only_mounts: bool = False,
    dry_run: bool = False,
) -> "Reclaimed":
    """Remove images without a name, and content that neither a name nor the build cache needs. With `everything`, also
    remove the build cache: results of steps, cache mounts, unpacked layers. With `storage`, remove it only until the
    store takes no more than so many bytes, the least recently used first. What was used at the time `used_since` or
    later stays, and so do all images. With `only_mounts`, nothing but cache mounts goes, and copies of emulators, which
    the next RUN makes again. `Maintenance.reclaim` removes what is `left`, inside the user namespace of those
    files. Raises ConflictError, CorruptError.
    """
    if only_mounts:
        from polyarch.store import Keep

        keep = Keep(snapshots=None, caches=False, storage=storage, only=frozenset(), used_since=used_since)
        return store.maintenance.gc(keep, dry_run=dry_run)
    keep = keep_for(store, everything=everything, storage=storage)
    if used_since is not None:
        import msgspec

        return store.maintenance.gc(msgspec.structs.replace(keep, used_since=used_since, unnamed=True), dry_run=dry_run)
    if dry_run:
        return store.maintenance.gc(keep, dry_run=True)
    if kept := store.kept():
        store.drop((), [descriptor.digest for descriptor in kept])
    reclaimed = store.maintenance.gc(keep)
    if everything and storage is None:
        store.cache.clear()
        shutil.rmtree(store.layout.contexts, ignore_errors=True)
    return reclaimed


def keep_for(store: "Store", *, everything: bool = False, storage: int | None = None) -> "Keep":
    """What `prune` with these options keeps, besides images with a name and the content that running commands use."""
    from polyarch.store import Keep

    if everything:
        return Keep(unnamed=False, caches=False, storage=storage)
    snapshots = frozenset(layers_of_images(store))
    if storage is not None:
        return Keep(unnamed=False, snapshots=snapshots, caches=False, storage=storage)
    kept = tables.kept(store.cache)
    return Keep(unnamed=False, digests=kept.digests, snapshots=snapshots | kept.snapshots)


def layers_of_images(store: "Store") -> dict[str, str]:
    """The keys under which layers of named images may be unpacked, and the name of one such image for each."""
    keys: dict[str, str] = {}
    for name, descriptor in store.tagged().items():
        for manifest in _manifests(store, descriptor):
            try:
                diff_ids = choose.read_config(store, manifest).diff_ids
            except (NotFoundError, CorruptError):
                continue
            for key in (*diff_ids, *digests.chain_ids(diff_ids)):
                keys.setdefault(key, name)
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
            # A platform that was never pulled has no unpacked layers; `fsck` reports damaged content.
            continue
        if isinstance(document, Index):
            pending += indexes.images(document)
        else:
            found.append(document)
    return found
