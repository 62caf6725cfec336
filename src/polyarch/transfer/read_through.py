"""A read-through source: the store, and behind it the repositories where a blob was seen. A build on a base image, or a
list of a registry's images, downloads a layer only when its bytes are read, and not at all if the target registry can
mount it.
"""

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from polyarch.errors import NotFoundError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci import retry as retries
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobReader, Ranged
from polyarch.oci.reference import Reference
from polyarch.oci.retry import Retry
from polyarch.transfer import origins

if TYPE_CHECKING:
    from polyarch.registry import Registry, Repository
    from polyarch.store.store import Store

_T = TypeVar("_T")


class BlobPlace(Protocol):
    """A place with blobs, as a build cache in a directory. It may also be `place.Ranged`."""

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""


class ReadThroughSource:
    """Store first, then origins: Source, Partial, Originating, Referring and Ranged of `oci/place.py`.

    It owns neither store nor registry. With `keep`, fetched blobs are written into the store, once even if many threads
    ask; without, nothing is written. With `fetch_manifests` False, only blobs are fetched: platforms that were never
    pulled stay absent. `repository` is asked before all origins. `stored` says that the image is from the store, so a
    part that no registry has may never have been pulled. `retry` applies to a blob that must be fetched again from its
    beginning. `missing` gets the digests of the blobs that were asked for, and that no place had any more.
    """

    def __init__(
        self,
        store: "Store",
        registry: "Registry",
        *,
        keep: bool = True,
        fetch_manifests: bool = True,
        repository: Reference | None = None,
        stored: bool = False,
        retry: Retry = retries.REOPEN,
        missing: set[Digest] | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._keep = keep
        self._fetch_manifests = fetch_manifests
        self._repository = repository
        self.stored = stored
        self._retry = retry
        self._missing = set() if missing is None else missing
        # The repository of an image that the store did not have.
        self._remote: Reference | None = None
        self._flights: dict[Digest, threading.Lock] = {}
        self._added: dict[Digest, _AddedBlob] = {}
        self._lock = threading.Lock()

    def add(self, descriptor: Descriptor, place: BlobPlace) -> None:
        """Read a blob from `place` if the store does not have it. `descriptor` is what the place calls it."""
        with self._lock:
            self._added[descriptor.digest] = _AddedBlob(descriptor, place)

    def passing(self) -> "ReadThroughSource":
        """The same source, which writes nothing into the store."""
        source = ReadThroughSource(self._store, self._registry, keep=False, retry=self._retry, missing=self._missing)
        source._added = self._added
        return source

    def resolve(self, name: str) -> Descriptor:
        """What a reference or digest points at in the store, or else in the registry. Raises NotFoundError."""
        if (here := self.resolve_here(name)) is not None:
            return here
        if digests.is_digest(name):
            if self._repository is None:
                raise NotFoundError(f"the store has no {name}", "'polyarch images --digests' lists what is here")
            self._remote = self._repository.repository
            return self._registry.repository(self._repository).resolve(name)
        reference = references.parse(name).tagged()
        descriptor, _ = self._registry.repository(reference).fetch_manifest(reference.version)
        self._remote = reference.repository
        if self._keep:
            origins.record(self._store, [descriptor.digest], reference)
        return descriptor

    @property
    def remote(self) -> Reference | None:
        """The repository in which `resolve` found a name that the store does not have; None if it had it."""
        return self._remote

    def resolve_here(self, name: str) -> Descriptor | None:
        """What a reference or digest points at in the store; None if the store does not have it. `app@sha256:…` is
        found by its digest, whatever its name in the store.
        """
        with contextlib.suppress(NotFoundError):
            return self._store.resolve(name)
        if not digests.is_digest(name) and (digest := references.parse(name).digest):
            with contextlib.suppress(NotFoundError):
                return self._store.resolve(digest)
        return None

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Implements `place.Source`."""
        try:
            return self._store.read_manifest(descriptor)
        except NotFoundError:
            if not self._fetch_manifests:
                raise
        if not self._keep:
            return self._ask_registries(
                "manifest", descriptor, lambda repository: repository.read_manifest(descriptor)
            )[0]
        with self._flight(descriptor.digest):
            if self._store.has_manifest(descriptor):
                return self._store.read_manifest(descriptor)
            raw, repository = self._ask_registries(
                "manifest", descriptor, lambda repository: repository.read_manifest(descriptor)
            )
            origins.record(self._store, origins.children(raw, descriptor.media_type), repository)
            self._store.write_manifest(descriptor, raw)
            return raw

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Implements `place.Source`."""
        if not self._keep:
            return self.peek(descriptor)
        if not self._store.has_blob(descriptor):
            self.fetch(descriptor)
        return self._store.open_blob(descriptor)

    def peek(self, descriptor: Descriptor) -> BlobReader:
        """The blob's bytes, to be read once. A blob that is not in the store is not written there.

        Raises NotFoundError, RegistryError; reading, CorruptError.
        """
        try:
            return self._store.open_blob(descriptor)
        except NotFoundError:
            pass
        try:
            return self._ask(descriptor, lambda repository: repository.open_blob(descriptor))
        except (NotFoundError, RegistryError):
            if not descriptor.urls:
                raise
            return self._registry.open_elsewhere(descriptor)

    def fetch(self, descriptor: Descriptor) -> None:
        """Fetch the blob into the store if it is not there. Raises NotFoundError, RegistryError, CorruptError."""

        def write(repository: "Repository | _AddedBlob") -> None:
            with repository.open_blob(descriptor) as reader:
                self._store.write_blob(descriptor, reader)

        with self._flight(descriptor.digest):
            if self._store.has_blob(descriptor):
                return
            try:
                self._ask(descriptor, write)
            except (NotFoundError, RegistryError):
                if not descriptor.urls:
                    raise
                with self._registry.open_elsewhere(descriptor) as reader:
                    self._store.write_blob(descriptor, reader)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `place.Ranged`: from the store's file, else from a registry without fetching the whole."""
        if self._store.has_blob(descriptor):
            return self._store.read_range(descriptor, offset, size)
        return self._ask(descriptor, lambda repository: repository.read_range(descriptor, offset, size))

    def tags(self) -> tuple[str, ...]:
        """The store's names."""
        return self._store.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """Implements `place.Partial`: it is not in the store, was never seen elsewhere, and has no `urls`."""
        if self._store.has_blob(descriptor) or descriptor.urls or self._repository is not None:
            return False
        return descriptor.digest not in self._added and not origins.is_known(self._store, descriptor.digest)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """Implements `place.Referring`: those in the store; of an image that came from a registry, also those there."""
        here = self._store.referrers(subject)
        # A build resolves its bases here: nothing in their repository is about the images that it makes.
        if self._remote is None or (self._keep and self._remote not in origins.find(self._store, subject)):
            return here
        there = self._registry.repository(self._remote).referrers(subject)
        if self._keep:
            origins.record(self._store, [entry.digest for entry in there], self._remote)
        return tuple({entry.digest: entry for entry in (*here, *there)}.values())

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """Implements `place.Originating`."""
        return origins.find(self._store, digest)

    def blob_size(self, digest: Digest) -> int | None:
        """The size in bytes of the store's copy; None if it has none."""
        try:
            return self._store.blob_path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the store, or else a repository, has the blob in the size of its descriptor. Raises RegistryError."""

        def has(repository: "Repository") -> bool:
            if not repository.has_blob(descriptor):
                raise NotFoundError(f"{repository.reference} has no {descriptor.digest}")
            return True

        if self._store.has_blob(descriptor) or descriptor.digest in self._added:
            return True
        try:
            return self._ask_registries("blob", descriptor, has)[0]
        except NotFoundError:
            return False

    def _ask(self, descriptor: Descriptor, question: "Callable[[Repository | _AddedBlob], _T]") -> _T:
        """The result of the place that was added for a blob, or else of the repositories that may have it."""
        added = self._added.get(descriptor.digest)
        try:
            if added is None:
                return self._ask_registries("blob", descriptor, question)[0]
            return self._retry.call(lambda: question(added))
        except NotFoundError:
            self._missing.add(descriptor.digest)
            raise

    def _ask_registries(
        self, what: str, descriptor: Descriptor, question: "Callable[[Repository], _T]"
    ) -> tuple[_T, Reference]:
        """The first successful result of the repositories that may have the blob, and the repository. Raises the last
        registry's failure, or NotFoundError if none has it.
        """
        failure: RegistryError | None = None
        own = (self._repository.repository,) if self._repository is not None else ()
        for place in dict.fromkeys((*own, *origins.find(self._store, descriptor.digest))):
            try:
                repository = self._registry.repository(place)
                # A mirror that gave wrong bytes is not asked a second time.
                return self._retry.call(partial(question, repository)), repository.reference
            except NotFoundError:
                continue
            except RegistryError as error:
                failure = error
        raise failure or self._gone(what, descriptor)

    def _gone(self, what: str, descriptor: Descriptor) -> NotFoundError:
        message = f"the {what} {descriptor.digest} is not in the store"
        if seen := origins.find(self._store, descriptor.digest):
            message += f", and no more in {', '.join(map(str, seen))}"
        return NotFoundError(message, "pull the image that it belongs to, or build without the cache that names it")

    def _flight(self, digest: Digest) -> threading.Lock:
        with self._lock:
            return self._flights.setdefault(digest, threading.Lock())


class _AddedBlob:
    """A blob in a place that was added: what is asked of a repository."""

    def __init__(self, descriptor: Descriptor, place: BlobPlace) -> None:
        self._descriptor = descriptor
        self._place = place

    def open_blob(self, _: Descriptor) -> BlobReader:
        return self._place.open_blob(self._descriptor)

    def read_range(self, _: Descriptor, offset: int, size: int) -> bytes:
        if isinstance(self._place, Ranged):
            return self._place.read_range(self._descriptor, offset, size)
        with self.open_blob(self._descriptor) as reader:
            while offset > 0 and (skipped := reader.read(min(offset, 1 << 20))):
                offset -= len(skipped)
            found = b""
            while len(found) < size and (more := reader.read(size - len(found))):
                found += more
            return found
