"""Registries behind a mirror: reading them, and remembering what they said.

What was fetched is disposable: blobs of the store that only rows of its cache keep, so that the limit of the cache
(`POLYARCH_CACHE_LIMIT`) holds for it, and the least recently used goes first. A row says that a repository has a
manifest or a blob, of which type and size; the row of a tag, what it pointed at and when the registry said so.

A manifest can name blobs that only other repositories of the store have. Such a blob is not given to clients who may
not read these: the registry must confirm that its repository has the blob, too.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci import document as documents
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.registry import Registry
from polyarch.serve.fetching import Fetch
from polyarch.store import Store, tables
from polyarch.store.manifests import children
from polyarch.store.tables import Kept, Table

# A client of registries remembers names, tokens and credentials. It is replaced after so many repositories, or seconds.
_MOST_REPOSITORIES = 512
_LIFE = 3600.0
# Statuses of a registry that has a problem, and says nothing about the image.
_TROUBLE = frozenset({0, 408, 429, 500, 502, 503, 504})


class MirroredContent(msgspec.Struct, frozen=True):
    """A manifest or blob of a registry. `checked`: when the registry said so, in seconds since 1970."""

    media_type: str
    digest: Digest
    size: int
    checked: float = 0

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor, without the `urls` of the manifest that named it: a mirror asks no other host."""
        return Descriptor(self.media_type, self.digest, self.size)


_MIRRORED: Table[str, MirroredContent] = Table(
    tables.MIRRORED,
    msgspec.json.encode,
    msgspec.json.Decoder(MirroredContent).decode,
    lambda content: Kept(frozenset((content.digest,))),
)


class Upstream:
    """Reads registries, and keeps what they have in the store. For many threads. It owns its sessions until `close`.

    `now` is the time in seconds since 1970. A tag is asked for again when it is older than `fresh` seconds. A registry
    that could not be reached is told to `report`, and not asked again for `pause` seconds.
    """

    def __init__(
        self,
        sessions: "MirrorSessions",
        now: Callable[[], float],
        report: Callable[[Exception], None],
        fresh: float,
        pause: float,
    ) -> None:
        self._sessions = sessions
        self._report = report
        self._now = now
        self._fresh = fresh
        self._pause = pause
        self._away: dict[str, tuple[float, RegistryError]] = {}
        self._locks = _KeyLocks()

    def manifest(self, reference: Reference) -> tuple[Descriptor, bytes]:
        """The manifest of a reference with a tag or digest, and its bytes. If the registry cannot be asked, what it
        said before. Raises NotFoundError, RegistryError, CorruptError.
        """
        key = str(reference)
        with self._locks.held(key), self._sessions.session(reference) as session:
            known = _MIRRORED.get(session.store.cache, key)
            stored = _stored(session.store, known)
            fresh = known is not None and (reference.digest or self._now() - known.checked < self._fresh)
            if stored is not None and fresh:
                return stored
            try:
                with self._asking(reference):
                    return self._ask(session, reference, stored)
            except RegistryError as error:
                if stored is None or error.status not in _TROUBLE:
                    raise
                return stored

    def blob(self, reference: Reference, digest: Digest, *, confirm: bool) -> tuple[MirroredContent, bool]:
        """What is known of a blob of a repository, and whether the store has it. The registry says it, or without
        `confirm` also a manifest, which can name blobs that its repository does not have. Raises NotFoundError,
        RegistryError.
        """
        with self._sessions.session(reference) as session:
            known = _MIRRORED.get(session.store.cache, str(reference.with_digest(digest)))
            if known is None or (confirm and not known.checked):
                with self._asking(reference):
                    descriptor = session.registry.repository(reference).describe_blob(digest)
                known = self._confirm(session, reference, descriptor)
            return known, session.store.has_blob(known.descriptor)

    def tags(self, reference: Reference) -> Sequence[str]:
        """The tags of a repository, in the order of their bytes. Raises NotFoundError, RegistryError."""
        with self._sessions.session(reference) as session, self._asking(reference):
            return session.registry.repository(reference).tags()

    def referrers(self, reference: Reference, subject: Digest) -> Sequence[Descriptor]:
        """The manifests about `subject` in a repository. Raises NotFoundError, RegistryError."""
        with self._sessions.session(reference) as session, self._asking(reference):
            return session.registry.repository(reference).referrers(subject)

    def fetch(self, reference: Reference, descriptor: Descriptor, fetch: Fetch) -> None:
        """Download a blob into the store; `fetch` tells its readers how far it is. Raises nothing."""
        with self._sessions.session(reference) as session:
            repository = session.registry.repository(reference)
            fetch.run(session.store, lambda: repository.open_blob(descriptor))
            if fetch.is_complete:
                self._confirm(session, reference, descriptor)

    @contextlib.contextmanager
    def _asking(self, reference: Reference) -> Iterator[None]:
        """While a registry is asked. One that was away a moment ago is not waited for."""
        until, failure = self._away.get(reference.domain, (0.0, None))
        if failure is not None and time.monotonic() < until:
            raise RegistryError(f"{reference.domain} failed a moment ago: {failure.message}", status=failure.status)
        try:
            yield
        except RegistryError as error:
            if error.status in _TROUBLE:
                self._away[reference.domain] = (time.monotonic() + self._pause, error)
                self._report(error)
            raise
        self._away.pop(reference.domain, None)

    def _ask(
        self, session: "MirrorSession", reference: Reference, stored: tuple[Descriptor, bytes] | None
    ) -> tuple[Descriptor, bytes]:
        repository, store = session.registry.repository(reference), session.store
        try:
            # HEAD does not count for the limits of Docker Hub.
            if stored is not None and repository.resolve(reference.version).digest == stored[0].digest:
                self._remember(store, reference, stored[0])
                return stored
            descriptor, raw = repository.fetch_manifest(reference.version)
        except NotFoundError:
            _MIRRORED.delete(store.cache, str(reference))
            raise
        store.write_manifest(descriptor, raw)
        self._remember(store, reference, descriptor, raw)
        return descriptor, raw

    def _confirm(self, session: "MirrorSession", reference: Reference, descriptor: Descriptor) -> MirroredContent:
        """Note that a repository has a blob."""
        content = MirroredContent(descriptor.media_type, descriptor.digest, descriptor.size, self._now())
        _MIRRORED.put(session.store.cache, str(reference.with_digest(descriptor.digest)), content)
        return content

    def _remember(self, store: Store, reference: Reference, descriptor: Descriptor, raw: bytes | None = None) -> None:
        """Note what a registry said of a reference, and with the manifest's bytes what its repository has, too."""
        content = MirroredContent(descriptor.media_type, descriptor.digest, descriptor.size, self._now())
        rows = {str(reference): content, str(reference.repository.with_digest(descriptor.digest)): content}
        if raw is not None:
            for part in children(documents.load(raw, descriptor.media_type)):
                key = str(reference.repository.with_digest(part.digest))
                rows.setdefault(key, MirroredContent(part.media_type, part.digest, part.size))
        _MIRRORED.put_many(store.cache, rows.items())

    def close(self) -> None:
        """Close the sessions when their last users are done. Safe to call twice."""
        self._sessions.close()


