"""Making an index of members, and adding to one. Nothing is saved unless all of it went well."""

from collections.abc import Mapping, Sequence

import msgspec

from polyarch.errors import ConflictError, UsageError
from polyarch.indexes import lists, members
from polyarch.indexes.members import IndexEntry
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.index import PlatformEdit
from polyarch.transfer import graph as graphs
from polyarch.transfer.formats import Converted
from polyarch.transfer.locate import Places
from polyarch.transfer.read_through import ReadThroughSource


class CreateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to make an index. `format` None follows the members: docker's where all are docker's."""

    amend: bool = False
    allow_duplicates: bool = False
    annotations: Mapping[str, str] = {}
    format: str | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit made: the list's name, its index, and the entries that came and went."""

    name: str
    index: Index
    descriptor: Descriptor
    added: tuple[Descriptor, ...] = ()
    removed: tuple[Descriptor, ...] = ()
    warnings: tuple[str, ...] = ()


def create(places: Places, name: str, texts: Sequence[str], options: CreateOptions | None = None) -> Changed:
    """Make the list `name` of the members that `texts` name; amend it where it exists and the options say so.

    Members come from the store, registries, layouts and archives; an index among them is flattened, attestations
    stay beside their images. With amend, a member takes the place of the entry for its platform.
    Raises ConflictError if the list exists, or two members are for one platform; NotFoundError, RegistryError.
    """
    options = options or CreateOptions()
    if options.format == "docker" and options.annotations:
        raise UsageError("docker's format has no annotations for a list", "leave out --annotation, or say --format oci")
    with lists.editing(places.store, name):
        return _create(places, name, texts, options)


def _create(places: Places, name: str, texts: Sequence[str], options: CreateOptions) -> Changed:
    reference = lists.name_of(name)
    existing = None
    if str(reference) in places.store.tagged():
        if not options.amend:
            raise ConflictError(
                f"{reference.familiar()} exists already",
                "add to it with --amend, or remove it first: polyarch manifest rm " + reference.familiar(),
            )
        existing = lists.load(places.store, name)
    gathered = [members.gather(places, text) for text in texts]
    entries = [entry for member in gathered for entry in member.entries]
    combined, removed = combine(existing, entries, allow_duplicates=options.allow_duplicates)
    index = indexes.ordered(combined)
    if options.annotations:
        index = indexes.annotate_index(index, options.annotations)
    index, left_out = _in_format(places, index, options.format)
    before = {entry.digest for entry in existing.manifests} if existing is not None else set()
    return Changed(
        name=str(reference),
        index=index,
        descriptor=lists.save(places.store, name, index),
        added=tuple(entry for entry in index.manifests if entry.digest not in before),
        removed=removed,
        warnings=left_out,
    )


def add(
    places: Places,
    name: str,
    text: str,
    edit: PlatformEdit | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    allow_duplicates: bool = False,
) -> Changed:
    """Add one member to the list `name`, its entry labelled as `edit` and `annotations` say.

    Raises NotFoundError if there is no such list or member, ConflictError if the list has another image for the
    platform.
    """
    edit = indexes.normalized(edit) if edit is not None else None
    with lists.editing(places.store, name):
        return _add(places, name, text, edit, annotations, allow_duplicates)


def _add(
    places: Places,
    name: str,
    text: str,
    edit: PlatformEdit | None,
    annotations: Mapping[str, str] | None,
    allow_duplicates: bool,
) -> Changed:
    index = lists.load(places.store, name)
    member = members.gather(places, text)
    brought = indexes.create([entry.descriptor for entry in member.entries])
    if (edit is not None and not edit.is_empty) or annotations:
        images = {entry.descriptor.digest for entry in member.images}
        brought = indexes.annotate(brought, lambda entry: entry.digest in images, edit or PlatformEdit(), annotations)
    fresh = [IndexEntry(entry, text) for entry in brought.manifests]
    if not allow_duplicates:
        members.refuse_duplicates([IndexEntry(entry, f"in {name}") for entry in index.manifests] + fresh)
    changed = index
    for entry in fresh:
        changed = indexes.add(changed, entry.descriptor)
    changed = indexes.ordered(changed)
    before = {entry.digest for entry in index.manifests}
    return Changed(
        name=str(lists.name_of(name)),
        index=changed,
        descriptor=lists.save(places.store, name, changed),
        added=tuple(entry.descriptor for entry in fresh if entry.descriptor.digest not in before),
        warnings=contradictions(places, [entry.descriptor for entry in fresh]) if edit is not None else (),
    )


