"""Descriptors: what points at content (OCI image-spec, descriptor.md)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

# What BuildKit marks the entry of an attestation with, and what names the image that it speaks of.
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
# The tag of an entry in a layout's index.json (image-spec, annotations.md).
REF_NAME = "org.opencontainers.image.ref.name"


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A frozen view of a descriptor: its type, digest, size in bytes, and what the index says of it."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    artifact_type: str = ""
    urls: tuple[str, ...] = ()
    data: str = ""

    @property
    def is_attestation(self) -> bool:
        """Whether this index entry is a statement about another entry, not an image."""
        return REFERENCE_TYPE in self.annotations or (self.platform is not None and self.platform.is_unknown)


def parse(document: object) -> Descriptor:
    """The view of a decoded JSON object. Raises CorruptError where a field is missing or impossible.

    As in Go, null means absent. A platform without an operating system or an architecture says nothing (image-spec
    requires both), so it is None.
    """
    try:
        descriptor = msgspec.convert(document, Descriptor)
    except msgspec.ValidationError as error:
        # Nearly no descriptor has nulls, so they are looked for only where one does not fit.
        descriptor = _forgiven(document, error)
    digests.parse(descriptor.digest)
    if descriptor.size < 0:
        raise CorruptError(f"the descriptor of {descriptor.digest} says a size of {descriptor.size}")
    platform = descriptor.platform
    if platform is not None and not (platform.os and platform.architecture):
        return msgspec.structs.replace(descriptor, platform=None)
    return descriptor


def _forgiven(document: object, error: msgspec.ValidationError) -> Descriptor:
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
    """The JSON object of a descriptor, fields that say nothing left out."""
    document: dict[str, Any] = msgspec.to_builtins(descriptor)
    return document
