"""`--quota`: how many bytes may be pushed to a server.

Counted are the manifests and blobs that pushed images name, each once, whatever has a name of its own in the store
besides; what was uploaded and has no name yet; and unfinished uploads. What is mirrored is the cache's.
"""

import threading
from collections.abc import Callable

from polyarch.distribution import errors as codes
from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import document as documents
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import tables_of
from polyarch.render.text import size
from polyarch.serve import naming
from polyarch.serve.catalog import Catalog
from polyarch.serve.errors import RequestError
from polyarch.serve.repositories import Repositories
from polyarch.store.manifests import KINDS, children

_REMEMBERED = 50_000
# Clients of every kind show the message of this status: tests/serve/test_quota.py.
_STATUS = 403


class QuotaError(RequestError):
    """There is no room for what a client wants to push."""


class Quota:
    """The quota of one server, `limit` bytes. `unfinished` returns the bytes of unfinished uploads. Thread-safe."""

    def __init__(self, limit: int, repositories: Repositories, unfinished: Callable[[], int]) -> None:
        self._limit = limit
        self._repositories = repositories
        self._unfinished = unfinished
        self._mutex = threading.Lock()
        self._parts: dict[Digest, tuple[Descriptor, ...]] = {}
        self._catalog: Catalog | None = None
        self._pushed: dict[Digest, int] = {}
        self._pushed_size = 0
        # What arrived since the last turn but one.
        self._arrived: dict[Digest, int] = {}
        self._arrived_before: dict[Digest, int] = {}

    @property
    def used(self) -> int:
        """The bytes of what is pushed and of what was uploaded; without unfinished uploads."""
        with self._mutex:
            self._look()
            return self._pushed_size + sum((self._arrived_before | self._arrived).values())

    def require(self, more: int) -> None:
        """Raises RequestError unless there is room for `more` bytes."""
        used = self.used
        if used + self._unfinished() + more > self._limit:
            raise QuotaError(
                codes.DENIED,
                f"this does not fit into the quota of {size(self._limit)}, of which {size(used)} are used; delete "
                "images that are not needed, or ask whoever runs the registry for more",
                status=_STATUS,
            )

    def require_manifest(self, raw: bytes, media_type: str) -> None:
        """The same for a manifest that is to be pushed: what it names may be here without having been pushed."""
        try:
            document = documents.load(raw, media_type or None)
        except CorruptError:
            return  # it will be refused for that
        with self._mutex:
            self._look()
            known = self._pushed.keys() | self._arrived.keys() | self._arrived_before.keys()
        more = {part.digest: part.size for part in children(document) if part.digest not in known}
        self.require(len(raw) + sum(more.values()))

    def arrived(self, digest: Digest, count: int) -> None:
        """A blob was uploaded, which counts although nothing names it yet."""
        with self._mutex:
            self._look()
            if digest not in self._pushed:
                self._arrived[digest] = count

    def turn(self) -> None:
        """What arrived before the last turn and still has no name is removed now."""
        with self._mutex:
            self._arrived_before, self._arrived = self._arrived, {}

    def _look(self) -> None:
        """Compute what is pushed, if index.json has changed."""
        catalog = self._repositories.catalog()
        if catalog is self._catalog:
            return
        pending = [
            descriptor
            for name, tags in catalog.tagged.items()
            if name.startswith(naming.PUSHED)
            for descriptor in tags.values()
        ]
        for found in (catalog.kept, catalog.listed):
            pending += (descriptor for kept in found.values() for descriptor in kept.values())
        pushed: dict[Digest, int] = {}
        while pending:
            descriptor = pending.pop()
            if descriptor.digest not in pushed:
                pushed[descriptor.digest] = descriptor.size
                if descriptor.media_type in KINDS:
                    pending += self._parts_of(descriptor)
        self._catalog, self._pushed, self._pushed_size = catalog, pushed, sum(pushed.values())
        for waiting in (self._arrived, self._arrived_before):
            for digest in pushed.keys() & waiting.keys():
                del waiting[digest]

    def _parts_of(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """What a manifest names and is here: not platforms that were not pushed, and no foreign layers."""
        parts = self._parts.get(descriptor.digest)
        if parts is None:
            store = self._repositories.store
            try:
                document = store.peek(descriptor)
            except (NotFoundError, CorruptError):
                return ()
            named = (*children(document), *tables_of(document))
            parts = tuple(one for one in named if store.blob_size(one.digest) is not None)
            if len(parts) == len(named):
                if len(self._parts) > _REMEMBERED:
                    self._parts.clear()
                self._parts[descriptor.digest] = parts
        return parts
