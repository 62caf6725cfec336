"""Places: where images are. The store, a repository of a registry and an archive all have these methods.

`transfer/copy.py` is the one copier between any two. A `name` is what the place calls an image: a reference in
the store, a tag in a repository, a ref name in an archive. What only some places can do is a Protocol of its own,
which the copier asks for with isinstance.
"""

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference


class Readable(Protocol):
    """Bytes to be read once."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, all that is left where it is negative; empty at the end."""


class Verifying(Readable, Protocol):
    """A Readable that checks what it reads, so that its user need not hash the same bytes again.

    It returns the last bytes only after it has found size and digest to be right, and raises CorruptError otherwise.
    """

    @property
    def verifies(self) -> Descriptor | None:
        """What the bytes are checked against; None if some have been read already, or if they are not checked."""


class BlobReader(Readable, Protocol):
    """A Readable that its user closes, best with `with`."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Source(Protocol):
    """A place that can be read."""

    def resolve(self, name: str) -> Descriptor:
        """What `name` (or a digest) points at. Raises NotFoundError."""

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """The verified bytes of a manifest or index. Raises NotFoundError, CorruptError."""

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """The bytes of a blob, verified while they are read. Raises NotFoundError; reading, CorruptError."""

    def tags(self) -> tuple[str, ...]:
        """The names that this place has, sorted."""


class Target(Protocol):
    """A place that can be written. Children come before what names them: the copier sees to that."""

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there already, whole."""

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Write a blob. Raises CorruptError if `content` is not what the descriptor says; then nothing is kept.

        The target answers for that: what is not `Verifying` it verifies itself (`oci/verify.py`, `verifying`). A
        registry does so on its side.
        """

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the manifest or index is there already."""

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """Write a manifest or index, and let `name` point at it where one is given."""


@runtime_checkable
class Fetching(Protocol):
    """A source that gives what a name points at together with its bytes, in one request."""

    def fetch_manifest(self, name: str) -> tuple[Descriptor, bytes]:
        """As `resolve` and `read_manifest`."""


@runtime_checkable
class Mounting(Protocol):
    """A target that can take a blob from a neighbouring repository without moving it."""

    def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
        """Take the blob from repository `origin`; False where this place cannot, and it must be written."""


@runtime_checkable
class Tagged(Protocol):
    """A target that can say what its names point at now."""

    def points_at(self, name: str) -> Digest | None:
        """What `name` points at in this place itself, None where nobody knows."""


@runtime_checkable
class Originating(Protocol):
    """A source that knows in which repositories of registries a blob was seen."""

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """Repositories that have the blob, the most likely first."""


@runtime_checkable
class Ranged(Protocol):
    """A source that can read the middle of a blob. What it returns is not verified by the blob's digest."""

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer at the end."""


@runtime_checkable
class Partial(Protocol):
    """A source that may lack some of what it names, and can say so without traffic."""

    def lacks(self, descriptor: Descriptor) -> bool:
        """Whether the blob cannot be had from here."""


@runtime_checkable
class Streaming(Protocol):
    """A target that is one stream: blobs come one at a time, in the order of their digests."""

    in_order: bool
