"""Blobs: content by its digest. Each is a file that is complete and correct, or absent."""

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable
from polyarch.oci.verify import VerifyingReader, verifying
from polyarch.store import disk
from polyarch.store.growth import Growth
from polyarch.store.layout import StoreLayout
from polyarch.store.leases import Lease
from polyarch.store.locks import StoreLock
from polyarch.store.temporary import TemporaryDirectory

_CHUNK = 1 << 20
_WRITE_BACK = 8 << 20
# The hint for a blob that was damaged on disk.
REPAIR = "`polyarch system fsck --repair` removes it; then pull or build its image again"
Trace = Callable[[str], None]


class Blobs:
    """The blobs of a store. It owns one temporary directory, created at the first write, until `close`."""

    def __init__(self, layout: StoreLayout, lock: StoreLock, lease: Lease, trace: Trace, growth: Growth) -> None:
        self.layout = layout
        self.lock = lock
        self.lease = lease
        self.trace = trace
        self.growth = growth
        self._mutex = threading.Lock()
        self._scratch: TemporaryDirectory | None = None

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the blob is here, of the right size; it is leased. A file of another size counts as absent."""
        path = self.layout.blob(descriptor.digest)
        with self.lock:
            self.lease.add(descriptor.digest)
            try:
                status = os.stat(path, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if not stat.S_ISREG(status.st_mode) or status.st_size != descriptor.size:
                return False
            with disk.explained("note the use of a blob", path):
                os.utime(path)  # gc removes by oldest use
        return True

    def size(self, digest: Digest) -> int | None:
        """The size of a blob in bytes, None if it is absent."""
        try:
            return os.stat(self.layout.blob(digest), follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def open(self, descriptor: Descriptor) -> VerifyingReader:
        """The blob, verified while it is read; it is leased. Raises NotFoundError; reading, CorruptError."""
        path = self.layout.blob(descriptor.digest)
        with self.lock:
            self.lease.add(descriptor.digest)
            try:
                file = open(path, "rb", buffering=0)  # noqa: SIM115 (the reader closes it)
            except FileNotFoundError:
                raise NotFoundError(f"the store has no blob {descriptor.digest}") from None
            os.utime(file.fileno())
        return VerifyingReader(file, descriptor, file.close, "the store", REPAIR)

    def write(self, descriptor: Descriptor, content: Readable) -> None:
        """Write a blob, verified on its way. Raises CorruptError, PolyarchError; nothing of it is left then."""
        reader = verifying(content, descriptor)
        with self.new() as writer:
            while chunk := reader.read(_CHUNK):
                writer.append(chunk)
            writer.keep(descriptor.digest)

    def find(self, digest: Digest) -> int | None:
        """As `size`, and the blob is leased if it is here."""
        with self.lock:
            size = self.size(digest)
            if size is not None:
                self.lease.add(digest)
            return size

    def new(self, algorithm: str = "sha256") -> "BlobWriter":
        """A blob whose digest is not known yet; it is hashed with `algorithm` while it is written."""
        return BlobWriter(self, self.scratch(), algorithm)

    def scratch(self) -> str:
        """An unused path on the store's filesystem. A file created there is removed when the store is closed, or
        later.
        """
        with self._mutex:
            if self._scratch is None:
                self._scratch = TemporaryDirectory(self.layout.temporary)
            return self._scratch.fresh()

    def all(self) -> Iterator[tuple[Digest, os.stat_result]]:
        """Every file that has a digest for a name. Other files are skipped; `verify` reports them."""
        for algorithm in sorted(os.listdir(self.layout.blobs)):
            with os.scandir(f"{self.layout.blobs}/{algorithm}") as entries:
                for entry in entries:
                    name = f"{algorithm}:{entry.name}"
                    if not digests.is_digest(name):
                        continue
                    try:
                        yield Digest(name), entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue

    def sync(self) -> None:
        """Make the names of all blobs durable. Their content is durable already."""
        with disk.explained("write a tag", self.layout.root):
            for algorithm in os.listdir(self.layout.blobs):
                disk.sync_directory(f"{self.layout.blobs}/{algorithm}")

    def close(self) -> None:
        """Remove unfinished blobs. Safe to call twice."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()


class BlobWriter:
    """An unfinished blob, as a context manager: without `commit`, nothing is left of it."""

    def __init__(self, blobs: Blobs, path: str, algorithm: str = "sha256") -> None:
        self._blobs = blobs
        self._path = path
        self._algorithm = algorithm
        self._hash = digests.new(algorithm)
        self._size = self._started = 0
        self._descriptor = -1
        with disk.explained("write a blob", blobs.layout.root):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes | memoryview, /) -> int:
        """Add `data` and hash it. Returns the number of bytes."""
        self.append(data)
        self._hash.update(data)
        return len(data)

    @property
    def digest(self) -> Digest:
        """The digest of the data written so far."""
        return Digest(f"{self._algorithm}:{self._hash.hexdigest()}")

    @property
    def path(self) -> str:
        """The unfinished file, for readers that follow it. `keep` moves it."""
        return self._path

    @property
    def size(self) -> int:
        """The bytes written so far."""
        return self._size

    def use(self, algorithm: str) -> None:
        """Change to another algorithm. What was written with `write` so far is read and hashed again."""
        if algorithm == self._algorithm:
            return
        with disk.explained("read a blob again", self._blobs.layout.root):
            hasher, position = digests.new(algorithm), 0
            while chunk := os.pread(self._descriptor, _CHUNK, position):
                hasher.update(chunk)
                position += len(chunk)
        self._algorithm, self._hash = algorithm, hasher

    def append(self, data: bytes | memoryview) -> None:
        """Add `data` without hashing it: for bytes that a verifying reader has hashed, to be kept with `keep`."""
        with disk.explained("write a blob", self._blobs.layout.root):
            disk.write_all(self._descriptor, data)
        self._size += len(data)
        if self._size - self._started >= _WRITE_BACK:
            disk.start_writing(self._descriptor, self._started, self._size - self._started)
            self._started = self._size

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Store the blob, and return its digest and size. Raises CorruptError if another digest was expected."""
        digest = self.digest
        if expected is not None and expected != digest:
            raise CorruptError(f"{expected} was expected, the bytes have the digest {digest}")
        self.keep(digest)
        return digest, self._size

    def keep(self, digest: Digest) -> None:
        """Store the blob under a digest that is known to be correct."""
        blobs, path = self._blobs, self._blobs.layout.blob(digest)
        with disk.explained("write a blob", blobs.layout.root):
            os.fdatasync(self._descriptor)
            blobs.trace("blob:before-rename")
            with blobs.lock:
                blobs.lease.add(digest)
                try:
                    os.rename(self._path, path)
                except FileNotFoundError:  # the first of its algorithm
                    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                    os.rename(self._path, path)
            blobs.growth.blob(self._size)
            blobs.trace("blob:after-rename")
        self._path = ""
        self.close()

    def close(self) -> None:
        """Remove the blob if it was not committed. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        os.close(descriptor)
        if self._path:
            # Ctrl-C may have come just after the rename.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
