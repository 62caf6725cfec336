"""Which blobs belong to which repository, for clients whose rights differ by repository.

The store keeps each content once. So without a rule, who knows the digest of a layer could read it through any
repository, or name it in a manifest of another one. The rule: a blob is in a repository if one of its manifests reaches
it, or for the account that uploaded or mounted it there.
"""

import threading
from collections.abc import Callable

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import tables_of
from polyarch.serve.access import ClientRights
from polyarch.serve.catalog import Catalog
from polyarch.serve.repositories import Repositories
from polyarch.store.manifests import children

# Manifests and uploads that are remembered. Of an upload that is forgotten, the blob must be sent again.
_REMEMBERED = 50_000


class Membership:
    """Answers for one server. For many threads."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._mutex = threading.Lock()
        self._parts: dict[Digest, tuple[Digest, ...]] = {}
        self._uploaded: dict[tuple[str, str, Digest], None] = {}
        self._catalog: Catalog | None = None
        self._contents: dict[str, frozenset[Digest]] = {}

    def has(self, rights: ClientRights, repository: str, digest: Digest) -> bool:
        """Whether the client may know that a repository has this blob."""
        if rights.all_alike or (rights.account, repository, digest) in self._uploaded:
            return True
        return digest in self._content(repository)

    def knows(self, rights: ClientRights, repository: str) -> Callable[[Digest], bool]:
        """`has` for one client and repository."""
        return lambda digest: self.has(rights, repository, digest)

    def can_mount(self, rights: ClientRights, origin: str | None, digest: Digest) -> bool:
        """Whether the client may take a blob from repository `origin`. Without one, the client may only do so if it may
        read everything.
        """
        if rights.all_alike:
            return True
        return bool(origin) and rights.allows(origin or "", "pull") and self.has(rights, origin or "", digest)

    def arrived(self, rights: ClientRights, repository: str, digest: Digest) -> None:
        """Note that the client has uploaded a blob to a repository, or mounted it there."""
        if rights.all_alike:
            return
        with self._mutex:
            self._uploaded[rights.account, repository, digest] = None
            if len(self._uploaded) > _REMEMBERED:
                del self._uploaded[next(iter(self._uploaded))]

    def forget(self, repository: str, digest: Digest) -> None:
        """A blob was deleted from a repository."""
        with self._mutex:
            for key in [key for key in self._uploaded if key[1:] == (repository, digest)]:
                del self._uploaded[key]

    def _content(self, repository: str) -> frozenset[Digest]:
        """The digests of all that the manifests of a repository name, and of the manifests."""
        catalog = self._repositories.catalog()
        with self._mutex:
            if self._catalog is not catalog:
                self._catalog, self._contents = catalog, {}
            known = self._contents.get(repository)
        if known is None:
            members = catalog.members(repository)
            parts = (part for one in members.values() for part in self._parts_of(one))
            known = frozenset((*members, *parts))
            with self._mutex:
                if self._catalog is catalog:
                    self._contents[repository] = known
        return known

    def _parts_of(self, descriptor: Descriptor) -> tuple[Digest, ...]:
        parts = self._parts.get(descriptor.digest)
        if parts is None:
            try:
                document = self._repositories.store.peek(descriptor)
            except (NotFoundError, CorruptError):
                return ()
            parts = tuple(part.digest for part in (*children(document), *tables_of(document)))
            with self._mutex:
                if len(self._parts) > _REMEMBERED:
                    self._parts.clear()
                self._parts[descriptor.digest] = parts
        return parts
