"""The store as pages read it: without leases, because looking at an image must not keep it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from polyarch.errors import NotFoundError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.verify import VerifyingReader

if TYPE_CHECKING:
    from polyarch.store import Store


class StoredImages:
    """A `Source` of what the store itself has, as one repository sees it. It never asks a registry, and owns nothing.

    `referrers` lists what the repository has about a manifest: another one may have more about the same, which its
    readers need not be allowed to see.
    """

    def __init__(self, store: "Store", referrers: Callable[[Digest], Sequence[Descriptor]]) -> None:
        self.store = store
        self._referrers = referrers

    def resolve(self, name: str) -> Descriptor:
        """Implements `Source`."""
        return self.store.resolve(name)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Implements `Source`."""
        return self.store.peek(descriptor).raw

    def open_blob(self, descriptor: Descriptor) -> VerifyingReader:
        """Implements `Source`."""
        path = self.store.blob_path(descriptor.digest)
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 (the reader closes it)
        except FileNotFoundError:
            raise NotFoundError(f"the store has no blob {descriptor.digest}") from None
        return VerifyingReader(file, descriptor, file.close, "the store")

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `Ranged`."""
        return self.store.read_range(descriptor, offset, size)

    def tags(self) -> tuple[str, ...]:
        """Implements `Source`: pages find names elsewhere."""
        return ()

    def blob_size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes; None if the store has none."""
        try:
            return self.store.blob_path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the store has the blob in the size of its descriptor."""
        return self.blob_size(descriptor.digest) == descriptor.size

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Implements `Referring`."""
        return tuple(self._referrers(subject))
