"""The store: this machine as a place for images. It composes the other files of this package."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Readable
from polyarch.oci.verify import VerifyingReader
from polyarch.store import disk, tags, temporary
from polyarch.store.blobs import Blobs, BlobWriter, Trace
from polyarch.store.cache import Cache
from polyarch.store.growth import Growth, default_limit
from polyarch.store.layout import StoreLayout
from polyarch.store.leases import Lease
from polyarch.store.locks import FileLock, StoreLock
from polyarch.store.manifests import Manifests
from polyarch.store.snapshots import Snapshots
from polyarch.store.tags import Entries, Tags
from polyarch.store.temporary import TemporaryDirectory

# Modules that only some commands need are imported where they are used: `images` starts 4 ms sooner.
if TYPE_CHECKING:
    from polyarch.store.caches import Caches
    from polyarch.store.containers import Containers
    from polyarch.store.maintenance import Maintenance
    from polyarch.store.published import Publications
    from polyarch.store.volumes import Volumes

# The same as the default in layers/compression.py.
LARGEST_LAYER = 100 << 30
_T = TypeVar("_T")
_MARKER = b'{"imageLayoutVersion":"1.0.0"}'


def _no_trace(point: str) -> None:
    """Tests replace it."""


class Store:
    """The images of one root directory: a Source and a Target of `oci.place`, whose names are full references. It owns
    a lock, a lease, a temporary directory and a cache connection until `close`; use it in a `with` statement. What a
    method finds or writes is leased until then. All methods may be called from many threads. Any of them raises
    PolyarchError when the disk is full or not writable. `snapshots`, `caches` and `cache` are parts of it, and
    `maintenance` administers it.
    """

    def __init__(
        self,
        layout: StoreLayout,
        trace: Trace = _no_trace,
        largest_layer: int = LARGEST_LAYER,
        cache_limit: int | None = None,
    ) -> None:
        self.layout = layout
        self.largest_layer = largest_layer
        self.cache = Cache(layout)
        self._cache_limit = cache_limit
        # Whether `close` has left files that only a process in their user namespace can remove (`Maintenance.reclaim`).
        self.left = False
        self._growth = Growth(self.cache)
        self._lock = StoreLock(layout.lock("store"))
        self._lease = Lease(layout, self._lock)
        self._blobs = Blobs(layout, self._lock, self._lease, trace, self._growth)
        self._manifests = Manifests(self._blobs)
        self._tags = Tags(self._blobs)
        self.snapshots = Snapshots(layout, self._lock, self._lease, trace, self._growth)

    @property
    def caches(self) -> "Caches":
        """The directories of cache mounts."""
        from polyarch.store.caches import Caches

        return Caches(self.layout, self._growth)

    @property
    def containers(self) -> "Containers":
        """The containers that are known by an id or a name."""
        from polyarch.store.containers import Containers

        return Containers(self.layout)

    @property
    def volumes(self) -> "Volumes":
        """The volumes of containers."""
        from polyarch.store.volumes import Volumes

        return Volumes(self.layout)

    @property
    def maintenance(self) -> "Maintenance":
        """Administration: usage, garbage collection, verification and repair."""
        from polyarch.store.maintenance import Maintenance

        return Maintenance(self._blobs, self._manifests, self._tags, self.snapshots, self.caches, self.cache)

    @classmethod
    def open(
        cls,
        root: Path | str,
        *,
        create: bool = True,
        trace: Trace = _no_trace,
        largest_layer: int = LARGEST_LAYER,
        cache_limit: int | Literal["default"] | None = "default",
    ) -> Self:
        """The store at `root`, created if it is absent and `create` is true. Leftovers of dead processes are removed.

        `largest_layer` is how many bytes a layer of this store may unpack to. `cache_limit` is the maximum size in
        bytes of what can be made or fetched again (unpacked layers, the build cache, cache mounts). `close` enforces it
        if something was added; None for no limit. The default is a tenth of the disk, at most 20 GB. Raises
        NotFoundError without `create`, PolyarchError if the root is not writable.
        """
        layout = StoreLayout(os.path.abspath(root))
        with disk.explained("open the store", layout.root):
            if not os.path.exists(layout.marker) or not os.path.exists(layout.index):
                if not create:
                    raise NotFoundError(f"there is no store at {layout.root}")
                _create(layout)
            # The disposable parts may have been removed. This also shows whether the root is writable.
            disk.make_directories(layout.directories(), spread=layout.temporary)
            limit = default_limit(layout.root) if cache_limit == "default" else cache_limit
            store = cls(layout, trace, largest_layer, limit)
            try:
                temporary.reclaim(layout.temporary)
            except BaseException:
                store.close()
                raise
        return store

    # Source

    def resolve(self, name: str) -> Descriptor:
        """The descriptor that a full reference or a digest points at; it is leased. Raises NotFoundError."""
        with self._lock:
            if digests.is_digest(name):
                return self._manifests.describe(Digest(name))
            descriptor = self._tags.resolve(name)
            self._lease.add(descriptor.digest)
            return descriptor

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """The verified bytes of a manifest or index. Raises NotFoundError, CorruptError."""
        return self._manifests.read(descriptor)

    def open_blob(self, descriptor: Descriptor) -> VerifyingReader:
        """The bytes of a blob, verified while they are read. Raises NotFoundError; reading, CorruptError."""
        return self._blobs.open(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer at the end, not verified. Raises NotFoundError."""
        try:
            descriptor_number = os.open(self.layout.blob(descriptor.digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"the store has no blob {descriptor.digest}") from None
        try:
            return os.pread(descriptor_number, size, offset)
        finally:
            os.close(descriptor_number)

    def lacks(self, descriptor: Descriptor) -> bool:
        """Whether the store lacks the blob, so that a copier can report it before it sends anything."""
        return not self.has_blob(descriptor)

    def tags(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._tags.entries().named))

    # Target

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the store has the complete blob; it is leased."""
        return self._blobs.has(descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Write a blob, verifying its bytes. Raises CorruptError, and then nothing is left of it."""
        self._blobs.write(descriptor, content)

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """Whether the store has the manifest. What it names may be missing: see `missing`."""
        return self._manifests.has(descriptor)

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """Write a manifest or index, and point `name` at it. Raises CorruptError."""
        self._manifests.write(descriptor, raw)
        if name is not None:
            self._tags.set(name, descriptor)

    # What only the store can do

    def load(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index itself. Raises NotFoundError, CorruptError."""
        return self._manifests.load(descriptor)

    def peek(self, descriptor: Descriptor) -> Manifest | Index:
        """Like `load`, but without a lease: it may be collected at any time. Raises NotFoundError, CorruptError."""
        return self._manifests.peek(descriptor)

    def peek_bytes(self, descriptor: Descriptor) -> bytes:
        """Like `read_manifest`, but without a lease. Raises NotFoundError, CorruptError."""
        return self._manifests.peek_bytes(descriptor)

    def manifests(self) -> Iterator[Manifest | Index]:
        """Every manifest and index in the store, tagged or not."""
        return self._manifests.all()

    def missing(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """The missing parts of the graph of `descriptor` (itself included); the rest is leased."""
        return self._manifests.missing(descriptor)

    def find_by_prefix(self, prefix: str) -> list[Digest]:
        """The digests of all blobs whose hexadecimal part starts with these digits, sorted."""
        return sorted(digest for digest, _ in self._blobs.all() if digests.encoded(digest).startswith(prefix))

    def tag(self, name: str, descriptor: Descriptor) -> None:
        """Point `name` at an image in the store. The image that it pointed at before is kept without the name.

        Raises NotFoundError if the manifest is not in the store.
        """
        self._tags.set(name, descriptor)

    def assign(self, images: Sequence[tuple[str, Descriptor]]) -> None:
        """`tag` for many names at once, or `keep` for an empty name: index.json is written once.

        Raises NotFoundError if a manifest is not in the store, and then nothing has changed.
        """
        self._tags.assign(images)

    def drop(self, names: Iterable[str], digests: Iterable[Digest] = ()) -> Mapping[str, Descriptor]:
        """`untag` many names and `forget` many images at once. Returns what the names pointed at, if they existed."""
        wanted, unwanted = tuple(names), tuple(digests)
        dropped = self._with_room(lambda: self._tags.drop(wanted, unwanted))
        self._growth.doubt()
        return dropped

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The manifests in the store about the image `subject` that no index names. They are leased."""
        from polyarch.store import referring

        return referring.listed(self._tags, self._manifests, subject)

    def referring(self) -> Mapping[Digest, Sequence[Descriptor]]:
        """As `referrers`, of all subjects, without a lease. Some may have been removed meanwhile."""
        return self._tags.entries().referrers

    def write_referrers(self, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
        """Write manifests about the image `subject`. They stay as long as that does. Raises CorruptError."""
        from polyarch.store import referring

        for document in documents:
            self._manifests.write(document.descriptor(), document.raw)
        referring.refer(self._tags, subject, documents)

    def untag(self, name: str) -> Descriptor:
        """Remove a name; returns what it pointed at. The next `gc` removes that if nothing else keeps it.

        Raises NotFoundError.
        """
        removed = self._with_room(lambda: self._tags.remove(name))
        self._growth.doubt()
        return removed

    def entries(self) -> Entries:
        """All entries of index.json, as one value: equal calls return the same one until the file changes."""
        return self._tags.entries()

    @property
    def published(self) -> "Publications":
        """The manifests of the repositories that `polyarch serve` offers."""
        from polyarch.store.published import Publications

        return Publications(self._tags)

    def tagged(self) -> Mapping[str, Descriptor]:
        """What each name points at."""
        return self._tags.entries().named

    def keep(self, descriptor: Descriptor) -> None:
        """Keep an image that has no name (a build without -t). Raises NotFoundError if it is not in the store."""
        self._tags.keep(descriptor)

    def kept(self) -> tuple[Descriptor, ...]:
        """The images that are kept without a name ("dangling" in docker's words)."""
        return self._tags.entries().unnamed

    def forget(self, digest: Digest) -> bool:
        """Stop keeping an unnamed image. Returns whether it was kept."""
        forgotten = self._with_room(lambda: self._tags.forget(digest))
        self._growth.doubt()
        return forgotten

    def put_bytes(self, media_type: str, raw: bytes) -> Descriptor:
        """Write a small blob (a config, a manifest). Returns its descriptor."""
        descriptor = Descriptor(media_type=media_type, digest=digests.of(raw), size=len(raw))
        if not self._blobs.has(descriptor):
            with self._blobs.new() as writer:
                writer.append(raw)
                writer.keep(descriptor.digest)
        return descriptor

    def new_blob(self, algorithm: str = "sha256") -> BlobWriter:
        """A blob whose digest is not known yet, for `with`: `write`, then `commit`."""
        return self._blobs.new(algorithm)

    def find_blob(self, digest: Digest) -> int | None:
        """The size of a blob in bytes, which is leased; None if it is absent."""
        return self._blobs.find(digest)

    def blob_size(self, digest: Digest) -> int | None:
        """As `find_blob`, without a lease."""
        return self._blobs.size(digest)

    def blob_path(self, digest: Digest) -> Path:
        """The path of the blob's file, which may not exist. Read it only after `has_blob`, which leases it."""
        return Path(self.layout.blob(digest))

    def turn_lease(self) -> None:
        """Release what was leased before the last call of this method: for a process that runs for long."""
        self._lease.turn()

    def refuse_when_full(self) -> None:
        """For a process that runs for long: what a full disk cannot lease fails, so that others can collect garbage."""
        self._lease.refuse_when_full()

    def lease(self) -> Lease:
        """A separate lease, for `with`."""
        return Lease(self.layout, self._lock)

    def temporary(self) -> TemporaryDirectory:
        """A temporary directory on the store's filesystem, for `with`, which yields its path and removes it at the
        end.
        """
        return TemporaryDirectory(self.layout.temporary)

    def close(self, *, tidy: bool = True) -> None:
        """Release everything. What was leased may be collected from now on. Safe to call twice. With `tidy`, reduce the
        cache to its limit if this store has added to it.
        """
        self.snapshots.close()
        self._blobs.close()
        self._lease.close()
        try:
            added = self._growth.is_any
            if added or self._growth.is_doubtful:
                with self._lock:
                    self._growth.settle()
            if added and tidy and self._cache_limit is not None:
                self._trim(self._cache_limit)
        finally:
            self.cache.close()
            self._lock.close()

    def _trim(self, limit: int) -> None:
        estimate = self._growth.estimate()
        if estimate is None or estimate > limit:
            self.left = self.maintenance.trim(limit)

    def _with_room(self, removal: Callable[[], _T]) -> _T:
        """Do a removal, which writes a little before it frees space. If the disk is full, remove some cache and try
        again.
        """
        try:
            return removal()
        except PolyarchError as error:
            if not (isinstance(error.__cause__, OSError) and disk.is_full(error.__cause__)):
                raise
        self.maintenance.make_room()
        with contextlib.suppress(PolyarchError):
            return removal()
        self.cache.discard()
        return removal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(tidy=kind is None or issubclass(kind, Exception))


def _create(layout: StoreLayout) -> None:
    if os.path.exists(layout.root) and not stat.S_ISDIR(os.stat(layout.root).st_mode):
        raise PolyarchError(f"{layout.root} is not a directory", "choose another one with --root")
    disk.make_directories(layout.directories(), spread=layout.temporary)
    # Two processes may be here at once: each writes only missing files, completely, and under the lock of the index.
    with FileLock(layout.lock("index")), TemporaryDirectory(layout.temporary) as scratch:
        beside = f"{scratch}/new"
        if not os.path.exists(layout.marker):
            disk.replace(layout.marker, _MARKER, beside)
        if not os.path.exists(layout.index):
            tags.create(layout.index, beside)
