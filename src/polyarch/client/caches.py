"""`Polyarch.caches`: build caches outside of the store."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from polyarch.client import arguments
from polyarch.client.arguments import Platforms
from polyarch.client.core import ClientCore
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.buildcache.carrier import Around, Carrier
    from polyarch.buildcache.contents import CacheContents, CacheItem
    from polyarch.buildcache.wanted import CachePlace


class RemoteCaches:
    """The caches that builds write with `cache_to`: `client.caches`.

    A `place` is named as for `cache_from`: by the name of a cache or an image in a registry, or as text such as
    "type=local,src=DIRECTORY", "type=s3,bucket=NAME,region=NAME" or "type=gha".
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def read(self, place: str, *, platforms: Platforms = ()) -> "tuple[CacheContents, ...]":
        """Return what a cache has for each platform: the layers of steps, and cache mounts.

        `platforms` are by default all of the cache. Raises NotFoundError if there is no cache, or none for a platform
        that was given; UnsupportedError for a cache of another program; CorruptError; RegistryError.
        """
        from polyarch.buildcache import contents

        wanted = arguments.platforms("platforms", platforms, self._core.host)
        with self._opened(place) as carrier:
            return contents.read(carrier, wanted, self._core.host)

    def prune(
        self,
        place: str,
        *,
        platforms: Platforms = (),
        everything: bool = False,
        unused_for: datetime.timedelta | None = None,
        max_size: int | None = None,
        dry_run: bool = False,
    ) -> "tuple[CacheItem, ...]":
        """Remove a part of a cache, and return it: everything, what no build used for some time, or what was used
        least recently, until not more than `max_size` bytes are left.

        With `dry_run`, nothing is removed. What another build uses or adds meanwhile stays. Raises UsageError if
        nothing says what to remove, and what `read` raises.
        """
        from polyarch.buildcache import contents

        if not (arguments.flag("everything", everything) or unused_for is not None or max_size is not None):
            raise UsageError("nothing says what to remove", "give everything=True, unused_for or max_size")
        if unused_for is not None and not isinstance(unused_for, datetime.timedelta):
            arguments.refuse("unused_for", unused_for, "a timedelta")
        if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 0):
            arguments.refuse("max_size", max_size, "a number of bytes")
        limits = contents.PruneLimits(
            platforms=arguments.platforms("platforms", platforms, self._core.host),
            everything=everything,
            before="" if unused_for is None else day_before(self._core.now(), unused_for.total_seconds()),
            size=max_size,
        )
        with self._opened(place, writing=True) as carrier:
            return contents.prune(carrier, limits, self._core.host, dry_run=arguments.flag("dry_run", dry_run))

    @contextmanager
    def _opened(self, place: str, *, writing: bool = False) -> "Iterator[Carrier]":
        from polyarch.buildcache.carrier import Around
        from polyarch.buildflags import cache as flags

        variables = self._core.settings.environment.variables
        named = flags.parse_source(arguments.text("place", place), variables, self._core.directory()).place
        with self._core.places() as places:
            around = Around(store=places.store, registry=places.registry, now=self._core.now(), emit=self._core.emit)
            with carrier_of(named, around, writing=writing) as carrier:
                yield carrier


@contextmanager
def carrier_of(place: "CachePlace", around: "Around", *, writing: bool = False) -> "Iterator[Carrier]":
    """The carrier of a cache that is named as for --cache-from. With `writing`, a directory removes blobs, too."""
    from polyarch.buildcache.types import open_carrier
    from polyarch.secret import Variables

    if writing and place.kind == "local":
        place = msgspec.structs.replace(place, attributes=Variables({**place.attributes, "reset": "true"}))
    carrier = open_carrier(place, around)
    try:
        yield carrier
    finally:
        carrier.close()


def day_before(now: float, seconds: float) -> str:
    """The day before which something was not used for `seconds`. Caches know days only, so that day itself stays."""
    return datetime.datetime.fromtimestamp(max(now - seconds, 0), datetime.UTC).date().isoformat()
