"""The store, and behind it the repositories where a blob was seen: what is not here is fetched when it is read.

So a build on a base, and a list made of a registry's images, move no layer until somebody needs its bytes; and
none at all where the registry that is pushed to can mount it. The cache keeps the origins (kind "origin"), so
losing it costs a pull.
"""

import contextlib
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import NotFoundError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.place import BlobReader
from polyarch.oci.reference import Reference
from polyarch.transfer import graph as graphs
from polyarch.transfer.graph import ImageGraph

if TYPE_CHECKING:
    from polyarch.registry import Registry, Repository
    from polyarch.store.store import Store

_ORIGIN = "origin"
# The latest sightings are the likeliest; older ones are only more requests.
_REMEMBERED = 8
_FETCH_ATTEMPTS = 2


def record_origins(store: "Store", seen: Iterable[Digest], repository: Reference) -> None:
    """Remember that `repository` has these blobs or manifests."""
    name = str(repository.repository)
    changed: dict[str, bytes] = {}
    for digest in seen:
        known = _known(store, digest)
        if known[:1] != [name]:
            others = [other for other in known if other != name]
            changed[digest] = msgspec.json.encode([name, *others][:_REMEMBERED])
    if changed:
        store.cache.put_many(_ORIGIN, changed.items())


def origins(store: "Store", digest: Digest) -> tuple[Reference, ...]:
    """The repositories that had the content when it was last seen, the latest first."""
    return tuple(references.parse(name) for name in _known(store, digest))


def record_image(store: "Store", descriptor: Descriptor, repository: Reference) -> ImageGraph:
    """Remember that `repository` has all that the store has of an image, after a pull from there or a push to it.

    Returns what that is.
    """
    graph = graphs.read(store, descriptor)
    nodes = [node.descriptor.digest for node in (*graph.indexes, *graph.manifests)]
    record_origins(store, [*nodes, *(blob.digest for blob in graph.blobs)], repository)
    return graph


def children(raw: bytes, media_type: str) -> tuple[Digest, ...]:
    """The digests that a manifest or index names."""
    document = documents.load(raw, media_type or None)
    if isinstance(document, Index):
        return tuple(entry.digest for entry in document.manifests if graphs.is_manifest(entry))
    return tuple(blob.digest for blob in graphs.blobs_of(document))


def _known(store: "Store", digest: Digest) -> list[str]:
    raw = store.cache.get(_ORIGIN, digest)
    try:
        return [] if raw is None else msgspec.json.decode(raw, type=list[str])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return []  # the cache is disposable: what it cannot say was never said


