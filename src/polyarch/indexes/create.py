"""Create an index from members, and add members to one. Nothing is saved unless everything succeeds."""

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
from polyarch.oci.reference import Reference
from polyarch.transfer import graph as graphs
from polyarch.transfer.formats import Converted
from polyarch.transfer.locate import Places
from polyarch.transfer.read_through import ReadThroughSource


class CreateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to create an index.

    `format` is "oci", "docker" or None. None follows the members: docker's format if all members have it.
    """

    amend: bool = False
    allow_duplicates: bool = False
    annotations: Mapping[str, str] = {}
    format: str | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an edit: the full name of the list, its index, and the entries that were added and removed."""

    name: str
    index: Index
    descriptor: Descriptor
    added: tuple[Descriptor, ...] = ()
    removed: tuple[Descriptor, ...] = ()
    warnings: tuple[str, ...] = ()


def create(
    places: Places, name: str | Reference, texts: Sequence[str], options: CreateOptions | None = None
) -> Changed:
    """Create the list `name` from the members that `texts` name. With `amend`, an existing list is extended.

    Members come from the store, registries, layouts and archives. The images of an index become separate entries,
    each with its attestations. With `amend`, a member replaces the entry for its platform.
    Raises ConflictError if the list exists, or two members are for one platform; NotFoundError, RegistryError.
    """
    options = options or CreateOptions()
    if options.format == "docker" and options.annotations:
        raise UsageError("docker's format has no annotations for a list", "omit --annotation, or use --format oci")
    reference = lists.name_of(name)
    with lists.editing(places.store, reference):
        return _create(places, reference, texts, options)


def _create(places: Places, reference: Reference, texts: Sequence[str], options: CreateOptions) -> Changed:
    existing = None
    if str(reference) in places.store.tagged():
        if not options.amend:
            raise ConflictError(
                f"{reference.familiar()} exists already",
                "add to it with --amend, or remove it first: polyarch manifest rm " + reference.familiar(),
            )
        existing = lists.load(places.store, reference)
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
        descriptor=lists.save(places.store, reference, index),
        added=tuple(entry for entry in index.manifests if entry.digest not in before),
        removed=removed,
        warnings=(*left_out, *(note for member in gathered for note in member.notes)),
    )


def add(
    places: Places,
    name: str | Reference,
    text: str,
    edit: PlatformEdit | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    allow_duplicates: bool = False,
) -> Changed:
    """Add one member to the list `name`, with the platform of `edit` and these annotations.

    Raises NotFoundError if there is no such list or member, ConflictError if the list has another image for the
    platform.
    """
    edit = indexes.normalized(edit) if edit is not None else None
    reference = lists.name_of(name)
    with lists.editing(places.store, reference):
        return _add(places, reference, text, edit, annotations, allow_duplicates)


def _add(
    places: Places,
    reference: Reference,
    text: str,
    edit: PlatformEdit | None,
    annotations: Mapping[str, str] | None,
    allow_duplicates: bool,
) -> Changed:
    index = lists.load(places.store, reference)
    member = members.gather(places, text)
    added = indexes.create([entry.descriptor for entry in member.entries])
    if (edit is not None and not edit.is_empty) or annotations:
        images = {entry.descriptor.digest for entry in member.images}
        added = indexes.annotate(added, lambda entry: entry.digest in images, edit or PlatformEdit(), annotations)
    entries = [IndexEntry(entry, text) for entry in added.manifests]
    if not allow_duplicates:
        members.refuse_duplicates(
            [IndexEntry(entry, f"in {reference.familiar()}") for entry in index.manifests] + entries
        )
    changed = index
    for entry in entries:
        changed = indexes.add(changed, entry.descriptor)
    changed = indexes.ordered(changed)
    before = {entry.digest for entry in index.manifests}
    return Changed(
        name=str(reference),
        index=changed,
        descriptor=lists.save(places.store, reference, changed),
        added=tuple(entry.descriptor for entry in entries if entry.descriptor.digest not in before),
        warnings=(
            *member.notes,
            *(contradictions(places, [entry.descriptor for entry in entries]) if edit is not None else ()),
        ),
    )


def combine(
    existing: Index | None, entries: Sequence[IndexEntry], *, allow_duplicates: bool
) -> tuple[Index, tuple[Descriptor, ...]]:
    """Add these entries to `existing`, or to a new index. Returns the index, and the entries that were replaced.

    Raises ConflictError if two of the new entries are for one platform.
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
    """The index with this image for its platform. It replaces another one, and the attestations of that."""
    assert descriptor.platform is not None
    same = indexes.by_platform(descriptor.platform)
    replaced = {entry.digest for entry in index.manifests if same(entry)} - {descriptor.digest}
    stale = {entry.digest for digest in replaced for entry in indexes.attestations(index, digest)}
    changed = indexes.replace(index, same, descriptor)
    return indexes.keep(changed, lambda entry: entry.digest not in stale)


def contradictions(places: Places, entries: Sequence[Descriptor]) -> tuple[str, ...]:
    """A warning for each image whose entry has another platform than its own config."""
    from polyarch.oci import platform as platforms
    from polyarch.oci.document import Manifest

    source = ReadThroughSource(places.store, places.registry)
    warnings = []
    for entry in entries:
        if entry.is_attestation or entry.platform is None or not graphs.is_manifest(entry):
            continue
        document = graphs.read_node(source, entry).document
        if not isinstance(document, Manifest) or not document.is_image:
            continue
        own = members.image_config(source, document).platform
        platform = platforms.normalize(entry.platform)
        if (own.os, own.architecture, own.variant) != (platform.os, platform.architecture, platform.variant):
            warnings.append(f"the entry for {platform} is {entry.digest}, whose own config says {own}")
    return tuple(warnings)


def _in_format(places: Places, index: Index, form: str | None) -> tuple[Index, tuple[str, ...]]:
    """The index in this format, and warnings for what the format cannot hold."""
    if form is None or not _is_mixed(index, form):
        return index, ()
    descriptor = index.descriptor()
    places.store.write_manifest(descriptor, index.raw)
    source = Converted(ReadThroughSource(places.store, places.registry), to_docker=form == "docker")
    root = source.convert(descriptor)
    graph = graphs.read(source, root)
    for node in (*graph.manifests, *graph.indexes):
        places.store.write_manifest(node.descriptor, node.document.raw)
    converted = graph.root.document
    assert isinstance(converted, Index)
    return converted, source.left_out


def _is_mixed(index: Index, form: str) -> bool:
    """Whether the index or one of its images is in another format."""
    types = {index.media_type, *(entry.media_type for entry in indexes.images(index))}
    others = {media_types.OCI_INDEX, media_types.OCI_MANIFEST}
    if form != "docker":
        others = {media_types.DOCKER_INDEX, media_types.DOCKER_MANIFEST}
    return bool(types & others)
