"""What the client's methods return, and the groups of settings that they take: frozen values."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform


class ImagePlatform(msgspec.Struct, frozen=True, kw_only=True):
    """The image for one platform below a name.

    `platform` is its normal spelling, "linux/arm/v7"; empty where nothing says it. `size` is the bytes of its
    manifest, config and layers, and `config` the digest of its config; 0 and "" where it is not in the store, which
    `available` says. `attestation`: it is a statement about another entry, not an image.
    """

    platform: str
    digest: Digest
    size: int
    config: Digest
    available: bool
    attestation: bool = False


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A name in the store, and what it points at.

    `name` is in docker's short form, empty for an image without a name. `digest` is that of the index, or of the
    manifest where `is_index` is False. `size` in bytes counts what its platforms share once.
    """

    name: str
    digest: Digest
    size: int
    is_index: bool
    platforms: tuple[ImagePlatform, ...]


class ImageDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What an image for one platform is made of, and how it is run.

    `created` is RFC 3339, empty where the config does not say it. `layers` are descriptors, lowest first. `config` is
    the whole config as JSON has it.
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
    """What was sent to a registry.

    `name` is what it is called there and `descriptor` what that points at. `note` says which index was sent where
    only some platforms were; `warnings` what changed in the registry since it was last read, and what the format has
    no place for.
    """

    name: str
    descriptor: Descriptor
    note: str = ""
    warnings: tuple[str, ...] = ()


class CompletedRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a process in an image ended.

    `returncode` is its exit status, 128 + n where signal n ended it. `stdout` and `stderr` are the bytes that were
    captured, None for a stream that was not.
    """

    image: str
    platform: Platform
    returncode: int
    stdout: bytes | None = None
    stderr: bytes | None = None


class EntryDifference(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that differs between two indexes: `old` and `new` are what they have for `subject`, None for nothing.

    `change` is "added", "removed" or "changed"; `subject` is a platform, or the digest of an entry without one. Of a
    changed entry, `fields` are the names of what differs: digest, annotations, platform.
    """

    change: Literal["added", "removed", "changed"]
    subject: str
    old: Descriptor | None = None
    new: Descriptor | None = None
    fields: tuple[str, ...] = ()


class IndexDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two indexes: entries, and annotations of the index as (key, old value, new value)."""

    entries: tuple[EntryDifference, ...]
    annotations: tuple[tuple[str, str | None, str | None], ...]


class ImageIndex(msgspec.Struct, frozen=True, kw_only=True):
    """An index by name. After an edit, `added` and `removed` are the entries that came and went.

    `entries` have a `platform`, `digest`, `size` and `annotations`; `warnings` say where an entry contradicts its
    image's own config.
    """

    name: str
    descriptor: Descriptor
    entries: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    added: tuple[Descriptor, ...] = ()
    removed: tuple[Descriptor, ...] = ()
    warnings: tuple[str, ...] = ()
