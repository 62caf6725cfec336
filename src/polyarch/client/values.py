"""The values that the methods of the client return. All are frozen."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


class ImagePlatform(msgspec.Struct, frozen=True, kw_only=True):
    """The image for one platform of a named image.

    `platform` is its normalized text, such as "linux/arm/v7", or "" if it is unknown. `available` says if the image is
    in the store. If it is, `size` is the size of its manifest, config and layers in bytes, and `config` the digest of
    its config; otherwise they are 0 and "". `attestation` marks an attestation of another entry.
    """

    platform: str
    digest: Digest
    size: int
    config: Digest
    available: bool
    attestation: bool = False


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the store, for one or more platforms.

    `name` is in docker's short form, or "" for an image without a name. `digest` is the digest of the index, or if
    `is_index` is false, of the manifest. `size` is in bytes; content that platforms share is counted once.
    """

    name: str
    digest: Digest
    size: int
    is_index: bool
    platforms: tuple[ImagePlatform, ...]


class ImageDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration and the layers of an image for one platform.

    `created` is a time in RFC 3339 format, or "". `layers` are in order, the lowest first. `annotations` are those of
    the manifest. `config` is the decoded JSON of the config.
    """

    name: str
    platform: Platform
    digest: Digest
    created: str
    env: Mapping[str, str]
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    working_directory: str
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    config: Mapping[str, object]


class PushResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was uploaded to a registry.

    `descriptor` is what `name` points to in the registry. `note` says which index was uploaded if not all platforms
    were. `warnings` report that the name was changed by someone else in the meantime, and content that could not be
    converted.
    """

    name: str
    descriptor: Descriptor
    note: str = ""
    warnings: tuple[str, ...] = ()


class CompletedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command that was run in an image.

    `returncode` is its exit status, or 128 + n if signal n ended it. `stdout` and `stderr` are the captured output,
    or None if the stream was not captured.
    """

    image: str
    platform: Platform
    returncode: int
    stdout: bytes | None = None
    stderr: bytes | None = None


class PruneResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed from the store: digests and other ids, and their `size` in bytes."""

    removed: tuple[str, ...]
    size: int


class EntryDifference(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that differs between two indexes.

    `subject` is the platform of the entry, or its digest if it has no platform. `old` is None if the entry was added,
    and `new` is None if it was removed. If it was changed, `fields` are the names of the fields that differ.
    """

    change: Literal["added", "removed", "changed"]
    subject: str
    old: Descriptor | None = None
    new: Descriptor | None = None
    fields: tuple[str, ...] = ()


class IndexDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The differences between two indexes. `annotations` of the index are (key, old value, new value)."""

    entries: tuple[EntryDifference, ...]
    annotations: tuple[tuple[str, str | None, str | None], ...]


class ImageIndex(msgspec.Struct, frozen=True, kw_only=True):
    """A multi-platform index.

    An entry has a `platform`, `digest`, `size` and `annotations`. If the index was changed, `added` and `removed` are
    the entries that differ from before. `warnings` report entries that contradict the config of their image.
    """

    name: str
    descriptor: Descriptor
    entries: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    added: tuple[Descriptor, ...] = ()
    removed: tuple[Descriptor, ...] = ()
    warnings: tuple[str, ...] = ()
