"""Members of an index: find them in any place, and store what the index needs of them.

The manifest and config of a member are stored, so that the index can be inspected, edited and checked without network.
Layers in a registry stay there, and only their origin is recorded; layers in a layout or an archive are copied, because
the file may no longer exist when the index is pushed.
"""

from collections.abc import Callable, Sequence

import msgspec

from polyarch import progress
from polyarch.errors import ConflictError, CorruptError, NotFoundError, UsageError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import locate, publish, read_through, referrers
from polyarch.transfer.compressed import compacted
from polyarch.transfer.locate import LocatedImage, Places
from polyarch.transfer.pool import WorkerPool


class IndexEntry(msgspec.Struct, frozen=True):
    """An entry for an index, and the argument that it comes from."""

    descriptor: Descriptor
    origin: str


class IndexMember(msgspec.Struct, frozen=True):
    """The image or index that one argument names: its root, and its entries, attestations after their images.

    `notes` are about signatures and other manifests about it that were left out.
    """

    text: str
    root: Descriptor
    entries: tuple[IndexEntry, ...]
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[IndexEntry, ...]:
        """The entries that are images."""
        return tuple(entry for entry in self.entries if not entry.descriptor.is_attestation)


def gather(places: Places, text: str) -> IndexMember:
    """Find the member that `text` names, and store its manifests and configs.

    The images of an index become separate entries. Raises NotFoundError, UsageError for an artifact, CorruptError,
    RegistryError.
    """
    with locate.opened(locate.parse(text), places) as opened:
        located = msgspec.structs.replace(opened, source=compacted(opened.source, places.store))
        return gather_found(places, located, located.name, text)


def gather_found(places: Places, found: LocatedImage, name: str, text: str) -> IndexMember:
    """As `gather`, for the image `name` in an open place; messages call it `text`."""
    try:
        root = found.source.resolve(name)
        with WorkerPool(copier.CONCURRENCY) as pool:
            graph = graphs.read(found.source, root, None, pool.map)
    except NotFoundError as error:
        raise locate.not_found(text, error, "'polyarch images' lists the images in the store") from None
    # An archive of some platforms is complete as it is: there is no place to fetch the others from.
    in_file = found.repository is None and not isinstance(found.source, read_through.ReadThroughSource)
    if graph.absent and not (in_file and graph.manifests):
        missing = ", ".join(str(entry.platform or entry.digest) for entry in graph.absent)
        raise NotFoundError(f"{text} lacks its images for {missing}", "pull them, or name the existing members")
    notes = _store_member(places, found, graph, name)
    source = read_through.ReadThroughSource(places.store, places.registry)
    absent = frozenset(entry.digest for entry in graph.absent)
    return IndexMember(text, root, tuple(_entries(source, graph.root.document, root, text, absent)), notes)


def image_config(source: Source, manifest: Manifest) -> ImageConfig:
    """The config of an image. Raises NotFoundError, CorruptError."""
    if manifest.config.size > documents.MAX_SIZE:
        raise CorruptError(f"the config {manifest.config.digest} claims {manifest.config.size} bytes")
    with source.open_blob(manifest.config) as reader:
        return configs.load(reader.read())


def refuse_duplicates(entries: Sequence[IndexEntry]) -> None:
    """Raises ConflictError if two images are for one platform."""
    seen: dict[str, IndexEntry] = {}
    for entry in entries:
        if entry.descriptor.is_attestation or entry.descriptor.platform is None:
            continue
        platform = platforms.normalize(entry.descriptor.platform)
        key = str(platform)
        other = seen.setdefault(key, entry)
        if other.descriptor.digest != entry.descriptor.digest:
            raise ConflictError(
                f"two images are for {key}:\n"
                f"  {other.origin}: {other.descriptor.digest}\n"
                f"  {entry.origin}: {entry.descriptor.digest}",
                "omit one, correct its platform with manifest annotate, or use --allow-duplicates",
            )


