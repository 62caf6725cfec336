"""buildx's `imagetools`: create indexes in a registry (or a layout) directly, without a name in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.indexes import attestations, members
from polyarch.indexes import create as creating
from polyarch.indexes import inspect as inspecting
from polyarch.indexes.attestations import Predicates
from polyarch.indexes.members import IndexEntry, IndexMember
from polyarch.oci import attestation
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.attestation import ARTIFACT_TYPE
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.index import PlatformEdit
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import locate, select
from polyarch.transfer.locate import ImageLocation, Places
from polyarch.transfer.publish import publish
from polyarch.transfer.read_through import ReadThroughSource


class ToolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `imagetools create`. `annotations` have the syntax of buildx, see `parse_annotation`."""

    append: bool = False
    dry_run: bool = False
    prefer_index: bool = True
    platforms: tuple[Platform, ...] | None = None
    annotations: tuple[str, ...] = ()


class Annotation(msgspec.Struct, frozen=True):
    """An annotation of the index, or of its entries for `platform` (None for all)."""

    key: str
    value: str
    on_index: bool = True
    platform: Platform | None = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The result, and where it was sent; empty for a dry run."""

    document: Manifest | Index
    descriptor: Descriptor
    sent: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """The content of `--metadata-file`, with buildx's keys."""
        return {
            "containerimage.descriptor": descriptors.to_dict(self.descriptor),
            "containerimage.digest": self.descriptor.digest,
            "image.name": ",".join(self.sent),
        }


def create(
    places: Places,
    sources: Sequence[str],
    targets: Sequence[str],
    options: ToolOptions | None = None,
    emit: progress.Emit = progress.ignore,
) -> Created:
    """Create an index from `sources` under the tags `targets`. With `append`, it keeps the entries of the target.

    A source is a reference, a layout, an archive, a digest in the repository of the first target, or a descriptor as
    JSON. A single source is copied unchanged, unless there are changes, or it is one image and an index is preferred.
    Targets are written after all sources have been read. Raises UsageError, NotFoundError, RegistryError.
    """
    options = options or ToolOptions()
    locations = [locate.parse(target) for target in targets]
    for location in locations:
        if location.kind == "archive" or (location.reference is not None and location.reference.digest):
            raise UsageError(
                "imagetools writes to a tag in a registry or to a layout", "-t NAME:TAG, or oci-layout://DIR:TAG"
            )
    if options.append and len(targets) != 1:
        raise UsageError("--append adds to one image", "give exactly one -t")
    if not targets and not options.dry_run:
        raise UsageError("imagetools create needs a destination", "give a tag with -t, or use --dry-run")
    gathered = [_gather(places, text, locations) for text in ([*targets, *sources] if options.append else sources)]
    if not gathered:
        raise UsageError("imagetools create needs a source", "name an image, or a file with a descriptor with -f")
    for note in (note for member in gathered for note in member.notes):
        emit(progress.Warned(note))
    document = _combine(places, gathered, options)
    descriptor = document.descriptor()
    if options.dry_run:
        return Created(document=document, descriptor=descriptor)
    places.store.write_manifest(descriptor, document.raw)
    source = ReadThroughSource(places.store, places.registry)
    for target, location in zip(targets, locations, strict=True):
        _send(places, source, descriptor, target, location, emit)
    return Created(document=document, descriptor=descriptor, sent=tuple(_shown(location) for location in locations))


def inspect(places: Places, text: str) -> inspecting.Inspected:
    """As `inspect.inspect`, but a name without a prefix means the image in the registry."""
    return inspecting.inspect(places, _in_registry(text), deep=True)


def predicates(
    places: Places, text: str, inspected: inspecting.Inspected, *, provenance: bool = False, sbom: bool = False
) -> Predicates:
    """The provenance or the SBOMs of an image that `inspect` returned. Raises NotFoundError, CorruptError,
    RegistryError.
    """
    return attestations.predicates(places, _in_registry(text), inspected, provenance=provenance, sbom=sbom)


def _in_registry(text: str) -> str:
    return f"docker://{text}" if locate.parse(text).kind == "any" else text


def parse_annotation(word: str) -> Annotation:
    """Parse `index:key=value`, `manifest-descriptor[os/arch]:key=value`, or `key=value` for the index.

    Raises UsageError.
    """
    hint = "write index:KEY=VALUE or manifest-descriptor[OS/ARCH]:KEY=VALUE"
    head, equals, value = word.partition("=")
    kind, colon, key = head.rpartition(":") if ":" in head else ("", "", head)
    level, bracket, rest = kind.partition("[")
    known = ("index", "manifest-descriptor", "manifest", "index-descriptor")
    if colon and level not in known:
        level, bracket, key = "", "", head  # a key may contain colons
    if not equals or not key:
        raise UsageError(f"invalid annotation {word!r}", hint)
    if level in ("manifest", "index-descriptor"):
        raise UsageError(
            f"{word!r}: imagetools cannot set annotations of a {level}, because that would change the image", hint
        )
    if bracket and (level != "manifest-descriptor" or not rest.endswith("]")):
        raise UsageError(f"invalid annotation {word!r}", hint)
    return Annotation(key, value, level != "manifest-descriptor", platforms.parse(rest[:-1]) if bracket else None)


