"""What is in a cache, and what is removed from it: for `polyarch cache`."""

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from polyarch.buildcache.carrier import Carrier
from polyarch.buildcache.values import CachedLayer, CachedMount, PlatformCache, mount_name, tidied
from polyarch.errors import NotFoundError
from polyarch.oci import layer_table
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


@runtime_checkable
class Collecting(Protocol):
    """A carrier that keeps the blobs that no cache names, until it is told to remove them."""

    def collect(self) -> None:
        """Remove the blobs that no cache names. Those that were written lately may belong to a build that still runs,
        and stay. Raises RegistryError.
        """


class CacheItem(msgspec.Struct, frozen=True, kw_only=True):
    """The layer of a step, or the content of a cache mount. `name` is the step, or the mount's id; `key` finds it.

    `created` is a time (RFC 3339) and `used` a day. `size` is that of the blob in bytes.
    """

    kind: Literal["layer", "mount"]
    platform: Platform
    name: str
    key: str
    digest: Digest
    size: int
    created: str
    used: str


class CacheContents(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache has for one platform, most recently used first. `size` counts every blob once, in bytes."""

    platform: Platform
    items: tuple[CacheItem, ...]
    size: int


class PruneLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What to remove: `everything`, what was last used before the day `before`, and what was used least recently, until
    not more than `size` bytes are left. Only from the cache of `platforms`, if they are given.
    """

    platforms: tuple[Platform, ...] = ()
    everything: bool = False
    before: str = ""
    size: int | None = None


def read(carrier: Carrier, platforms: Iterable[Platform], default: Platform) -> tuple[CacheContents, ...]:
    """What the cache has for these platforms, or for all. `default` is for a cache that cannot list its platforms.

    Raises NotFoundError if there is no cache, or none for a platform that was given; UnsupportedError, CorruptError,
    RegistryError.
    """
    given = tuple(platforms)
    found: list[CacheContents] = []
    there = False
    for platform in given or carrier.platforms() or (default,):
        cache = carrier.read(platform)
        there = there or cache is not None
        if cache is None and given:
            known = ", ".join(map(str, carrier.platforms())) or "none"
            raise NotFoundError(f"{carrier.where} has nothing for {platform}", f"it has: {known}")
        if cache is not None and (cache.entries or cache.mounts or given):
            found.append(_contents(platform, cache))
    if not there:
        raise NotFoundError(f"{carrier.where} has no cache in it", "build it with --cache-to")
    return tuple(found)


def size_of(contents: Iterable[CacheContents]) -> int:
    """The size of the blobs of several platforms in bytes, each counted once."""
    return sum({item.digest: item.size for one in contents for item in one.items}.values())


def prune(carrier: Carrier, limits: PruneLimits, default: Platform, *, dry_run: bool = False) -> tuple[CacheItem, ...]:
    """Remove a part of a cache, and return it; with `dry_run`, only return it.

    What another build uses or adds meanwhile stays. Raises as `read` does.
    """
    contents = read(carrier, limits.platforms, default)
    gone = _chosen(contents, limits)
    if not dry_run:
        for one in contents:
            own = [item for item in gone if item.platform == one.platform]
            if own or limits.everything:
                carrier.write(one.platform, _Removal(own, everything=limits.everything))
        if isinstance(carrier, Collecting):
            carrier.collect()
    return gone


class _Removal:
    """The change of a cache that removes these items, unless they were used or made again since they were seen."""

    def __init__(self, items: Sequence[CacheItem], *, everything: bool) -> None:
        self._gone = {(item.kind, item.key): (item.digest, item.used) for item in items}
        self._everything = everything

    def __call__(self, known: PlatformCache | None) -> PlatformCache:
        if known is None:
            return PlatformCache()
        return tidied(
            PlatformCache(
                entries={key: one for key, one in known.entries.items() if self._stays("layer", key, one)},
                mounts={key: one for key, one in known.mounts.items() if self._stays("mount", key, one)},
                verdicts={} if self._everything else known.verdicts,
                blobs=known.blobs,
            )
        )

    def _stays(self, kind: Literal["layer", "mount"], key: str, found: CachedLayer | CachedMount) -> bool:
        return self._gone.get((kind, key)) != (found.blob, found.used)


def _chosen(contents: Iterable[CacheContents], limits: PruneLimits) -> tuple[CacheItem, ...]:
    items = sorted((item for one in contents for item in one.items), key=_age, reverse=True)
    kept: set[Digest] = set()
    gone: list[CacheItem] = []
    size = 0
    for item in items:
        more = 0 if item.digest in kept else item.size
        too_old = item.used < limits.before
        too_much = limits.size is not None and size + more > limits.size
        if limits.everything or too_old or too_much:
            gone.append(item)
        else:
            kept.add(item.digest)
            size += more
    return tuple(gone)


def _contents(platform: Platform, cache: PlatformCache) -> CacheContents:
    items = [_item("layer", platform, one.step, key, one, cache) for key, one in cache.entries.items()]
    items += [_item("mount", platform, mount_name(key)[0], key, one, cache) for key, one in cache.mounts.items()]
    items.sort(key=_age, reverse=True)
    return CacheContents(
        platform=platform, items=tuple(items), size=sum({item.digest: item.size for item in items}.values())
    )


def _item(
    kind: Literal["layer", "mount"],
    platform: Platform,
    name: str,
    key: str,
    found: CachedLayer | CachedMount,
    cache: PlatformCache,
) -> CacheItem:
    blob = cache.blobs[found.blob]
    table = layer_table.find(blob)
    extra = table.size if table is not None and table.offset is None else 0
    return CacheItem(
        kind=kind,
        platform=platform,
        name=name,
        key=key,
        digest=found.blob,
        size=blob.size + extra,
        created=found.created,
        used=found.used,
    )


def _age(item: CacheItem) -> tuple[str, str, str]:
    return item.used, item.created, item.key
