"""Leases: the content that running processes need, in files that a garbage collection reads. A lease is a file with a
line for each digest or snapshot, locked with flock by its owner. Lines are only added.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.store import disk, locks
from polyarch.store.layout import StoreLayout
from polyarch.store.locks import StoreLock

_SNAPSHOT = "snapshot "


class Leased(msgspec.Struct, frozen=True):
    """The content that running processes need. A manifest includes everything that it names."""

    digests: frozenset[Digest]
    snapshots: frozenset[str]


class Lease:
    """Protects what is added to it from collection, until `close` or the end of the process. The file is created when
    something is first added. Safe from many threads.
    """

    def __init__(self, layout: StoreLayout, lock: StoreLock) -> None:
        self._layout = layout
        self._lock = lock
        self._mutex = threading.Lock()
        self._lines: set[str] = set()
        self._path = ""
        self._descriptor = -1
        self._holds_everything = False
        self._may_hold_everything = True
        self._previous: Lease | None = None

    def refuse_when_full(self) -> None:
        """From now on, adding raises PolyarchError when the disk is too full for it, instead of preventing collections
        until `close`.
        """
        self._may_hold_everything = False

    def add(self, *digests: Digest) -> None:
        """Keep these blobs and, for a manifest, what it names. They need not exist yet."""
        self._add(list(digests))

    def add_snapshot(self, key: str) -> None:
        """Keep the snapshot of this key."""
        self._add([_SNAPSHOT + key])

    def _add(self, lines: list[str] | list[Digest]) -> None:
        # A line is added to the set after it is in the file, so that another thread does not rely on it too early.
        with self._mutex:
            new = [line for line in lines if line not in self._lines]
            if not new:
                return
            with self._lock, disk.explained("write a lease", self._layout.root):
                try:
                    if self._descriptor < 0:
                        self._path, self._descriptor = _held_file(self._layout.leases)
                    self._append("".join(f"{line}\n" for line in new).encode())
                except OSError as error:
                    if not (disk.is_full(error) and self._may_hold_everything):
                        raise
                    self._hold_everything()
            self._lines.update(new)

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            disk.write_all(self._descriptor, data)
        except OSError:
            # A part of a line would become a part of the next one.
            os.ftruncate(self._descriptor, size)
            raise

    def turn(self) -> None:
        """Begin again: what was added before the last call of this method is released, what came after it is held
        until the next call. A process that runs for long calls it from time to time.
        """
        with self._mutex:
            released, previous = self._previous, Lease(self._layout, self._lock)
            previous._path, previous._descriptor, previous._lines = self._path, self._descriptor, self._lines
            previous._holds_everything = self._holds_everything
            self._previous = previous
            self._path, self._descriptor, self._lines, self._holds_everything = "", -1, set(), False
        if released is not None:
            released.close()

    def _hold_everything(self) -> None:
        """Prevent all collections until `close`, so that a command can still read when the disk is full."""
        if not self._holds_everything:
            self._lock.__enter__()
            self._holds_everything = True

    @contextlib.contextmanager
    def stepping_aside(self) -> Iterator[Leased]:
        """The content of this lease, for a collection by this process: on a full disk it may not be in any file. On a
        full disk the lease holds the store's lock, which would block this process's own collection as well.
        """
        with self._mutex:
            leases = [self] if self._previous is None else [self, self._previous]
            holding = [lease for lease in leases if lease._holds_everything]
            lines = [line for lease in leases for line in lease._lines]
        for _ in holding:
            self._lock.__exit__(None, None, None)
        try:
            yield _parsed(lines)
        finally:
            for _ in holding:
                self._lock.__enter__()

    def close(self) -> None:
        """Release everything. Safe to call twice."""
        previous, self._previous = self._previous, None
        if previous is not None:
            previous.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # Absent if the whole store was removed while it was open.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            os.close(descriptor)
        if self._holds_everything:
            self._holds_everything = False
            self._lock.__exit__(None, None, None)
        self._lines.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def collect(layout: StoreLayout) -> Leased:
    """What is leased now. Removes the leases of processes that have ended. The store must be locked exclusively."""
    return _parsed(_lines(layout.leases))


def _parsed(lines: Iterable[str]) -> Leased:
    found: set[Digest] = set()
    snapshots: set[str] = set()
    for line in lines:
        if line.startswith(_SNAPSHOT):
            snapshots.add(line.removeprefix(_SNAPSHOT))
        elif digests.is_digest(line):
            found.add(Digest(line))
    return Leased(frozenset(found), frozenset(snapshots))


def _lines(directory: str) -> Iterator[str]:
    with os.scandir(directory) as entries:
        paths = [entry.path for entry in entries]
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its owner has just closed it
        with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
            if locks.held(descriptor):
                if locks.is_linked(descriptor, path):
                    os.unlink(path)
            else:
                yield from file.read().splitlines()


def _held_file(directory: str) -> tuple[str, int]:
    while True:
        path = f"{directory}/{os.getpid()}-{os.urandom(6).hex()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if locks.is_linked(descriptor, path):
            return path, descriptor
        os.close(descriptor)
