"""Looking at an index or image wherever it is: the store's first, else its registry's, or a layout or archive."""

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
    """An entry of what was inspected: its descriptor with a platform, and its document and config where asked for."""

    descriptor: Descriptor
    document: Manifest | Index | None = None
    config: ImageConfig | None = None


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """An index or a single image, as it is: `document.raw` are its bytes. `parts` are its entries, or itself alone."""

    name: str
    reference: Reference | None
    descriptor: Descriptor
    document: Manifest | Index
    parts: tuple[Part, ...]


def inspect(places: Places, text: str, *, deep: bool = False) -> Inspected:
    """What `text` names. With `deep`, its entries are read too, with the configs of images; nothing is stored.

    Raises NotFoundError, RegistryError, CorruptError. Entries that the place lacks keep an empty document.
    """
    location = locate.parse(text)
    with opened_to_read(location, places) as found:
        try:
            root = found.source.resolve(found.name)
        except NotFoundError as error:
            raise locate.not_found(text, error) from None
        node = graphs.read_node(found.source, root)
        if found.repository is not None and location.reference is not None and location.reference.tag:
            remember_tag(places.store, location.reference, root.digest)
        entries = node.document.manifests if isinstance(node.document, Index) else (root,)
        parts = tuple(_part(found, entry, node) if deep else Part(descriptor=entry) for entry in entries)
    return Inspected(
        name=str(location.reference) if location.reference is not None else text,
        reference=location.reference,
        descriptor=node.document.descriptor(),
        document=node.document,
        parts=parts,
    )


def verbose(inspected: Inspected) -> list[dict[str, Any]] | dict[str, Any]:
    """As `docker manifest inspect -v` prints it: an object for each image, a list of them for an index."""
    described = [_verbose(inspected, part) for part in inspected.parts]
    return described if isinstance(inspected.document, Index) else described[0]


def _verbose(inspected: Inspected, part: Part) -> dict[str, Any]:
    entry = part.descriptor
    ref = str(inspected.reference or inspected.name)
    if isinstance(inspected.document, Index):
        ref += f"@{entry.digest}"
    shown: dict[str, Any] = {
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
        shown["Raw"] = base64.b64encode(part.document.raw).decode()
        docker = part.document.media_type in (media_types.DOCKER_MANIFEST, media_types.DOCKER_INDEX)
        shown["SchemaV2Manifest" if docker else "OCIManifest"] = part.document.decode()
    return shown


def opened_to_read(location: locate.ImageLocation, places: Places) -> Any:
    """As `locate.opened`, but a name that the store does not have is read in its registry, and nothing is kept."""
    if location.kind != "any" or location.reference is None:
        return locate.opened(location, places)
    if ReadThroughSource(places.store, places.registry).resolve_here(str(location.reference)) is None:
        return locate.opened(msgspec.structs.replace(location, kind="registry"), places)
    return locate.opened(location, places)


def _part(found: locate.LocatedImage, entry: Descriptor, root: GraphNode) -> Part:
    if not graphs.is_manifest(entry):
        return Part(descriptor=entry)
    try:
        document = (
            root.document if entry.digest == root.descriptor.digest else graphs.read_node(found.source, entry).document
        )
    except NotFoundError:
        return Part(descriptor=entry)
    config = None
    if isinstance(document, Manifest) and document.is_image:
        config = members.image_config(found.source, document)
    platform: Platform | None = entry.platform or (config.platform if config is not None else None)
    return Part(descriptor=msgspec.structs.replace(entry, platform=platform), document=document, config=config)
