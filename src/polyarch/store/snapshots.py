"""Snapshots: unpacked layers by a key that the caller chooses (a chain id, a cache key)."""

import errno
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from polyarch.errors import PolyarchError
from polyarch.store import disk
from polyarch.store.blobs import Trace
from polyarch.store.layout import Layout
from polyarch.store.leases import Lease
from polyarch.store.locks import StoreLock
from polyarch.store.temporary import TemporaryDirectory

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_FILES = "fs"


class Snapshots:
    """The unpacked layers of a store. A key has the letters of a digest, besides `.`, `_` and `-`."""

    def __init__(self, layout: Layout, lock: StoreLock, lease: Lease, trace: Trace) -> None:
        self._layout = layout
        self._lock = lock
        self._lease = lease
        self._trace = trace

    def get(self, key: str) -> Path | None:
        """The directory of a finished snapshot, leased; None if there is none. It must not be written to."""
        path = self.location(key)
        with self._lock:
            self._lease.add_snapshot(key)
            try:
                os.utime(path)  # gc removes by oldest use
            except FileNotFoundError:
                return None
        return Path(path, _FILES)

    def prepare(self, key: str) -> "Preparation":
        """A snapshot in the making, for `with`: fill its `path`, then `commit`; otherwise it is removed."""
        return Preparation(self, key, TemporaryDirectory(self._layout.temporary))

    def keys(self) -> tuple[str, ...]:
        """The keys of all finished snapshots, sorted."""
        return tuple(sorted(name.replace("+", ":") for name in os.listdir(self._layout.snapshots)))

    def remove(self, key: str) -> bool:
        """Remove a snapshot, even one that is leased; whether there was one.

        Files of other ids need a caller inside their user namespace, else they wait in tmp/ for `gc`.
        """
        trash = TemporaryDirectory(self._layout.temporary)
        try:
            with self._lock:
                os.rename(self.location(key), trash.fresh())
        except FileNotFoundError:
            return False
        finally:
            trash.close()
        return True

    def put(self, key: str, made: str) -> Path:
        """Let the directory `made`, which holds `fs`, be the snapshot `key`, unless another one was faster."""
        path = self.location(key)
        with disk.explained("keep a snapshot", self._layout.root), self._lock:
            self._lease.add_snapshot(key)
            self._trace("snapshot:before-rename")
            try:
                os.rename(made, path)
            except OSError as error:
                # Never empty, so rename(2) cannot replace it. Both hold the same: the first one may be in use.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            self._trace("snapshot:after-rename")
        return Path(path, _FILES)

    def location(self, key: str) -> str:
        """Where the snapshot of this key is kept: a directory that holds `fs`. Raises PolyarchError for no key."""
        if _KEY.fullmatch(key) is None:
            raise PolyarchError(f"{key!r} cannot be the key of a snapshot")
        return f"{self._layout.snapshots}/{key.replace(':', '+')}"


class Preparation:
    """A snapshot in the making. `path` is an empty directory to fill; `work` an empty one beside, for overlay."""

    def __init__(self, snapshots: Snapshots, key: str, directory: TemporaryDirectory) -> None:
        self._snapshots = snapshots
        self._key = key
        self._directory = directory
        self._made = f"{directory.path}/new"
        self.path = Path(self._made, _FILES)
        self.work = Path(directory.path, "work")
        try:
            with disk.explained("make a snapshot", directory.path):
                os.mkdir(self._made, 0o700)
                os.mkdir(self.path, 0o755)
                os.mkdir(self.work, 0o700)
        except BaseException:
            directory.close()
            raise

    def commit(self) -> Path:
        """Keep what is in `path`; where it is now. If another process was first, its snapshot wins."""
        return self._snapshots.put(self._key, self._made)

    def close(self) -> None:
        """Remove what was not committed. Safe to call twice."""
        self._directory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
