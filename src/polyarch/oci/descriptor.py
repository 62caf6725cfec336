"""Descriptors: references to content by media type, digest and size (OCI image-spec, descriptor.md)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

# BuildKit's annotations of an attestation's index entry: its type, and the digest of the image that it is about.
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
# The tag of an entry in a layout's index.json (image-spec, annotations.md).
REF_NAME = "org.opencontainers.image.ref.name"


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A frozen view of a descriptor: its type, digest, size in bytes, and optional fields of an index entry.

    The fields are in the order in which BuildKit writes them, so that the same index has the same digest.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    data: str = ""
    platform: Platform | None = None
    artifact_type: str = ""

    @property
    def is_attestation(self) -> bool:
        """Whether this index entry is a statement about another entry, not an image."""
        return REFERENCE_TYPE in self.annotations or (self.platform is not None and self.platform.is_unknown)


def parse(document: object) -> Descriptor:
    """Return the descriptor in a decoded JSON object. Raises CorruptError if a field is missing or impossible.

    As in Go, null means absent. A platform without an operating system or an architecture is None, because image-spec
    requires both.
    """
    try:
        descriptor = msgspec.convert(document, Descriptor)
    except msgspec.ValidationError as error:
        # Descriptors with nulls are rare, so nulls are removed only after a failed conversion.
        descriptor = _without_nulls(document, error)
    digests.parse(descriptor.digest)
    if descriptor.size < 0:
        raise CorruptError(f"the descriptor of {descriptor.digest} has the size {descriptor.size}")
    platform = descriptor.platform
    if platform is not None and not (platform.os and platform.architecture):
        return msgspec.structs.replace(descriptor, platform=None)
    return descriptor


def _without_nulls(document: object, error: msgspec.ValidationError) -> Descriptor:
    if not isinstance(document, dict):
        raise CorruptError(f"a descriptor is malformed: {error}") from error
    plain: dict[str, Any] = {"mediaType": ""} | {key: value for key, value in document.items() if value is not None}
    if isinstance(platform := plain.get("platform"), dict):
        given = {key: value for key, value in platform.items() if value is not None}
        plain["platform"] = {"os": "", "architecture": ""} | given
    if isinstance(annotations := plain.get("annotations"), dict):
        plain["annotations"] = {key: "" if value is None else value for key, value in annotations.items()}
    try:
        return msgspec.convert(plain, Descriptor)
    except msgspec.ValidationError as again:
        raise CorruptError(f"a descriptor is malformed: {again}") from again


def to_dict(descriptor: Descriptor) -> dict[str, Any]:
    """Return the JSON object of a descriptor, without its empty fields."""
    document: dict[str, Any] = msgspec.to_builtins(descriptor)
    return document
