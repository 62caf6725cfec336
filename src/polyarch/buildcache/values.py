"""What a cache holds for one platform, as a value, and how two of them become one.

A cache maps the key of a step (`builder/perform/keys.py`) to the layer that the step made. The keys are known before
anything runs, so a cache is a flat map: nothing in it refers to other steps.
"""

from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec

from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest

# A cache that only grows would fill its registry, and a manifest has at most 4 MiB: the entries that were not used for
# the longest time are left out.
MOST_ENTRIES = 5_000
MOST_VERDICTS = 500


class CachedLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The layer that a step made. `created` is when (RFC 3339), `used` the last day that a build needed it (RFC 3339's
    full-date). `step` names the step for people. `notes` are the warnings that every use of the layer repeats.
    """

    blob: Digest
    diff_id: Digest = msgspec.field(name="diffID")
    created: str
    used: str
    step: str = ""
    notes: tuple[tuple[str, str], ...] = ()


class CachedMount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a cache mount, as a layer. The fields are those of `CachedLayer`."""

    blob: Digest
    diff_id: Digest = msgspec.field(name="diffID")
    created: str
    used: str


class CachedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of an image's new layers found (`builder/verify.py`), so that it need not read them again."""

    content: bytes
    used: str


_Cached = TypeVar("_Cached", CachedLayer, CachedMount)


class PlatformCache(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache has for one platform: layers by the keys of steps, cache mounts by their ids, and verdicts.

    `blobs` has the descriptor of every blob that they name, and of the layers' tables of contents.
    """

    entries: Mapping[str, CachedLayer] = {}
    mounts: Mapping[str, CachedMount] = {}
    verdicts: Mapping[str, CachedVerdict] = {}
    blobs: Mapping[Digest, Descriptor] = {}


def mount_name(identity: str) -> tuple[str, str]:
    """The `id` of a cache mount in the Dockerfile, or its target without one; and its platform, empty if all share it.

    `identity` is `NAMESPACE/ID@PLATFORM`, or without the platform.
    """
    whole = identity.partition("/")[2]
    short, _, platform = whole.rpartition("@")
    return (short, platform) if "/" in platform else (whole, "")


def merged(
    known: PlatformCache | None, new: PlatformCache, used: Collection[str] = (), today: str = ""
) -> PlatformCache:
    """Both caches in one. `used` are the keys of steps that a build has now, whether their layers were read or not.

    Merging the result with `new` again gives the same result. Of two layers for one key the newest is kept. Of the same
    layer twice the time of its making is kept. The descriptors of `new` are used for blobs that are in both.
    """
    if known is None:
        known = PlatformCache()
    entries = {key: _again(entry, today) if key in used else entry for key, entry in known.entries.items()}
    for key, entry in new.entries.items():
        entries[key] = _newest(entries[key], entry) if key in entries else entry
    mounts = dict(known.mounts)
    for name, mount in new.mounts.items():
        mounts[name] = _newest(mounts[name], mount) if name in mounts else mount
    verdicts = {**known.verdicts, **new.verdicts}
    return tidied(PlatformCache(entries=entries, mounts=mounts, verdicts=verdicts, blobs={**known.blobs, **new.blobs}))


def unused_since(cache: PlatformCache, day: str) -> PlatformCache:
    """The cache without what was last used before `day` (RFC 3339's full-date)."""
    return tidied(
        PlatformCache(
            entries={key: entry for key, entry in cache.entries.items() if entry.used >= day},
            mounts={name: mount for name, mount in cache.mounts.items() if mount.used >= day},
            verdicts={name: verdict for name, verdict in cache.verdicts.items() if verdict.used >= day},
            blobs=cache.blobs,
        )
    )


def without(cache: PlatformCache, gone: Collection[Digest]) -> PlatformCache:
    """The cache without the layers and mounts whose blobs are gone."""
    if not gone:
        return cache
    return tidied(
        PlatformCache(
            entries={key: entry for key, entry in cache.entries.items() if entry.blob not in gone},
            mounts={name: mount for name, mount in cache.mounts.items() if mount.blob not in gone},
            verdicts=cache.verdicts,
            blobs={digest: blob for digest, blob in cache.blobs.items() if digest not in gone},
        )
    )


def tidied(cache: PlatformCache) -> PlatformCache:
    """The cache with at most `MOST_ENTRIES` entries, with only the blobs that they need, in the order of their keys."""
    entries = sorted(cache.entries.items())
    if len(entries) > MOST_ENTRIES:
        entries = sorted(sorted(entries, key=lambda item: item[1].used, reverse=True)[:MOST_ENTRIES])
    mounts = dict(sorted(cache.mounts.items()))
    named = {entry.blob for _, entry in entries} | {mount.blob for mount in mounts.values()}
    for digest in tuple(named):
        table = layer_table.find(cache.blobs[digest]) if digest in cache.blobs else None
        if table is not None:
            named.add(table.digest)
    blobs = {digest: descriptor for digest, descriptor in sorted(cache.blobs.items()) if digest in named}
    verdicts = sorted(sorted(cache.verdicts.items(), key=lambda item: item[1].used, reverse=True)[:MOST_VERDICTS])
    return PlatformCache(entries=dict(entries), mounts=mounts, verdicts=dict(verdicts), blobs=blobs)


def _again(entry: CachedLayer, today: str) -> CachedLayer:
    return msgspec.structs.replace(entry, used=max(entry.used, today))


def _newest(one: _Cached, other: _Cached) -> _Cached:
    used = max(one.used, other.used)
    if one.blob == other.blob:
        chosen = min(one, other, key=lambda cached: cached.created)
    else:
        chosen = max(one, other, key=lambda cached: (cached.created, cached.blob))
    return msgspec.structs.replace(chosen, used=used)
