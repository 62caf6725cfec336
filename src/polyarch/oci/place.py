"""Places: where images are. The store, a repository of a registry and an archive implement these Protocols.

`transfer/copy.py` copies between any two places. A `name` identifies an image within its place: a reference in the
store, a tag in a repository, a ref name in an archive. A capability of only some places is a Protocol of its own, which
the copier tests with isinstance.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.reference import Reference


class Readable(Protocol):
    """Bytes that can be read once."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or all the rest if it is negative; empty at the end."""


class Verifying(Readable, Protocol):
    """A Readable that verifies what it reads, so that its consumer need not hash the same bytes again.

    It returns the last bytes only after size and digest have matched, and raises CorruptError otherwise.
    """

    @property
    def verifies(self) -> Descriptor | None:
        """What the bytes are verified against; None if they are not verified, or if some have been read already."""


class BlobReader(Readable, Protocol):
    """A Readable that its consumer closes, preferably with `with`."""

    def close(self) -> None:
        """Release the resources of the reader."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Source(Protocol):
    """A place that can be read."""

    def resolve(self, name: str) -> Descriptor:
        """Return the descriptor that `name` (or a digest) points at. Raises NotFoundError."""

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return the verified bytes of a manifest or index. Raises NotFoundError and CorruptError."""

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Return a reader of a blob that verifies its bytes. Raises NotFoundError; the reader raises CorruptError."""

    def tags(self) -> tuple[str, ...]:
        """Return the names in this place, sorted."""


class BlobTarget(Protocol):
    """A place where blobs can be written."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Return whether the whole blob exists already."""

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Write a blob. Raises CorruptError, and keeps nothing, if `content` does not match the descriptor.

        The target is responsible for verification: it verifies content that is not `Verifying` itself (`oci/verify.py`,
        `verifying`). A registry verifies on the server.
        """


class Target(BlobTarget, Protocol):
    """A place that can be written. The copier writes children before the documents that name them."""

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """Return whether the manifest or index exists already."""

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """Write a manifest or index, and let `name`, if given, point at it."""


@runtime_checkable
class Fetching(Protocol):
    """A source that returns a name's descriptor together with its bytes, in one request."""

    def fetch_manifest(self, name: str) -> tuple[Descriptor, bytes]:
        """Return the results of `resolve` and `read_manifest`."""


@runtime_checkable
class Mounting(Protocol):
    """A target that can take a blob from another repository of the same registry without a transfer."""

    def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
        """Take the blob from the repository `origin`. Return False if that fails and the blob must be written."""


@runtime_checkable
class Tagged(Protocol):
    """A target that can report what its names point at."""

    def points_at(self, name: str) -> Digest | None:
        """Return the digest that `name` points at in this place itself, or None if it is not known."""


@runtime_checkable
class Originating(Protocol):
    """A source that knows in which registries' repositories a blob was seen."""

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """Return the repositories that have the blob, most likely first."""


@runtime_checkable
class Referring(Protocol):
    """A source that can list the manifests about an image: those that have it as their `subject`."""

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Return the manifests whose subject is `subject`, with their artifact types and annotations.

        The list is what the place says. `transfer/referrers.py` compares it with the manifests. Raises RegistryError.
        """


@runtime_checkable
class Attachable(Protocol):
    """A target that can list manifests under their subject."""

    def write_referrers(self, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
        """Write manifests that have the subject `subject`, and list them as its referrers.

        What they name has been written before; the subject itself may be absent. Raises RegistryError.
        """


@runtime_checkable
class Ranged(Protocol):
    """A source that can read part of a blob. That part is not verified against the blob's digest."""

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`, fewer at the end."""


@runtime_checkable
class Partial(Protocol):
    """A source that may lack some of the blobs that it names, and can report that without network traffic."""

    def lacks(self, descriptor: Descriptor) -> bool:
        """Return whether the blob is not available from here."""


@runtime_checkable
class Streaming(Protocol):
    """A target that is a single stream: blobs are written one at a time, in the order of their digests."""

    in_order: bool
