"""`system df` and `buildx du`: the disk usage of the store, by kind and by item."""

import os
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch.images import names
from polyarch.images.prune import keep_for, layers_of_images
from polyarch.store import tables

if TYPE_CHECKING:
    from polyarch.store import Garbage, Store

# Build cache: blobs that no image needs. Index: the file of small facts (cache.db), which only `prune -a` empties.
Kind = Literal["build cache", "unpacked layer", "cache mount", "emulator", "index"]

_KINDS: "dict[str, Kind]" = {
    "blob": "build cache",
    "snapshot": "unpacked layer",
    "cache": "cache mount",
    "emulator": "emulator",
}


class UsageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An item that can be made or fetched again. `size` is bytes on disk, `used` Unix time. `in_use`: a running command
    uses it. `shared`: it is the unpacked form of a layer of an image in the store.
    """

    id: str
    kind: Kind
    size: int
    used: float
    in_use: bool = False
    shared: bool = False
    description: str = ""


class ImageUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The images: how many, how many of them have a name, their bytes, and those of images without a name."""

    count: int
    named: int
    size: int
    reclaimable: int


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The disk usage of the store. `garbage` is what `prune` would free, `spare` what `prune -a` would, in bytes."""

    images: ImageUsage
    cache: tuple[UsageRecord, ...]
    garbage: int
    spare: int


def space(store: "Store") -> Space:
    """The disk usage of the store, the least recently used item first. Raises ConflictError if another command keeps it
    busy. Cache mounts are measured now, which reads their directories; all other sizes are known.
    """
    for name in store.caches.names():
        store.caches.size(name)
    usage = store.maintenance.usage(keep_for(store))
    blobs = [item for item in usage.items if item.kind == "blob"]
    images = ImageUsage(
        count=len(store.tagged()) + len(store.kept()),
        named=len(store.tagged()),
        size=sum(item.size for item in blobs if item.needed),
        reclaimable=sum(item.size for item in blobs if item.needed and not item.named and not item.leased),
    )
    cache = (*_records(store, usage.items), *_index(store))
    unused = sum(record.size for record in cache if not record.in_use)
    return Space(images=images, cache=cache, garbage=usage.garbage, spare=unused + images.reclaimable)


def _records(store: "Store", items: "tuple[Garbage, ...]") -> list[UsageRecord]:
    layers = layers_of_images(store)
    files = tables.kept(store.cache, [tables.DOWNLOAD]).digests
    found: list[UsageRecord] = []
    for item in sorted(items, key=lambda item: (item.used, item.name)):
        if item.kind == "blob" and item.needed:
            continue
        about = ""
        if item.kind == "snapshot":
            about = store.snapshots.about(item.name)
            if not about and item.name in layers:
                about = f"layer of {names.familiar(layers[item.name])}"
        elif item.kind == "cache":
            about = store.caches.identity(item.name).removeprefix("/")
        elif item.kind == "emulator":
            about = "copy of an emulator, without its variables"
        else:
            about = "file of an ADD" if item.name in files else "layer or config of no image"
        found.append(
            UsageRecord(
                id=item.name,
                kind=_KINDS[item.kind],
                size=item.size,
                used=item.used,
                in_use=item.leased,
                shared=item.kind == "snapshot" and item.name in layers,
                description=about,
            )
        )
    return found


def _index(store: "Store") -> list[UsageRecord]:
    try:
        used = os.stat(store.layout.cache).st_mtime
    except FileNotFoundError:
        return []
    about = "listings of layers, results of steps, records of builds"
    return [UsageRecord(id="cache.db", kind="index", size=store.cache.size(), used=used, description=about)]
