"""Carriers: what keeps a cache, and how another type of them is added.

A carrier keeps the caches of several platforms in one place (a name in a registry, a directory, a bucket, a service),
and the blobs that they name. It implements `Carrier`. To add a type:

1. Write the class in `buildcache/NAME.py`. It stores each platform's `PlatformCache` in whatever form fits: the
   documents of `documents.py`, or the JSON text of `documents.to_json`.
2. Add a line to `CARRIERS` in `types.py`: the attributes that `--cache-from` and `--cache-to` accept for it, and a
   function that opens it. Flags, errors, defaults from the environment and `polyarch cache` follow from that line.
3. Add its row to docs/guides/cache.md, and its faults to the tests in `tests/buildcache/`.

The builder reads through `builder/cache/remote.py` and writes through `builder/cache/export.py`; neither knows which
type it has.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from polyarch import progress
from polyarch.buildcache.values import PlatformCache
from polyarch.errors import PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store

# A pure function from what a carrier has for a platform (None for nothing) to what it should have. It may be called
# several times. Applied to its own result it returns that result: so a carrier can tell whether anything was lost.
Change = Callable[[PlatformCache | None], PlatformCache]


class Carrier(Protocol):
    """Where a cache is kept. All methods may be called from several threads. A server is asked only when a method needs
    the answer, and once for each answer, even if the answer is no.

    If there is no cache yet, the methods that read raise NotFoundError, which no build reports. They raise
    UnsupportedError for a cache of another program or of a newer format, CorruptError for a damaged one, and
    RegistryError if a server refuses or cannot be reached: a build reports these, and goes on without the cache.
    """

    @property
    def where(self) -> str:
        """The name for messages, without anything secret: `ghcr.io/acme/app:cache`."""

    def platforms(self) -> tuple[Platform, ...]:
        """The platforms that the cache has; empty if the carrier cannot list them."""

    def may_have(self, platform: Platform, key: str) -> bool:
        """Whether the platform's cache may have a key. False only if that is known without reading the whole cache."""

    def read(self, platform: Platform) -> PlatformCache | None:
        """The platform's cache, without the entries whose blobs are known to be gone; None if it has none."""

    def write(self, platform: Platform, change: Change) -> PlatformCache:
        """Change the platform's cache, and return what it is now. The blobs were written before.

        Nothing that another writer adds at the same time, for this platform or another one, is lost: `change` is
        applied again to what that writer left. If `change` changes nothing, nothing is written. Raises ConflictError
        for content that must not be replaced (an image, a cache of a newer format), RegistryError.
        """

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether a blob is there already, so that it need not be written."""

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Keep a blob. As in `place.Target`, the carrier verifies content that is not `Verifying`."""

    def recorded(self, descriptor: Descriptor) -> Descriptor:
        """The descriptor by which the cache should name a blob that was written or was there.

        A carrier may add annotations that begin with `documents.OWN`, to find the blob again. Images do not get them.
        """

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """A reader of a blob that verifies its bytes. `descriptor` is one of those in the `blobs` that `read` returned.

        A carrier that can read a part of a blob also implements `place.Ranged`. Raises NotFoundError, RegistryError.
        """

    def close(self) -> None:
        """Release what the carrier opened. Safe to call twice."""


@runtime_checkable
class InRepository(Protocol):
    """A carrier whose blobs are in a repository of a registry: a push to that registry mounts them."""

    @property
    def reference(self) -> Reference:
        """The repository, with the cache's tag or digest."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What a carrier may use. `now` is the time in seconds since 1970. The caller owns the store and the registry."""

    store: "Store"
    registry: "Registry"
    now: float
    emit: progress.Emit = progress.ignore


class ReadOnlyError(PolyarchError):
    """The cache may be read and not written, as by a pull request from a fork. An export notes it, and succeeds."""


@runtime_checkable
class Expiring(Protocol):
    """A carrier that removes blobs by itself, whether a cache names them or not. An import calls `has_blob` before it
    uses a layer, and an export for each of its blobs, which also renews them.
    """

    @property
    def expires(self) -> bool:
        """Whether it does."""


# Attributes as `--cache-to type=…,KEY=VALUE` has them, without those that all types have.
Attributes = Mapping[str, str]


def _accept(attributes: Attributes) -> None:
    """Attributes without grammar."""


def _is_active(attributes: Attributes) -> str:
    """A type that works everywhere."""
    return ""


class CarrierType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of carrier, which `type=NAME` names.

    `source` and `target` are the attributes that --cache-from and --cache-to accept, besides `types.COMMON_SOURCE` and
    `types.COMMON_TARGET`; those in `needed` must be given if they are accepted. `flags` are true or false, `paths` are
    made absolute. `environment` names the variables that an attribute is taken from if it is not given, the first that
    is set. `identity` are the attributes that say which cache it is: two --cache-to with equal ones are refused.

    `check` raises UsageError for a wrong value. `inactive` returns why this type cannot work here, so that it is left
    out with a note (as `gha` outside of GitHub Actions); empty if it can. `open` makes a carrier, and asks no server.
    """

    open: Callable[[Attributes, Around], Carrier]
    source: frozenset[str] = frozenset()
    target: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    environment: Mapping[str, tuple[str, ...]] = {}
    identity: tuple[str, ...] = ()
    check: Callable[[Attributes], None] = _accept
    inactive: Callable[[Attributes], str] = _is_active