def repositories(store: Store) -> frozenset[Reference]:
    """The repositories of registries of which the store has what was fetched."""
    names = {key.partition("@")[0].rpartition("/") for key in _MIRRORED.keys(store.cache)}
    found = {f"{head}/{last.partition(':')[0]}" for head, _, last in names}
    return frozenset(references.parse(name).repository for name in found)


def _stored(store: Store, known: MirroredContent | None) -> tuple[Descriptor, bytes] | None:
    """A manifest, if the store has it: the limit of its cache may have removed it."""
    if known is None:
        return None
    try:
        return known.descriptor, store.read_manifest(known.descriptor)
    except (NotFoundError, CorruptError):
        return None


class MirrorSession:
    """A client of registries and the store in which to keep what it reads, with the number of their users.

    The store is one of its own. What it finds or writes is leased only until it is closed, so that the limit of the
    cache can remove it later; closing it enforces that limit.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self.registry = registry
        self.store = store
        self._opened = time.monotonic()
        self._seen: set[Reference] = set()
        self._users = 0
        self._is_retired = False

    def is_old(self) -> bool:
        """Whether another one should be used from now on."""
        return len(self._seen) >= _MOST_REPOSITORIES or time.monotonic() - self._opened > _LIFE

    def take(self, reference: Reference) -> None:
        """Count one user more, who asks for this repository."""
        self._users += 1
        self._seen.add(reference.repository)

    def give(self) -> None:
        """Count one user less."""
        self._users -= 1
        self._close_unused()

    def retire(self) -> None:
        """Close it as soon as it has no user."""
        self._is_retired = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self._is_retired and not self._users:
            self.registry.close()
            self.store.close()


class MirrorSessions:
    """The current session, and earlier ones that are still used. It owns them until `close`."""

    def __init__(self, open_registry: Callable[[], Registry], open_store: Callable[[], Store]) -> None:
        self._open_registry = open_registry
        self._open_store = open_store
        self._lock = threading.Lock()
        self._current: MirrorSession | None = None

    @contextlib.contextmanager
    def session(self, reference: Reference) -> Iterator[MirrorSession]:
        """The session to use for a repository, open until the end of the `with`."""
        with self._lock:
            session = self._current
            if session is None or session.is_old():
                old, session = session, MirrorSession(self._open_registry(), self._open_store())
                self._current = session
                if old is not None:
                    old.retire()
            session.take(reference)
        try:
            yield session
        finally:
            with self._lock:
                session.give()

    def close(self) -> None:
        """Close the current session when its last user is done."""
        with self._lock:
            session, self._current = self._current, None
            if session is not None:
                session.retire()


class _KeyLocks:
    """A lock for each key that is in use: of many threads that want the same, one asks, and the others wait."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Hold the lock of `key`."""
        with self._mutex:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._mutex:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = lock, users - 1
