"""Small images, written into a store."""

import contextlib
import io
from collections.abc import Iterator

from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.store import Store
from polyarch.store.locks import StoreLock


def describe(raw: bytes, media_type: str = media_types.OCI_LAYER) -> Descriptor:
    return Descriptor(media_type=media_type, digest=digests.of(raw), size=len(raw))


def write(store: Store, raw: bytes, media_type: str = media_types.OCI_LAYER) -> Descriptor:
    """The descriptor of a blob that is now in the store."""
    descriptor = describe(raw, media_type)
    store.write_blob(descriptor, io.BytesIO(raw))
    return descriptor


@contextlib.contextmanager
def in_use(store: Store) -> Iterator[None]:
    """Holds the store's lock, as another command does in the middle of its work."""
    with contextlib.closing(StoreLock(store.layout.lock("store"))) as lock, lock:
        yield


def image(store: Store, content: bytes, name: str | None = None) -> Manifest:
    """An image whose one layer has these bytes."""
    config = write(
        store,
        b'{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}'
        % digests.of(content).encode(),
        media_types.OCI_CONFIG,
    )
    manifest = manifests.create(config, [write(store, content)])
    store.write_manifest(manifest.descriptor(), manifest.raw, name)
    return manifest


def index(store: Store, *contents: bytes, name: str | None = None) -> Index:
    """An index of images, one for each content."""
    made = indexes.create(image(store, content).descriptor() for content in contents)
    store.write_manifest(made.descriptor(), made.raw, name)
    return made


def digests_of(manifest: Manifest) -> set[str]:
    """The manifest and all that it names."""
    return {manifest.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)}
