"""The multi-platform index and its edits. Every edit returns a new value.

A `Matcher` chooses entries. An edit changes the decoded JSON of the matching entries and keeps fields that it does not
know. Entries stay in the order in which they were added; `ordered` puts baselines before variants.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from polyarch.errors import NotFoundError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.platform import Platform

Matcher = Callable[[Descriptor], bool]
_KINDS = media_types.INDEXES | media_types.MANIFESTS


class PlatformEdit(msgspec.Struct, frozen=True):
    """The fields of an entry's platform that `annotate` sets. None leaves a field unchanged."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no field is set."""
        return self == PlatformEdit()


def normalized(edit: PlatformEdit) -> PlatformEdit:
    """Return the edit with its architecture and operating system in the form that images use.

    Raises UsageError, with a suggestion, if there is no such architecture or operating system.
    """
    architecture, variant = edit.architecture, edit.variant
    if architecture is not None:
        architecture, implied = platforms.parse_architecture(architecture)
        variant = implied if variant is None and implied else variant
    system = platforms.parse_system(edit.os) if edit.os is not None else None
    return msgspec.structs.replace(edit, os=system, architecture=architecture, variant=variant)


def by_digest(digest: Digest) -> Matcher:
    """Match entries with this digest."""
    return lambda entry: entry.digest == digest


def by_platform(platform: Platform) -> Matcher:
    """Match image entries for exactly this platform. Both platforms are normalized first."""
    return lambda entry: (
        entry.platform is not None and not entry.is_attestation and platforms.same(entry.platform, platform)
    )


def meant_by(platform: Platform) -> Matcher:
    """Match the entries that a user means by this platform: like `by_platform`, but omitted fields match any value.

    Windows images differ only by os.version, which users do not type: without it, all of them match.
    """

    def matches(entry: Descriptor) -> bool:
        return entry.platform is not None and is_image(entry) and is_meant(entry.platform, platform)

    return matches


def is_meant(offered: Platform, wanted: Platform) -> bool:
    """Return whether a user who asks for `wanted` means `offered`: fields omitted in `wanted` match any value."""
    version = offered.os_version
    if not wanted.os_version or platforms.is_version_of(version, wanted.os_version):
        version = wanted.os_version
    features = offered.os_features if wanted.os_features else ()
    return platforms.same(msgspec.structs.replace(offered, os_version=version, os_features=features), wanted)