def combine(
    existing: Index | None, entries: Sequence[IndexEntry], *, allow_duplicates: bool
) -> tuple[Index, tuple[Descriptor, ...]]:
    """An index of these entries, into `existing` where there is one; and the entries that had to go for them.

    Raises ConflictError where two of the new ones are for one platform.
    """
    if not allow_duplicates:
        members.refuse_duplicates(entries)
    if existing is None:
        unique: dict[Digest, Descriptor] = {}
        for entry in entries:
            descriptor = entry.descriptor
            if (other := unique.get(descriptor.digest)) is not None:
                descriptor = msgspec.structs.replace(
                    descriptor, annotations={**other.annotations, **descriptor.annotations}
                )
            unique[descriptor.digest] = descriptor
        types = {descriptor.media_type for descriptor in unique.values()}
        docker = bool(types) and types <= {media_types.DOCKER_MANIFEST}
        kind = media_types.DOCKER_INDEX if docker else media_types.OCI_INDEX
        return indexes.create(unique.values(), media_type=kind), ()
    index = existing
    for entry in entries:
        descriptor = entry.descriptor
        if descriptor.is_attestation or descriptor.platform is None or allow_duplicates:
            index = indexes.add(index, descriptor)
        else:
            index = put(index, descriptor)
    kept = {entry.digest for entry in index.manifests}
    return index, tuple(entry for entry in existing.manifests if entry.digest not in kept)


def put(index: Index, descriptor: Descriptor) -> Index:
    """The index with this image for its platform: it takes the place of another, whose attestations go too."""
    assert descriptor.platform is not None
    same = indexes.by_platform(descriptor.platform)
    replaced = {entry.digest for entry in index.manifests if same(entry)} - {descriptor.digest}
    stale = {entry.digest for digest in replaced for entry in indexes.attestations(index, digest)}
    changed = indexes.replace(index, same, descriptor)
    return indexes.keep(changed, lambda entry: entry.digest not in stale)


def contradictions(places: Places, entries: Sequence[Descriptor]) -> tuple[str, ...]:
    """A sentence for each image whose entry names another platform than its own config does."""
    from polyarch.oci import platform as platforms
    from polyarch.oci.document import Manifest

    source = ReadThroughSource(places.store, places.registry)
    said = []
    for entry in entries:
        if entry.is_attestation or entry.platform is None or not graphs.is_manifest(entry):
            continue
        document = graphs.read_node(source, entry).document
        if not isinstance(document, Manifest) or not document.is_image:
            continue
        own = members.image_config(source, document).platform
        named = platforms.normalize(entry.platform)
        if (own.os, own.architecture, own.variant) != (named.os, named.architecture, named.variant):
            said.append(f"the entry for {named} is {entry.digest}, whose own config says {own}")
    return tuple(said)


def _in_format(places: Places, index: Index, wanted: str | None) -> tuple[Index, tuple[str, ...]]:
    """The index in that format, and what it has no place for."""
    if wanted is None or not _is_mixed(index, wanted):
        return index, ()
    descriptor = index.descriptor()
    places.store.write_manifest(descriptor, index.raw)
    source = Converted(ReadThroughSource(places.store, places.registry), to_docker=wanted == "docker")
    root = source.convert(descriptor)
    graph = graphs.read(source, root)
    for node in (*graph.manifests, *graph.indexes):
        places.store.write_manifest(node.descriptor, node.document.raw)
    converted = graph.root.document
    assert isinstance(converted, Index)
    return converted, source.left_out


def _is_mixed(index: Index, wanted: str) -> bool:
    """Whether the index or one of its images is in another format than the one wanted."""
    types = {index.media_type, *(entry.media_type for entry in indexes.images(index))}
    others = {media_types.OCI_INDEX, media_types.OCI_MANIFEST}
    if wanted != "docker":
        others = {media_types.DOCKER_INDEX, media_types.DOCKER_MANIFEST}
    return bool(types & others)