class ReadThroughSource:
    """Store first, then origins: Source, Partial, Originating and Ranged of `oci/place.py`.

    It owns neither store nor registry. What it fetches is written into the store, once even if many threads ask.
    With `fetch_manifests` False only blobs are fetched: an image of which a platform was never pulled stays so.
    """

    def __init__(self, store: "Store", registry: "Registry", *, fetch_manifests: bool = True) -> None:
        self._store = store
        self._registry = registry
        self._fetch_manifests = fetch_manifests
        self._flights: dict[Digest, threading.Lock] = {}
        self._lock = threading.Lock()

    def resolve(self, name: str) -> Descriptor:
        """What a reference or digest points at: the store's, else the registry's. Raises NotFoundError."""
        if (here := self.resolve_here(name)) is not None:
            return here
        if digests.is_digest(name):
            raise NotFoundError(f"the store has no {name}", "'polyarch images --digests' lists what is here")
        reference = references.parse(name).tagged()
        descriptor, _ = self._registry.repository(reference).fetch_manifest(reference.version)
        record_origins(self._store, [descriptor.digest], reference)
        return descriptor

    def resolve_here(self, name: str) -> Descriptor | None:
        """What a reference or digest points at in the store; None where it has no such thing.

        `app@sha256:…` is here where its content is, whatever name that goes by.
        """
        with contextlib.suppress(NotFoundError):
            return self._store.resolve(name)
        if not digests.is_digest(name) and (digest := references.parse(name).digest):
            with contextlib.suppress(NotFoundError):
                return self._store.resolve(digest)
        return None

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """As of `place.Source`."""
        try:
            return self._store.read_manifest(descriptor)
        except NotFoundError:
            if not self._fetch_manifests:
                raise
        with self._flight(descriptor.digest):
            if self._store.has_manifest(descriptor):
                return self._store.read_manifest(descriptor)
            raw, repository = self._fetch_manifest(descriptor)
            record_origins(self._store, children(raw, descriptor.media_type), repository.reference)
            self._store.write_manifest(descriptor, raw)
            return raw

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """As of `place.Source`."""
        if not self._store.has_blob(descriptor):
            self.fetch(descriptor)
        return self._store.open_blob(descriptor)

    def pass_by(self, descriptor: Descriptor) -> BlobReader:
        """The blob's bytes for one reading: what is not in the store is not brought there either. Raises as `fetch`."""
        if not self._store.has_blob(descriptor):
            for origin in origins(self._store, descriptor.digest):
                try:
                    return self._registry.repository(origin).open_blob(descriptor)
                except (NotFoundError, RegistryError):
                    continue
        return self.open_blob(descriptor)

    def fetch(self, descriptor: Descriptor) -> None:
        """Bring the blob into the store, if it is not there. Raises NotFoundError, RegistryError, CorruptError."""
        with self._flight(descriptor.digest):
            if self._store.has_blob(descriptor):
                return
            failure: RegistryError | None = None
            for origin in origins(self._store, descriptor.digest):
                for _ in range(_FETCH_ATTEMPTS):
                    try:
                        with self._registry.repository(origin).open_blob(descriptor) as reader:
                            self._store.write_blob(descriptor, reader)
                        return
                    except NotFoundError:
                        break
                    except RegistryError as error:
                        failure = error
                        # A mirror that spoilt it is not asked a second time.
                        if not error.retryable:
                            break
            if descriptor.urls:
                with self._registry.open_elsewhere(descriptor) as reader:
                    self._store.write_blob(descriptor, reader)
                return
            if failure is not None:
                raise failure
            raise self._gone("blob", descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """As of `place.Ranged`: from the store's file, else from a registry without fetching the whole."""
        if self._store.has_blob(descriptor):
            return self._store.read_range(descriptor, offset, size)
        for origin in origins(self._store, descriptor.digest):
            try:
                return self._registry.repository(origin).read_range(descriptor, offset, size)
            except (NotFoundError, RegistryError):
                continue
        raise self._gone("blob", descriptor)

    def tags(self) -> tuple[str, ...]:
        """The store's names."""
        return self._store.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """As of `place.Partial`: neither is it here, nor was it ever seen elsewhere, nor does it say where it is."""
        return not (self._store.has_blob(descriptor) or descriptor.urls or _known(self._store, descriptor.digest))

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """As of `place.Originating`."""
        return origins(self._store, digest)

    def _fetch_manifest(self, descriptor: Descriptor) -> "tuple[bytes, Repository]":
        failure: RegistryError | None = None
        for origin in origins(self._store, descriptor.digest):
            repository = self._registry.repository(origin)
            try:
                return repository.read_manifest(descriptor), repository
            except NotFoundError:
                continue
            except RegistryError as error:
                failure = error
        if failure is not None:
            raise failure
        raise self._gone("manifest", descriptor)

    def _gone(self, what: str, descriptor: Descriptor) -> NotFoundError:
        message = f"the {what} {descriptor.digest} is not in the store"
        if seen := origins(self._store, descriptor.digest):
            message += f", and no more in {', '.join(map(str, seen))}"
        return NotFoundError(message, "pull the image that it belongs to")

    def _flight(self, digest: Digest) -> threading.Lock:
        with self._lock:
            return self._flights.setdefault(digest, threading.Lock())
