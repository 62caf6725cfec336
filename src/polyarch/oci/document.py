"""Documents: a manifest or an index together with its original bytes.

The digest belongs to the bytes, so they are kept and never encoded again. An edit decodes them, changes the plain JSON
and encodes the result, which preserves fields that this version does not know.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import media_types, nesting
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

# distribution-spec asks registries to accept at least this size; most accept no more.
MAX_SIZE = 4 << 20


class Document(msgspec.Struct, frozen=True):
    """The raw bytes of a manifest or an index, and their media type."""

    raw: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return digests.of(self.raw)

    def descriptor(self, platform: Platform | None = None, annotations: dict[str, str] | None = None) -> Descriptor:
        """Return a descriptor of this document."""
        return Descriptor(
            media_type=self.media_type,
            digest=self.digest,
            size=len(self.raw),
            platform=platform,
            annotations=annotations or {},
        )

    def decode(self) -> dict[str, Any]:
        """Return a new plain JSON object, which the caller may change."""
        return decode(self.raw)


class Manifest(Document, frozen=True):
    """One image: a config and its layers, lowest first (image-spec, manifest.md)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Digest | None = None

    @property
    def is_image(self) -> bool:
        """Whether this is an image that can run, not an artifact that uses the manifest's format."""
        return self.config.media_type in (media_types.OCI_CONFIG, media_types.DOCKER_CONFIG)


class Index(Document, frozen=True):
    """Several images under one name, with an entry for each (image-spec, image-index.md).

    `unreadable` has the reason for each entry that is left out of `manifests` because it cannot be read.
    """

    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    subject: Digest | None = None
    unreadable: tuple[str, ...] = ()


def decode(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`.

    Raises CorruptError for anything else, and for one that is too large or too deep.
    """
    if len(raw) > MAX_SIZE:
        raise CorruptError(f"a manifest of {len(raw)} bytes is larger than the {MAX_SIZE} that registries accept")
    nesting.check(raw, "a manifest")
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"a manifest is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptError("a manifest is not a JSON object")
    return document


def encode(document: dict[str, Any]) -> bytes:
    """Return the bytes of a new document: JSON indented by two, as BuildKit writes it."""
    try:
        return msgspec.json.format(msgspec.json.encode(document), indent=2)
    except RecursionError:
        raise CorruptError("a manifest is nested too deeply") from None


def load(raw: bytes, media_type: str | None = None) -> Manifest | Index:
    """Return the manifest or index in `raw`.

    `media_type` is the type in the descriptor or in the registry's Content-Type. Without it, and without a `mediaType`
    in the document itself, the fields decide. The document's own type wins: some tools mix OCI's and Docker's names of
    the same kind ("crane flatten"). A manifest where an index is expected, or the reverse, is refused. As in Go, null
    means absent. Raises CorruptError.
    """
    document = decode(raw)
    kind = _kind(document, media_type)
    annotations = _annotations(document)
    artifact_type = document.get("artifactType") or ""
    if not isinstance(artifact_type, str):
        raise CorruptError("'artifactType' is not a string")
    if kind in media_types.INDEXES:
        unreadable: list[str] = []
        return Index(
            raw=raw,
            media_type=kind,
            manifests=tuple(entry for entry, _ in index_entries(document, unreadable)),
            unreadable=tuple(unreadable),
            annotations=annotations,
            artifact_type=artifact_type,
            subject=_subject(document),
        )
    return Manifest(
        raw=raw,
        media_type=kind,
        config=_typed(descriptors.parse(document.get("config")), media_types.OCI_CONFIG),
        layers=tuple(descriptors.parse(entry) for entry in _list(document, "layers")),
        annotations=annotations,
        artifact_type=artifact_type,
        subject=_subject(document),
    )


def _kind(document: dict[str, Any], media_type: str | None) -> str:
    if document.get("schemaVersion") == 1:
        raise CorruptError(
            "the manifest uses Docker's schema 1, which registries and engines no longer support",
            "pull and push it once with a tool that still converts schema 1, or rebuild the image",
        )
    own = document.get("mediaType")
    if not isinstance(own, str | None):
        raise CorruptError("'mediaType' is not a string")
    known = media_types.INDEXES | media_types.MANIFESTS
    # A manifest has a config and layers, an index has manifests. Different readers could interpret a document that
    # has both differently (CVE-2021-41190).
    has = {name for name in ("manifests", "config", "layers") if document.get(name) is not None}
    if "manifests" in has and len(has) > 1:
        raise CorruptError("the document is both a manifest and an index")
    if media_type in known and own in known and (own in media_types.INDEXES) != (media_type in media_types.INDEXES):
        raise CorruptError(f"the media type of the document is {own}, but its descriptor says {media_type}")
    kind = own or (media_type if media_type in known else None)
    if kind is None:
        kind = media_types.OCI_INDEX if "manifests" in has else media_types.OCI_MANIFEST
    if kind not in known:
        raise CorruptError(f"{kind} is neither an image manifest nor an index")
    # `manifests` of an index without entries may be null or absent.
    if has & ({"config", "layers"} if kind in media_types.INDEXES else {"manifests"}):
        raise CorruptError(f"the media type of the document is {kind}, but it has the fields of another kind")
    return kind


def index_entries(
    document: dict[str, Any], unreadable: list[str] | None = None
) -> Iterator[tuple[Descriptor, dict[str, Any]]]:
    """Yield each readable entry of an index, with its JSON object.

    An unreadable entry is skipped, because the others remain usable; the reason is appended to `unreadable`. An entry
    that has a platform but no media type is an image. Raises CorruptError if `manifests` is not a list.
    """
    for plain in _list(document, "manifests"):
        try:
            entry = descriptors.parse(plain)
        except CorruptError as error:
            if unreadable is not None:
                unreadable.append(error.message)
            continue
        yield (entry if entry.platform is None else _typed(entry, media_types.OCI_MANIFEST)), plain


def _typed(descriptor: Descriptor, usual: str) -> Descriptor:
    return descriptor if descriptor.media_type else msgspec.structs.replace(descriptor, media_type=usual)


def _list(document: dict[str, Any], field: str) -> list[Any]:
    entries = document.get(field)
    if not isinstance(entries, list | None):
        raise CorruptError(f"{field!r} is not a list")
    return entries or []


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise CorruptError("'annotations' is not a map of strings")
    if not all(isinstance(value, str) for value in annotations.values()):
        annotations = {key: "" if value is None else value for key, value in annotations.items()}
        if not all(isinstance(value, str) for value in annotations.values()):
            raise CorruptError("'annotations' is not a map of strings")
    return annotations


def _subject(document: dict[str, Any]) -> Digest | None:
    """Return the digest of the document's subject (image-spec, manifest.md, "subject"), or None."""
    subject = document.get("subject")
    try:
        return None if subject is None else descriptors.parse(subject).digest
    except CorruptError:
        return None