def _store_member(places: Places, found: LocatedImage, graph: graphs.ImageGraph, name: str) -> tuple[str, ...]:
    """Store a member: everything from a file; from a registry all but the layers, whose origin is recorded.

    Returns notes about what was left out.
    """
    if isinstance(found.source, read_through.ReadThroughSource):
        _keep_configs(found.source, graph)
    elif found.repository is None:
        events: list[progress.Event] = []
        copier.copy(found.source, name, places.store, (), copier.CopyOptions(present_only=True), events.append)
        return tuple(event.message for event in events if isinstance(event, progress.Warned))
    else:
        publish.remember_graph(places.store, graph, found.repository)
        source = read_through.ReadThroughSource(places.store, places.registry)
        _keep_configs(source, graph)
        for node in (*graph.manifests, *graph.indexes):
            if not places.store.has_manifest(node.descriptor):
                places.store.write_manifest(node.descriptor, node.document.raw)
    return _store_referrers(places, found, graph)


def _store_referrers(places: Places, found: LocatedImage, graph: graphs.ImageGraph) -> tuple[str, ...]:
    """Store the manifests about a member. Their blobs stay in the registry until they are needed."""
    repository = found.repository
    if repository is None and isinstance(found.source, read_through.ReadThroughSource):
        repository = found.source.remote
    subjects = [node.descriptor.digest for node in (*graph.indexes, *graph.manifests)]
    if repository is None:
        return ()
    with WorkerPool(copier.CONCURRENCY) as pool:
        about = referrers.gather(found.source, subjects, pool)
    for referrer in (one for level in about.levels for one in level):
        publish.remember_graph(places.store, referrer.graph, repository)
        for node in (*referrer.graph.manifests, *referrer.graph.indexes):
            places.store.write_manifest(node.descriptor, node.document.raw)
        places.store.write_referrers(referrer.subject, [referrer.document])
    return about.notes


def _keep_configs(source: read_through.ReadThroughSource, graph: graphs.ImageGraph) -> None:
    configs_of = [node.document.config for node in graph.manifests if isinstance(node.document, Manifest)]
    with WorkerPool(copier.CONCURRENCY) as pool:
        pool.map(source.fetch, configs_of)


def _entries(
    source: Source, document: Manifest | Index, descriptor: Descriptor, text: str, absent: frozenset[Digest]
) -> list[IndexEntry]:
    """The entries, depth first and in the order of the index, without those in `absent`."""
    if isinstance(document, Manifest):
        return [IndexEntry(_image(source, document, descriptor, text), text)]
    result: list[IndexEntry] = []
    for entry in document.manifests:
        if entry.digest in absent:
            continue
        if entry.is_attestation:
            result.append(IndexEntry(entry, text))
        elif graphs.is_manifest(entry):  # others are ignored: image-spec, image-index.md
            result += _entries(source, graphs.read_node(source, entry).document, entry, text, absent)
    return result


def _image(source: Source, manifest: Manifest, descriptor: Descriptor, text: str) -> Descriptor:
    if not manifest.is_image:
        kind = manifest.artifact_type or manifest.config.media_type
        raise UsageError(f"{text} is not an image: {descriptor.digest} is of type {kind}", "name images only")
    if descriptor.platform is not None:
        return descriptor
    config = image_config(source, manifest)
    if not config.platform.architecture:
        raise UsageError(
            f"{text} has no platform: its config has no architecture",
            "set it with: polyarch import --platform, or manifest add --arch",
        )
    return msgspec.structs.replace(descriptor, platform=config.platform)


def followed_by_attestations(
    entries: Sequence[IndexEntry], chosen: Callable[[Descriptor], bool]
) -> tuple[IndexEntry, ...]:
    """The chosen images, and their attestations."""
    digests = {entry.descriptor.digest for entry in entries if chosen(entry.descriptor)}
    return tuple(
        entry
        for entry in entries
        if entry.descriptor.digest in digests or entry.descriptor.annotations.get(REFERENCE_DIGEST) in digests
    )


def matching(index: Index, member: IndexMember) -> tuple[Descriptor, ...]:
    """The entries of an index that are images of the member."""
    digests = {entry.descriptor.digest for entry in member.images} | {member.root.digest}
    return tuple(entry for entry in indexes.images(index) if entry.digest in digests)