def _gather(places: Places, text: str, targets: Sequence[ImageLocation]) -> IndexMember:
    if text.lstrip().startswith("{"):
        return _described(places, text, targets)
    if digests.is_digest(text):
        text = str(_first_repository(targets, text).with_digest(digests.parse(text)))
    return members.gather(places, _in_registry(text))


def _described(places: Places, text: str, targets: Sequence[ImageLocation]) -> IndexMember:
    """The member for a descriptor in JSON, of content in the first target's repository."""
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"the descriptor is not valid JSON: {error}") from error
    reference = _first_repository(targets, "a descriptor")
    if not isinstance(given, dict) or "digest" not in given:
        raise UsageError("the descriptor has no digest", 'expected {"mediaType": …, "digest": …, "size": …}')
    member = members.gather(places, f"docker://{reference.with_digest(digests.parse(str(given['digest'])))}")
    own = {"mediaType": member.root.media_type, "size": member.root.size}
    descriptor = descriptors.parse(own | given)
    if len(member.entries) != 1 or (descriptor.platform is None and not descriptor.annotations):
        return member
    if descriptor.platform is None:
        descriptor = msgspec.structs.replace(descriptor, platform=member.entries[0].descriptor.platform)
    return IndexMember(text, descriptor, (IndexEntry(descriptor, text),))


def _first_repository(targets: Sequence[ImageLocation], what: str) -> Reference:
    reference = next((location.reference for location in targets if location.reference is not None), None)
    if reference is None:
        raise UsageError(f"{what} needs a repository", "give the tag in it with -t, or name NAME@DIGEST")
    return reference


def _combine(places: Places, gathered: Sequence[IndexMember], options: ToolOptions) -> Manifest | Index:
    notes = [parse_annotation(word) for word in options.annotations]
    entries = [entry for member in gathered for entry in member.entries]
    unlisted = _unlisted(places, entries)
    if len(gathered) == 1 and options.platforms is None and not notes:
        node = graphs.read_node(ReadThroughSource(places.store, places.registry), gathered[0].root)
        if (isinstance(node.document, Index) and not unlisted) or not options.prefer_index:
            return node.document
    entries += unlisted
    if options.platforms is not None:
        whole = indexes.create({entry.descriptor.digest: entry.descriptor for entry in entries}.values())
        source = ReadThroughSource(places.store, places.registry)
        chosen = {leaf.entry.digest for leaf in select.choose(source, whole, options.platforms)}
        entries = list(members.followed_by_attestations(entries, lambda entry: entry.digest in chosen))
    # As in buildx: entries are equal if they have the same digest, and two may be for one platform.
    index, _ = creating.combine(None, entries, allow_duplicates=True)
    # A changed index keeps its annotations; an index of several sources does not have those of one.
    own = _annotations(places, gathered[0]) if options.append or len(gathered) == 1 else {}
    own |= {note.key: note.value for note in notes if note.on_index}
    for note in (note for note in notes if not note.on_index):
        index = indexes.annotate(index, _meant(note.platform), PlatformEdit(), {note.key: note.value})
    return indexes.annotate_index(index, own) if own else index


def _unlisted(places: Places, entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    """An entry for the attestation of each image for which there is none, if a referrer is one. buildx adds the same.

    Some builders attach attestations without listing them, and a platform taken from an index has lost its entry.
    """
    about = {entry.descriptor.annotations.get(REFERENCE_DIGEST) for entry in entries}
    there = {entry.descriptor.digest for entry in entries}
    found: list[IndexEntry] = []
    for entry in entries:
        image = entry.descriptor
        if image.is_attestation or image.digest in about:
            continue
        for listed in places.store.referrers(image.digest):
            if listed.artifact_type == ARTIFACT_TYPE and listed.digest not in there:
                found.append(IndexEntry(attestation.entry_of(listed, image.digest), entry.origin))
                there.add(listed.digest)
                break
    return found


def _annotations(places: Places, member: IndexMember) -> dict[str, str]:
    document = graphs.read_node(ReadThroughSource(places.store, places.registry), member.root).document
    return dict(document.annotations) if isinstance(document, Index) else {}


def _meant(platform: Platform | None) -> indexes.Matcher:
    return indexes.meant_by(platform) if platform is not None else lambda entry: not entry.is_attestation


def _send(
    places: Places,
    source: ReadThroughSource,
    descriptor: Descriptor,
    target: str,
    location: ImageLocation,
    emit: progress.Emit,
) -> None:
    unit = f"push {target}"
    options = copier.CopyOptions(unit=unit)
    with progress.reported(emit, unit, unit):
        if location.kind == "layout":
            from polyarch.transfer.layout import OciLayout

            layout = OciLayout.create(Path(location.path))
            copier.copy(source, descriptor.digest, layout, (location.name or "latest",), options, emit)
        else:
            assert location.reference is not None
            publish(places.store, places.registry, source, descriptor.digest, location.reference, options, emit)


def _shown(location: ImageLocation) -> str:
    return (
        str(location.reference) if location.reference is not None else f"oci-layout://{location.path}:{location.name}"
    )
