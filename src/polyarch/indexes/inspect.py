"""Inspect an index or image in any place: in the store, or else its registry, or in a layout or archive."""

import base64
from typing import Any

import msgspec

from polyarch.errors import NotFoundError
from polyarch.indexes import members
from polyarch.oci import descriptor as descriptors
from polyarch.oci import media_types
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import graph as graphs
from polyarch.transfer import locate
from polyarch.transfer.graph import GraphNode
from polyarch.transfer.locate import Places
from polyarch.transfer.publish import remember_tag
from polyarch.transfer.read_through import ReadThroughSource


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an inspected index: its descriptor with a platform, and its document and config if they were read."""

    descriptor: Descriptor
    document: Manifest | Index | None = None
    config: ImageConfig | None = None


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """An index or a single image. `document.raw` are its bytes; `parts` are its entries, or only the image itself."""

    name: str
    reference: Reference | None
    descriptor: Descriptor
    document: Manifest | Index
    parts: tuple[Part, ...]


def inspect(places: Places, text: str, *, deep: bool = False) -> Inspected:
    """Inspect the index or image that `text` names. With `deep`, also read its entries and the configs of images.

    Nothing is stored. Entries that the place does not have get no document. Raises NotFoundError, RegistryError,
    CorruptError.
    """
    location = locate.parse(text)
    with opened_to_read(location, places) as located:
        try:
            root = located.source.resolve(located.name)
        except NotFoundError as error:
            raise locate.not_found(text, error) from None
        node = graphs.read_node(located.source, root)
        if located.repository is not None and location.reference is not None and location.reference.tag:
            remember_tag(places.store, location.reference, root.digest)
        entries = node.document.manifests if isinstance(node.document, Index) else (root,)
        parts = tuple(_part(located, entry, node) if deep else Part(descriptor=entry) for entry in entries)
    return Inspected(
        name=str(location.reference) if location.reference is not None else text,
        reference=location.reference,
        descriptor=node.document.descriptor(),
        document=node.document,
        parts=parts,
    )


def verbose(inspected: Inspected) -> list[dict[str, Any]] | dict[str, Any]:
    """The output of `docker manifest inspect -v`: an object for an image, a list of them for an index."""
    described = [_verbose(inspected, part) for part in inspected.parts]
    return described if isinstance(inspected.document, Index) else described[0]


def _verbose(inspected: Inspected, part: Part) -> dict[str, Any]:
    entry = part.descriptor
    ref = str(inspected.reference or inspected.name)
    if isinstance(inspected.document, Index):
        ref += f"@{entry.digest}"
    details: dict[str, Any] = {
        "Ref": ref,
        "Descriptor": descriptors.to_dict(
            Descriptor(
                media_type=entry.media_type,
                digest=entry.digest,
                size=entry.size,
                platform=entry.platform,
                annotations=entry.annotations,
            )
        ),
    }
    if part.document is not None:
        details["Raw"] = base64.b64encode(part.document.raw).decode()
        docker = part.document.media_type in (media_types.DOCKER_MANIFEST, media_types.DOCKER_INDEX)
        details["SchemaV2Manifest" if docker else "OCIManifest"] = part.document.decode()
    return details


def opened_to_read(location: locate.ImageLocation, places: Places) -> Any:
    """As `locate.opened`, but a name that is not in the store is read in its registry, and nothing is stored."""
    if location.kind != "any" or location.reference is None:
        return locate.opened(location, places)
    if ReadThroughSource(places.store, places.registry).resolve_here(str(location.reference)) is None:
        return locate.opened(msgspec.structs.replace(location, kind="registry"), places)
    return locate.opened(location, places)


def _part(located: locate.LocatedImage, entry: Descriptor, root: GraphNode) -> Part:
    if not graphs.is_manifest(entry):
        return Part(descriptor=entry)
    try:
        document = (
            root.document
            if entry.digest == root.descriptor.digest
            else graphs.read_node(located.source, entry).document
        )
    except NotFoundError:
        return Part(descriptor=entry)
    config = None
    if isinstance(document, Manifest) and document.is_image and not entry.is_attestation:
        config = members.image_config(located.source, document)
    platform: Platform | None = entry.platform or (config.platform if config is not None else None)
    return Part(descriptor=msgspec.structs.replace(entry, platform=platform), document=document, config=config)
