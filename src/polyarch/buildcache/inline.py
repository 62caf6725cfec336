"""`type=inline`: a cache in the image itself. Each layer's descriptor in the manifest has the key of the step that made
it as an annotation.

It is written only on request, because a key is a digest of build arguments, among others: whoever can guess a weak
secret in an argument could verify the guess.
"""

from typing import TYPE_CHECKING

import msgspec

from polyarch.buildcache import documents
from polyarch.buildcache.values import CachedLayer, PlatformCache
from polyarch.errors import CorruptError
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import document as oci_documents
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.registry import Repository

ANNOTATION = "org.polyarch.layer.key"


def annotated(layer: Descriptor, key: str) -> Descriptor:
    """The descriptor of a layer with the key of the step that made it."""
    return msgspec.structs.replace(layer, annotations={**layer.annotations, ANNOTATION: key})


def find_manifest(repository: "Repository", root: Manifest | Index, platform: Platform) -> Manifest | None:
    """The image of exactly this platform; None if there is none."""
    if isinstance(root, Manifest):
        return root
    for entry in root.manifests:
        if entry.platform is not None and platforms.same(entry.platform, platform) and not entry.is_attestation:
            found = oci_documents.load(repository.read_manifest(entry), entry.media_type)
            return found if isinstance(found, Manifest) else None
    return None


def keys(manifest: Manifest) -> frozenset[str]:
    """The keys of an image's layers."""
    return frozenset(filter(digests.is_digest, (layer.annotations.get(ANNOTATION, "") for layer in manifest.layers)))


def read(repository: "Repository", manifest: Manifest, platform: Platform) -> PlatformCache | None:
    """The cache in an image; None if the image is for another platform, or has none. Raises CorruptError."""
    if not keys(manifest) or manifest.config.size > oci_documents.MAX_SIZE:
        return None
    with repository.open_blob(manifest.config) as reader:
        config = configs.load(reader.read())
    if not platforms.same(config.platform, platform):
        return None
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptError(f"{repository.reference}: the image has {len(manifest.layers)} layers, its config others")
    entries: dict[str, CachedLayer] = {}
    blobs = {layer.digest: layer for layer in manifest.layers}
    for layer, diff_id, created in zip(
        manifest.layers, config.diff_ids, _times(config, len(manifest.layers)), strict=True
    ):
        key = layer.annotations.get(ANNOTATION, "")
        entry = CachedLayer(blob=layer.digest, diff_id=diff_id, created=created, used=created[:10])
        if digests.is_digest(key) and documents.is_plausible(entry, blobs):
            entries[key] = entry
    return PlatformCache(entries=entries, blobs=blobs)


def _times(config: ImageConfig, number: int) -> list[str]:
    """When each layer was made; that of the image where the history does not say."""
    times = [entry.created for entry in config.history if not entry.empty_layer]
    if len(times) != number:
        times = []
    image = str(config.document.get("created") or "")
    return [time or image for time in times] or [image] * number
