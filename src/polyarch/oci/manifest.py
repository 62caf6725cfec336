"""Creating and converting manifests."""

from collections.abc import Iterable, Mapping
from typing import Any

from polyarch.errors import UnsupportedError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest

# The content of an empty config, and its descriptor, which repeats it: without `data` the digest of the manifest is
# another than that of other tools (image-spec, manifest.md, "Guidance for an Empty Descriptor").
EMPTY_CONFIG = b"{}"
EMPTY = Descriptor(
    media_type=media_types.OCI_EMPTY, digest=digests.of(EMPTY_CONFIG), size=len(EMPTY_CONFIG), data="e30="
)


def create(
    config: Descriptor,
    layers: Iterable[Descriptor],
    annotations: Mapping[str, str] | None = None,
    media_type: str = media_types.OCI_MANIFEST,
) -> Manifest:
    """Return the manifest of an image. `layers` are ordered lowest first."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptors.to_dict(config),
        "layers": [descriptors.to_dict(layer) for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return _load(document)


def artifact(
    artifact_type: str,
    layers: Iterable[Descriptor],
    subject: Descriptor,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of an artifact about `subject`, with the empty config (image-spec, manifest.md).

    `transfer.referrers.attach` writes it to a place. The content of its config is `EMPTY_CONFIG`.
    """
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": descriptors.to_dict(EMPTY),
        "layers": [descriptors.to_dict(layer) for layer in layers],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return _load(document)


def convert(manifest: Manifest, *, to_docker: bool) -> Manifest:
    """Return the same image in the other format: media types change, blobs do not.

    Raises UnsupportedError for media types without an equivalent in Docker's format (zstd layers, artifacts).
    """
    names = media_types.TO_DOCKER if to_docker else media_types.TO_OCI
    wanted = media_types.DOCKER_MANIFEST if to_docker else media_types.OCI_MANIFEST
    if manifest.media_type == wanted:
        return manifest
    document = manifest.decode()
    document["layers"] = document.get("layers") or []
    for entry in [document, document["config"], *document["layers"]]:
        own = entry.get("mediaType") or (manifest.media_type if entry is document else "")
        if own in names:
            entry["mediaType"] = names[own]
        elif to_docker and own not in media_types.TO_OCI:
            raise UnsupportedError(
                f"Docker's manifest format has no name for {own or 'a blob without a media type'}",
                "push it in OCI format, or build it with compression=gzip,force-compression=true",
            )
    if to_docker:
        # Schema 2 has no annotations, and strict readers refuse them.
        for entry in [document, document["config"], *document["layers"]]:
            entry.pop("annotations", None)
    return _load(document)


def _load(document: dict[str, Any]) -> Manifest:
    manifest = documents.load(documents.encode(document))
    assert isinstance(manifest, Manifest)
    return manifest
