"""The store as repositories: what a registry does, without HTTP. Calls block; all may come from many threads."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

import msgspec

from polyarch.distribution import errors as codes
from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types, referrer
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.serve import errors, naming
from polyarch.serve.catalog import Catalog
from polyarch.serve.errors import RequestError
from polyarch.serve.leftovers import Leftovers
from polyarch.store import Store
from polyarch.store.manifests import KINDS, children
from polyarch.store.published import Publication

# Indexes whose entries are remembered.
_REMEMBERED = 20_000


class Pushed(msgspec.Struct, frozen=True):
    """A manifest that was pushed, the tags that it got, and what it is about."""

    descriptor: Descriptor
    tags: tuple[str, ...]
    subject: Digest | None


def _everything(digest: Digest) -> bool:
    return True


class Repositories:
    """The repositories of a store, which it does not own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._mutex = threading.Lock()
        self._catalog: Catalog | None = None
        self._below: dict[Digest, tuple[Descriptor, ...]] = {}
        self._described: dict[tuple[Digest, Digest], Descriptor] = {}
        self._deleted: dict[tuple[str, Digest], None] = {}
        self.leftovers = Leftovers(store)

    def catalog(self) -> Catalog:
        """The current state of index.json."""
        entries = self.store.entries()
        with self._mutex:
            if self._catalog is None or self._catalog.entries is not entries:
                self._catalog = Catalog(entries, self._below_of)
            return self._catalog

    # What there is

    def repositories(self) -> Sequence[str]:
        """The paths of all repositories, sorted."""
        return self.catalog().repositories()

    def tags(self, repository: str) -> Mapping[str, Descriptor]:
        """The tags of a repository and what they name. Raises RequestError if there is no such repository."""
        catalog = self.catalog()
        if not catalog.exists(repository):
            raise unknown_repository(repository)
        return catalog.tags(repository)

    def is_pushed(self, repository: str) -> bool:
        """Whether anything was pushed to this path."""
        catalog = self.catalog()
        return repository in catalog.kept or naming.PUSHED + repository in catalog.tagged

    def sorted_tags(self, repository: str) -> Sequence[str]:
        """The names of the tags in the order of their bytes. Raises RequestError if there is no such repository."""
        catalog = self.catalog()
        if not catalog.exists(repository):
            raise unknown_repository(repository)
        return catalog.sorted_tags(repository)

    def resolve(self, repository: str, reference: str) -> Descriptor:
        """What a tag or digest names. Raises RequestError."""
        catalog = self.catalog()
        if digests.is_digest(reference):
            found = catalog.members(repository).get(Digest(reference))
        else:
            found = catalog.tag(repository, reference)
        if found is None:
            raise RequestError(codes.MANIFEST_UNKNOWN, f"{repository} has no manifest {reference}")
        return found

    def read_manifest(self, repository: str, reference: str) -> tuple[Descriptor, bytes]:
        """A manifest and its bytes. Raises RequestError, CorruptError."""
        descriptor = self.resolve(repository, reference)
        try:
            return descriptor, self.store.peek_bytes(descriptor)
        except NotFoundError:  # an index of which not all platforms are here, or a tag that was removed meanwhile
            raise RequestError(codes.MANIFEST_UNKNOWN, f"{repository} has no manifest {reference}") from None

    def blob_size(self, repository: str, digest: Digest, *, lease: bool = False) -> int:
        """The size of a blob in bytes. `lease` keeps the blob for a while: a client may be about to name it.

        Raises RequestError if the repository has no such blob.
        """
        size = self._leased_size(digest) if lease else self.store.blob_size(digest)
        if size is None or (repository, digest) in self._deleted:
            raise RequestError(codes.BLOB_UNKNOWN, f"{repository} has no blob {digest}")
        return size

    def _leased_size(self, digest: Digest) -> int | None:
        try:
            return self.store.find_blob(digest)
        except PolyarchError as error:
            if not errors.is_full(error):
                raise
            # It can be read all the same. A manifest that names it is refused while the disk is full.
            return self.store.blob_size(digest)

    def can_mount(self, repository: str, digest: str, origin: str | None) -> bool:
        """Whether a blob is here and can be named by `repository` too; it is leased then. `origin` is the repository
        that it is said to be in; without one it may be anywhere (anonymous mount).
        """
        if not digests.is_digest(digest) or (origin, digest) in self._deleted:
            return False
        if self.store.find_blob(Digest(digest)) is None:
            return False
        self._return(repository, [Digest(digest)])
        return True

    def arrived(self, repository: str, digest: Digest) -> None:
        """Note that a blob was uploaded to a repository."""
        self.leftovers.add([digest])
        self._return(repository, [digest])

    def blob_path(self, digest: Digest) -> str:
        """The file of a blob."""
        return self.store.layout.blob(digest)

    # Changes

    def put_manifest(
        self,
        repository: str,
        reference: str,
        raw: bytes,
        media_type: str,
        tags: Sequence[str] = (),
        check: Callable[[Digest | None], None] | None = None,
        may_name: Callable[[Digest], bool] = _everything,
    ) -> Pushed:
        """Store a manifest under a tag, or under its digest and perhaps `tags`. Raises RequestError.

        `check` raises to refuse, given what each tag names so far. `may_name` says which content the manifest may name,
        as if the other were not here.
        """
        digest = digests.of(raw)
        if digests.is_digest(reference):
            digest = _checked(raw, Digest(reference))
        elif references.is_tag(reference):
            tags = (reference, *tags)
        else:
            raise RequestError(codes.MANIFEST_INVALID, f"{reference!r} is neither a tag nor a digest")
        if wrong := next((tag for tag in tags if not references.is_tag(tag)), None):
            raise RequestError(codes.MANIFEST_INVALID, f"{wrong!r} is not a tag")
        try:
            document = documents.load(raw, media_type)
        except CorruptError as error:
            raise RequestError(codes.MANIFEST_INVALID, error.message) from None
        if media_type in media_types.ACCEPTED and document.media_type != media_type:
            # A client that reads the Content-Type and one that reads the field must see the same (CVE-2021-41190).
            raise RequestError(
                codes.MANIFEST_INVALID, f"Content-Type is {media_type}, but mediaType {document.media_type}"
            )
        if isinstance(document, Index) and document.unreadable:
            raise RequestError(codes.MANIFEST_INVALID, document.unreadable[0])
        self._check_parts(repository, document, may_name)
        descriptor = Descriptor(media_type=document.media_type, digest=digest, size=len(raw))
        self.store.write_manifest(descriptor, raw)
        self.leftovers.add([digest])  # if it is refused its tag
        publication = self._publication(repository, descriptor, document, tuple(dict.fromkeys(tags)))
        self.store.published.add(msgspec.structs.replace(publication, check=check))
        named = [digest, *(part.digest for part in children(document))]
        self.leftovers.named(named)
        self._return(repository, named)
        return Pushed(descriptor, tuple(dict.fromkeys(tags)), document.subject)

    def delete_tag(self, repository: str, tag: str) -> None:
        """Remove a tag; its manifest stays. Raises RequestError if it is not there, or not one that was pushed."""
        name = f"{naming.PUSHED}{repository}:{tag}"
        catalog = self.catalog()
        if name not in catalog.entries.named:
            self._refuse_deletion(catalog, repository, tag, catalog.tag(repository, tag))
        self.store.published.remove_tag(repository, name)

    def delete_manifest(self, repository: str, digest: Digest) -> None:
        """Remove a manifest and all its tags. Raises RequestError as `delete_tag`, and if an index names it."""
        catalog = self.catalog()
        descriptor = catalog.members(repository).get(digest)
        # What is about a deleted manifest went with it, although index.json lists it until the next collection.
        if descriptor is None or not catalog.is_deletable(repository, digest):
            self._refuse_deletion(catalog, repository, digest, descriptor)
        self.store.published.remove(repository, naming.PUSHED + repository, digest)
        gone = [digest]
        with contextlib.suppress(NotFoundError, CorruptError):
            gone += (part.digest for part in children(self.store.peek(descriptor)))
        gone += (one.digest for one in self._all_below(descriptor))
        gone += [one.digest for subject in gone for one in catalog.referrers(repository, subject)]
        self.leftovers.add(gone)

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Remove a blob from a repository. Raises RequestError if it has none, or one of its manifests names it.

        The file stays for as long as anything else needs it.
        """
        self.blob_size(repository, digest)
        for descriptor in self.catalog().members(repository).values():
            with contextlib.suppress(NotFoundError, CorruptError):
                if any(part.digest == digest for part in children(self.store.peek(descriptor))):
                    raise RequestError(codes.UNSUPPORTED, f"the manifest {descriptor.digest} names {digest}")
        self.leftovers.add([digest])
        with self._mutex:
            self._deleted[repository, digest] = None
            if len(self._deleted) > _REMEMBERED:
                del self._deleted[next(iter(self._deleted))]

    def _return(self, repository: str, digests: Iterable[Digest]) -> None:
        """Blobs that were deleted are in the repository again."""
        if self._deleted:
            with self._mutex:
                for digest in digests:
                    self._deleted.pop((repository, digest), None)

    def _refuse_deletion(
        self, catalog: Catalog, repository: str, reference: str, descriptor: Descriptor | None
    ) -> NoReturn:
        if not catalog.exists(repository):
            raise unknown_repository(repository)
        if descriptor is None:
            raise RequestError(codes.MANIFEST_UNKNOWN, f"{repository} has no manifest {reference}")
        holder = catalog.holder(repository, descriptor.digest)
        if digests.is_digest(holder):
            raise RequestError(codes.UNSUPPORTED, f"the index {holder} names {descriptor.digest}: delete that first")
        raise RequestError(
            codes.UNSUPPORTED, f"{holder} was not pushed to this registry: `polyarch rmi {holder}` removes it there"
        )

    # Referrers

    def referrers(self, repository: str, subject: Digest) -> Sequence[Descriptor]:
        """The manifests about `subject` in a repository, each once, with its artifact type and annotations."""
        catalog = self.catalog()
        members = catalog.members(repository)
        # A referrer that came with its subject goes with it.
        found = {one.digest: one for one in catalog.referrers(repository, subject) if one.digest in members}
        # Clients that know no other way, and images that were pulled from such a registry, have them in an index.
        listed = catalog.tag(repository, referrer.tag(subject))
        if listed is not None:
            found.update((one.digest, one) for one in self._below_of(listed))
        described = (self._describe(one, subject) for one in found.values())
        return [one for one in described if one is not None]

    def _describe(self, descriptor: Descriptor, subject: Digest) -> Descriptor | None:
        """As a list of referrers has it; None if it is not here, or not about the subject."""
        known = self._described.get((descriptor.digest, subject))
        if known is None:
            try:
                document = self.store.peek(descriptor)
            except (NotFoundError, CorruptError):
                return None
            if document.subject != subject:
                return None
            entry = referrer.entry(document, whole=True)
            known = msgspec.structs.replace(entry, digest=descriptor.digest)
            if len(self._described) >= _REMEMBERED:
                self._described.clear()
            # A list under the tag of the fallback may name what is about another manifest.
            self._described[descriptor.digest, subject] = known
        return known

    def _publication(
        self, repository: str, descriptor: Descriptor, document: Manifest | Index, tags: tuple[str, ...]
    ) -> Publication:
        entry = referrer.entry(document) if document.subject is not None else None
        return Publication(
            repository=repository,
            prefix=naming.PUSHED + repository,
            image=descriptor,
            tags=tags,
            below=frozenset(one.digest for one in self._all_below(descriptor)),
            subject=document.subject,
            entry=entry and msgspec.structs.replace(entry, digest=descriptor.digest),
            is_reached=not tags and self._is_reached(repository, descriptor.digest, document.subject),
        )

    def _is_reached(self, repository: str, digest: Digest, subject: Digest | None) -> bool:
        """Whether a manifest without a tag will stay: another one of the repository names it, or its subject does."""
        members = self.catalog().members(repository)
        if subject is not None:
            return subject in members
        return digest in members

    def _check_parts(self, repository: str, document: Manifest | Index, may_name: Callable[[Digest], bool]) -> None:
        """Raises RequestError unless all that a manifest names is here. It is leased then, so that it stays."""
        for part in children(document):
            if part.urls or not media_types.is_distributable(part.media_type):
                continue  # stays where it is
            size = self.store.find_blob(part.digest) if may_name(part.digest) else None
            if size is None:
                detail = {"digest": part.digest, "mediaType": part.media_type}
                raise RequestError(
                    codes.MANIFEST_BLOB_UNKNOWN, f"{repository} has no {part.digest}, which is named", detail=detail
                )
            if size != part.size:
                raise RequestError(
                    codes.MANIFEST_INVALID, f"{part.digest} has {size} bytes, the manifest says {part.size}"
                )

    # Indexes

    def _below_of(self, descriptor: Descriptor) -> Sequence[Descriptor]:
        """The manifests that an index names; nothing for another manifest, or one that is damaged or absent."""
        if descriptor.media_type not in media_types.INDEXES:
            return ()
        known = self._below.get(descriptor.digest)
        if known is None:
            try:
                document = self.store.peek(descriptor)
            except (NotFoundError, CorruptError):
                return ()
            known = tuple(one for one in children(document) if one.media_type in KINDS)
            if len(self._below) >= _REMEMBERED:
                self._below.clear()
            self._below[descriptor.digest] = known
        return known

    def _all_below(self, descriptor: Descriptor) -> Sequence[Descriptor]:
        found: dict[Digest, Descriptor] = {}
        pending = [*self._below_of(descriptor)]
        while pending:
            one = pending.pop()
            if one.digest not in found:
                found[one.digest] = one
                pending.extend(self._below_of(one))
        return tuple(found.values())


def unknown_repository(repository: str) -> RequestError:
    """The error for a repository that does not exist."""
    return RequestError(codes.NAME_UNKNOWN, f"there is no repository {repository}")


def _checked(raw: bytes, expected: Digest) -> Digest:
    hasher = digests.hasher(expected)
    hasher.update(raw)
    if f"{digests.algorithm(expected)}:{hasher.hexdigest()}" != expected:
        raise RequestError(codes.DIGEST_INVALID, f"the manifest does not have the digest {expected}")
    return expected
