"""Caches and carriers for the tests of this room."""

import io
from collections.abc import Callable

from polyarch.buildcache.carrier import Around, Carrier
from polyarch.buildcache.types import open_carrier
from polyarch.buildcache.values import CachedLayer, PlatformCache, merged
from polyarch.buildcache.wanted import CachePlace
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.secret import Variables
from polyarch.store import Store

AMD64, ARM64 = platforms.parse("linux/amd64"), platforms.parse("linux/arm64")
THEN, DAY = "2026-11-30T12:00:00.000000Z", "2026-11-30"


def key(name: str) -> str:
    """The key of the step of this name."""
    return digests.of(f"key {name}".encode())


def layer(name: str) -> bytes:
    """The bytes of a layer; no test unpacks it."""
    return f"layer {name}".encode() * 20


def descriptor(content: bytes) -> Descriptor:
    return Descriptor(media_type=media_types.OCI_LAYER_GZIP, digest=digests.of(content), size=len(content))


def entry(name: str, created: str = THEN, used: str = DAY) -> CachedLayer:
    blob, diff_id = digests.of(layer(name)), digests.of(f"diff {name}".encode())
    return CachedLayer(blob=blob, diff_id=diff_id, created=created, used=used, step=f"RUN {name}")


def cache(*names: str) -> PlatformCache:
    """A cache with a step of each name."""
    blobs = [descriptor(layer(name)) for name in names]
    return PlatformCache(
        entries={key(name): entry(name) for name in names}, blobs={blob.digest: blob for blob in blobs}
    )


def client() -> Registry:
    return Registry(Hosts(), Credentials(None), "polyarch/test")


def opened(kind: str, attributes: dict[str, str], store: Store, registry: Registry) -> Carrier:
    return open_carrier(CachePlace(kind, Variables(attributes)), Around(store=store, registry=registry, now=0.0))


def put(carrier: Carrier, platform: Platform, *names: str) -> None:
    """Add a step of each name to the carrier's cache of a platform, as an export does."""
    for name in names:
        if not carrier.has_blob(descriptor(layer(name))):
            carrier.write_blob(descriptor(layer(name)), io.BytesIO(layer(name)))
    new = cache(*names)
    blobs = {digest: carrier.recorded(blob) for digest, blob in new.blobs.items()}
    new = PlatformCache(entries=new.entries, blobs=blobs)
    carrier.write(platform, lambda known: merged(known, new))


def steps(carrier: Carrier, platform: Platform) -> set[str]:
    """The names of the steps in the carrier's cache of a platform, each of which has its blob."""
    found = carrier.read(platform)
    if found is None:
        return set()
    names = set()
    for one in found.entries.values():
        name = one.step.removeprefix("RUN ")
        with carrier.open_blob(found.blobs[one.blob]) as reader:
            assert reader.read() == layer(name)
        names.add(name)
    return names


Open = Callable[[], Carrier]
