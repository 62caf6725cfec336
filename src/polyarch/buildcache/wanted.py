"""What `--cache-from` and `--cache-to` ask for, as values. `buildflags/cache.py` parses them."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.layers.compression import Compression
from polyarch.secret import Variables

Mode = Literal["min", "max"]


class CachePlace(msgspec.Struct, frozen=True):
    """Which cache: the type of its carrier, and that type's attributes. The repr hides the values: some are tokens."""

    kind: str
    attributes: Mapping[str, str] = Variables()


class CacheSource(msgspec.Struct, frozen=True, kw_only=True):
    """A cache to read. Layers that were made more than `ttl` seconds ago are not used. `mounts` are the ids of cache
    mounts that are filled from it.
    """

    place: CachePlace
    ttl: float | None = None
    mounts: tuple[str, ...] = ()


class CacheTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A cache to write. `mode` says which layers: those of the image ("min"), or those of all steps ("max").

    What no build has used for `ttl` seconds is removed from the cache. Layers that were not compressed yet get
    `compression`, by default that of the image; with `force_compression`, all layers of another one are compressed
    again. With `ignore_error`, a failure is a warning. `mounts` are the ids of cache mounts to send.
    """

    place: CachePlace
    mode: Mode = "min"
    ignore_error: bool = False
    ttl: float | None = None
    compression: Compression | None = None
    force_compression: bool = False
    mounts: tuple[str, ...] = ()
