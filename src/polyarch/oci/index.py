"""The multi-platform index: all that it is and can do. Every edit is value to value.

An entry is chosen by a `Matcher`; an edit changes the decoded JSON of the entries that match and keeps what it
does not know. Children stay in the order in which they were added; `ordered` puts baselines before variants.
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
    """What `annotate` may set in an entry's platform. None leaves a field as it is."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be set."""
        return self == PlatformEdit()


def normalized(edit: PlatformEdit) -> PlatformEdit:
    """The edit with the names of its architecture and system in the form that images use.

    Raises UsageError where there are no such names, with what may have been meant.
    """
    architecture, variant = edit.architecture, edit.variant
    if architecture is not None:
        architecture, implied = platforms.parse_architecture(architecture)
        variant = implied if variant is None and implied else variant
    system = platforms.parse_system(edit.os) if edit.os is not None else None
    return msgspec.structs.replace(edit, os=system, architecture=architecture, variant=variant)


def by_digest(digest: Digest) -> Matcher:
    """Entries with this digest."""
    return lambda entry: entry.digest == digest


def by_platform(platform: Platform) -> Matcher:
    """Image entries for exactly this platform; without a variant given, a normalized one is meant."""
    return lambda entry: (
        entry.platform is not None and not entry.is_attestation and platforms.same(entry.platform, platform)
    )


def meant_by(platform: Platform) -> Matcher:
    """Entries that a person means by this platform: as `by_platform`, but what is left out may be anything.

    Windows images differ by os.version alone, and nobody types it: without one, all of them are meant.
    """

    def matches(entry: Descriptor) -> bool:
        return entry.platform is not None and is_image(entry) and is_meant(entry.platform, platform)

    return matches


def is_meant(offered: Platform, wanted: Platform) -> bool:
    """Whether a person means the platform `offered` by `wanted`: what is left out there may be anything here."""
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
    """An index of these entries."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [descriptors.to_dict(entry) for entry in entries],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return _load(document)


def add(index: Index, entry: Descriptor) -> Index:
    """The index with `entry` at its end, or in the place of the entry that has its digest."""
    document = _decode(index)
    plain = descriptors.to_dict(entry)
    for position, existing in enumerate(index.manifests):
        if existing.digest == entry.digest:
            document["manifests"][position] = document["manifests"][position] | plain
            return _load(document)
    document["manifests"].append(plain)
    return _load(document)


def replace(index: Index, matcher: Matcher, entry: Descriptor) -> Index:
    """The index with `entry` where the first matching entry was, the other matches gone; else at its end."""
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
    """The index without the entries that match, nor the attestations that speak of them.

    Raises NotFoundError if none matches.
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
    """The index with the baseline of each architecture before its variants; itself where it has that order already.

    Tools that ask for an architecture without a variant take the first entry that matches (crane, oras, syft). Only
    entries of one system and architecture change places among themselves.
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
        # Sorting is stable: entries that only their os.version tells apart stay in their order.
        chosen = sorted(group, key=lambda position: _variant_order(index.manifests[position]))
        for position, source in zip(group, chosen, strict=True):
            result[position] = entries[source]
    if all(one is other for one, other in zip(result, entries, strict=True)):
        return index
    document["manifests"] = result
    return _load(document)


def annotate(index: Index, matcher: Matcher, edit: PlatformEdit, annotations: Mapping[str, str] | None = None) -> Index:
    """The index with the platform and annotations of the matching entries changed.

    Raises NotFoundError if none matches.
    """
    document = _decode(index)
    found = False
    for entry, plain in zip(index.manifests, document["manifests"], strict=True):
        if not matcher(entry):
            continue
        found = True
        if not edit.is_empty:
            plain["platform"] = _edited(plain.get("platform") or {}, edit)
        if annotations:
            plain["annotations"] = {**(plain.get("annotations") or {}), **annotations}
    if not found:
        raise NotFoundError("the index has no such entry", f"it has {describe(index)}")
    return _load(document)


def annotate_index(index: Index, annotations: Mapping[str, str]) -> Index:
    """The index with these annotations of its own added or changed.

    Docker's list has no place for them, so it becomes OCI's index of the same images, as buildx has it.
    """
    document = _decode(index)
    document["mediaType"] = media_types.OCI_INDEX
    document["annotations"] = {**(document.get("annotations") or {}), **annotations}
    return _load(document)


def convert(index: Index, renamed: Mapping[Digest, Descriptor], *, to_docker: bool) -> Index:
    """The index in the other format, its entries pointing at `renamed`: old digest to converted manifest."""
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
    """The entry that serves a machine of `wanted` best, the first of equals; None if none does."""
    ranked = [
        (position, order, entry)
        for order, entry in enumerate(index.manifests)
        if entry.platform is not None
        and is_image(entry)
        and (position := platforms.rank(entry.platform, wanted)) is not None
    ]
    return min(ranked, key=lambda choice: choice[:2])[2] if ranked else None


def is_image(entry: Descriptor) -> bool:
    """Whether an entry is an image or an index of some.

    Attestations are neither, and entries of unknown media types are to be ignored (image-spec, image-index.md).
    """
    return not entry.is_attestation and entry.media_type in _KINDS


def images(index: Index) -> tuple[Descriptor, ...]:
    """The entries that are images or indexes."""
    return tuple(entry for entry in index.manifests if is_image(entry))


def attestation_entries(index: Index) -> tuple[Descriptor, ...]:
    """The entries that are attestations."""
    return tuple(entry for entry in index.manifests if entry.is_attestation)


def attestations(index: Index, subject: Digest) -> tuple[Descriptor, ...]:
    """The entries that speak of the entry with this digest."""
    return tuple(entry for entry in index.manifests if entry.annotations.get(REFERENCE_DIGEST) == subject)


def subset(index: Index, wanted: Iterable[Platform]) -> Index:
    """The index with only the images for these platforms and the attestations that speak of them.

    Raises NotFoundError that names the platforms which it lacks.
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
    """The index with only the entries that match; itself where all do."""
    document = _decode(index)
    document["manifests"] = [
        plain for entry, plain in zip(index.manifests, document["manifests"], strict=True) if matcher(entry)
    ]
    return index if len(document["manifests"]) == len(index.manifests) else _load(document)


def describe(index: Index) -> str:
    """The platforms of an index in a sentence's form: "linux/amd64, linux/arm64"."""
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
    # A variant belongs to its architecture, and does not outlive it.
    outlived = edit.architecture not in (None, platform.get("architecture"))
    kept = {key: value for key, value in platform.items() if key != "variant" or not outlived}
    result = kept | {key: value for key, value in changes.items() if value is not None}
    # The specification requires both; an entry that had no platform gets what is not said from Linux's usual.
    result.setdefault("architecture", "")
    result.setdefault("os", "linux")
    return {key: value for key, value in result.items() if value or key in ("architecture", "os")}


def _decode(index: Index) -> dict[str, Any]:
    """A fresh JSON object whose `manifests` is a list, of just the entries that can be read."""
    document = index.decode()
    document["manifests"] = [plain for _, plain in documents.index_entries(document)]
    return document


def _load(document: dict[str, Any]) -> Index:
    index = documents.load(documents.encode(document))
    assert isinstance(index, Index)
    return index