def create(
    entries: Iterable[Descriptor] = (),
    annotations: Mapping[str, str] | None = None,
    media_type: str = media_types.OCI_INDEX,
) -> Index:
    """Return an index with these entries."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [descriptors.to_dict(entry) for entry in entries],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return _load(document)


def add(index: Index, entry: Descriptor) -> Index:
    """Return the index with `entry` at its end, or in the place of the entry with the same digest."""
    document = _decode(index)
    plain = descriptors.to_dict(entry)
    for position, existing in enumerate(index.manifests):
        if existing.digest == entry.digest:
            document["manifests"][position] = document["manifests"][position] | plain
            return _load(document)
    document["manifests"].append(plain)
    return _load(document)


def replace(index: Index, matcher: Matcher, entry: Descriptor) -> Index:
    """Return the index with `entry` in the place of the first match, or else at its end. Other matches are removed."""
    document = _decode(index)
    kept: list[dict[str, Any]] = []
    placed = False
    for existing, plain in zip(index.manifests, document["manifests"], strict=True):
        if not matcher(existing) and existing.digest != entry.digest:
            kept.append(plain)
        elif not placed:
            kept.append(descriptors.to_dict(entry))
            placed = True
    if not placed:
        kept.append(descriptors.to_dict(entry))
    document["manifests"] = kept
    return _load(document)


def remove(index: Index, matcher: Matcher) -> Index:
    """Return the index without the matching entries and the attestations about them.

    Raises NotFoundError if no entry matches.
    """
    gone = {entry.digest for entry in index.manifests if matcher(entry)}
    if not gone:
        raise NotFoundError("the index has no such entry", f"it has {describe(index)}")
    document = _decode(index)
    document["manifests"] = [
        plain
        for entry, plain in zip(index.manifests, document["manifests"], strict=True)
        if entry.digest not in gone and entry.annotations.get(REFERENCE_DIGEST) not in gone
    ]
    return _load(document)


def ordered(index: Index) -> Index:
    """Return the index with the baseline of each architecture before its variants; itself if it has that order already.

    Tools that ask for an architecture without a variant take the first entry that matches (crane, oras, syft). Only
    entries of the same system and architecture exchange places.
    """
    document = index.decode()
    entries = document["manifests"]
    places: dict[tuple[str, str], list[int]] = {}
    for position, entry in enumerate(index.manifests):
        if entry.platform is not None and not entry.is_attestation:
            normal = platforms.normalize(entry.platform)
            places.setdefault((normal.os, normal.architecture), []).append(position)
    result = list(entries)
    for group in places.values():
        # Sorting is stable: entries that differ only in os.version keep their order.
        chosen = sorted(group, key=lambda position: _variant_order(index.manifests[position]))
        for position, source in zip(group, chosen, strict=True):
            result[position] = entries[source]
    if all(after is before for after, before in zip(result, entries, strict=True)):
        return index
    document["manifests"] = result
    return _load(document)


def annotate(index: Index, matcher: Matcher, edit: PlatformEdit, annotations: Mapping[str, str] | None = None) -> Index:
    """Return the index with the platform and annotations of the matching entries changed.

    Raises NotFoundError if no entry matches.
    """
    document = _decode(index)
    matched = False
    for entry, plain in zip(index.manifests, document["manifests"], strict=True):
        if not matcher(entry):
            continue
        matched = True
        if not edit.is_empty:
            plain["platform"] = _edited(plain.get("platform") or {}, edit)
        if annotations:
            plain["annotations"] = {**(plain.get("annotations") or {}), **annotations}
    if not matched:
        raise NotFoundError("the index has no such entry", f"it has {describe(index)}")
    return _load(document)


def annotate_index(index: Index, annotations: Mapping[str, str]) -> Index:
    """Return the index with these annotations of its own added or changed.

    Docker's manifest list has no annotations, so it becomes an OCI index of the same images, as in buildx.
    """
    document = _decode(index)
    document["mediaType"] = media_types.OCI_INDEX
    document["annotations"] = {**(document.get("annotations") or {}), **annotations}
    return _load(document)


def convert(index: Index, renamed: Mapping[Digest, Descriptor], *, to_docker: bool) -> Index:
    """Return the index in the other format.

    `renamed` maps the digest of each converted manifest to its new descriptor.
    """
    document = _decode(index)
    document["mediaType"] = media_types.DOCKER_INDEX if to_docker else media_types.OCI_INDEX
    for plain in document["manifests"]:
        if (target := renamed.get(plain["digest"])) is not None:
            plain |= {"mediaType": target.media_type, "digest": target.digest, "size": target.size}
        notes = plain.get("annotations") or {}
        if (subject := renamed.get(notes.get(REFERENCE_DIGEST, ""))) is not None:
            notes[REFERENCE_DIGEST] = subject.digest
    if to_docker:
        document.pop("annotations", None)
    return _load(document)


def select(index: Index, wanted: Platform) -> Descriptor | None:
    """Return the entry that best serves a machine of `wanted`, the first of equals; None if no entry does."""
    ranked = [
        (position, order, entry)
        for order, entry in enumerate(index.manifests)
        if entry.platform is not None
        and is_image(entry)
        and (position := platforms.rank(entry.platform, wanted)) is not None
    ]
    return min(ranked, key=lambda choice: choice[:2])[2] if ranked else None


def is_image(entry: Descriptor) -> bool:
    """Return whether an entry is an image or an index of images.

    Attestations are neither, and entries of unknown media types must be ignored (image-spec, image-index.md).
    """
    return not entry.is_attestation and entry.media_type in _KINDS


def images(index: Index) -> tuple[Descriptor, ...]:
    """Return the entries that are images or indexes."""
    return tuple(entry for entry in index.manifests if is_image(entry))


def attestation_entries(index: Index) -> tuple[Descriptor, ...]:
    """Return the entries that are attestations."""
    return tuple(entry for entry in index.manifests if entry.is_attestation)


def attestations(index: Index, subject: Digest) -> tuple[Descriptor, ...]:
    """Return the attestations about the entry with this digest."""
    return tuple(entry for entry in index.manifests if entry.annotations.get(REFERENCE_DIGEST) == subject)


def subset(index: Index, wanted: Iterable[Platform]) -> Index:
    """Return the index with only the images for these platforms and the attestations about them.

    Raises NotFoundError, naming the missing platforms.
    """
    chosen: set[Digest] = set()
    missing: list[str] = []
    for platform in wanted:
        matches = [entry.digest for entry in index.manifests if meant_by(platform)(entry)]
        if not matches:
            missing.append(str(platform))
        chosen.update(matches)
    if missing:
        raise NotFoundError(f"there is no entry for {', '.join(missing)}", f"the index has {describe(index)}")
    return keep(index, lambda entry: entry.digest in chosen or entry.annotations.get(REFERENCE_DIGEST) in chosen)


def keep(index: Index, matcher: Matcher) -> Index:
    """Return the index with only the matching entries; itself if all match."""
    document = _decode(index)
    document["manifests"] = [
        plain for entry, plain in zip(index.manifests, document["manifests"], strict=True) if matcher(entry)
    ]
    return index if len(document["manifests"]) == len(index.manifests) else _load(document)


def describe(index: Index) -> str:
    """Return the platforms of an index as text: "linux/amd64, linux/arm64"."""
    return ", ".join(str(entry.platform or "an entry without a platform") for entry in images(index)) or "no entries"


def _variant_order(entry: Descriptor) -> tuple[int, ...]:
    assert entry.platform is not None
    return platforms.variant_order(entry.platform)


def _edited(platform: dict[str, Any], edit: PlatformEdit) -> dict[str, Any]:
    changes = {
        "os": edit.os,
        "architecture": edit.architecture,
        "variant": edit.variant,
        "os.version": edit.os_version,
        "os.features": list(edit.os_features) if edit.os_features is not None else None,
    }
    # A variant belongs to its architecture: a new architecture removes it.
    is_stale = edit.architecture not in (None, platform.get("architecture"))
    kept = {key: value for key, value in platform.items() if key != "variant" or not is_stale}
    result = kept | {key: value for key, value in changes.items() if value is not None}
    # The specification requires both fields. An entry without a platform defaults to linux.
    result.setdefault("architecture", "")
    result.setdefault("os", "linux")
    return {key: value for key, value in result.items() if value or key in ("architecture", "os")}


def _decode(index: Index) -> dict[str, Any]:
    """Return a new JSON object whose `manifests` is a list of only the readable entries."""
    document = index.decode()
    document["manifests"] = [plain for _, plain in documents.index_entries(document)]
    return document


def _load(document: dict[str, Any]) -> Index:
    index = documents.load(documents.encode(document))
    assert isinstance(index, Index)
    return index
