"""`prune` and `system df`: what the store takes, and what of it nothing needs."""

from collections.abc import Iterator
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


# What the cache holds of results that are blobs or snapshots: those of a build's steps (builder/perform/layer.py), and
# of ADD from a URL (builder/perform/http.py).
_RESULTS = ("result", "packed", "http")


class _Result(msgspec.Struct, frozen=True):
    """What of such a record says where the content is."""

    blob: Descriptor | None = None
    snapshot: str = ""
    digest: Digest = Digest("")


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each there are, and their bytes on disk. `usage.garbage` is what `prune` would give back.

    `spare` is what it would give back together with the build cache.
    """

    images: int
    unnamed: int
    snapshots: int
    caches: int
    usage: "Usage"
    spare: int
    cache: int


def space(store: "Store") -> Space:
    """What the store takes. Raises ConflictError where another command keeps it busy."""
    path = store.layout.cache
    return Space(
        images=len(store.tagged()),
        unnamed=len(store.kept()),
        snapshots=len(store.snapshots.keys()),
        caches=len(store.caches.names()),
        usage=store.usage(_keep(store, everything=False, storage=None)),
        spare=store.usage(_keep(store, everything=True, storage=None)).garbage,
        cache=_size(path) + _size(f"{path}-wal"),
    )


def prune(
    store: "Store", *, everything: bool = False, storage: int | None = None, dry_run: bool = False
) -> "Reclaimed":
    """Remove images without a name, and all that neither a name nor the build cache needs. With `everything` the
    build cache goes too: results of steps, cache mounts, unpacked layers.

    With `storage`, the build cache goes as well, but only until the store takes no more than so many bytes, the
    longest unused first. Inside a user namespace that some files need, `Store.reclaim` removes what is `left`. Raises
    ConflictError, CorruptError.
    """
    keep = _keep(store, everything=everything, storage=storage)
    if dry_run:
        return store.gc(keep, dry_run=True)
    for descriptor in store.kept():
        store.forget(descriptor.digest)
    reclaimed = store.gc(keep)
    if everything and storage is None:
        store.cache.clear()
    return reclaimed


def _keep(store: "Store", *, everything: bool, storage: int | None) -> "Keep":
    from polyarch.store import Keep

    if everything:
        return Keep(caches=False, storage=storage)
    snapshots = _snapshots(store)
    if storage is not None:
        return Keep(snapshots=frozenset(snapshots), caches=False, storage=storage)
    results = list(_results(store))
    blobs = {digest for result in results if (digest := result.blob.digest if result.blob else result.digest)}
    return Keep(digests=frozenset(blobs), snapshots=frozenset(snapshots | {result.snapshot for result in results}))


def _results(store: "Store") -> Iterator[_Result]:
    """What the build cache says that it has. Of another version it has nothing."""
    for kind in _RESULTS:
        for _, raw in store.cache.entries(kind):
            try:
                yield msgspec.json.decode(raw, type=_Result)
            except (msgspec.DecodeError, ValueError, RecursionError):
                continue


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
