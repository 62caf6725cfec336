"""Snapshots: unpacked layers by a key that the caller chooses (a chain id, a cache key)."""

import contextlib
import errno
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from polyarch.errors import PolyarchError
from polyarch.store import disk, growth, temporary, trees
from polyarch.store.blobs import Trace
from polyarch.store.growth import Growth
from polyarch.store.layout import StoreLayout
from polyarch.store.leases import Lease
from polyarch.store.locks import FileLock, StoreLock
from polyarch.store.temporary import TemporaryDirectory

_KEY = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}"
_FILES = "fs"
# Files next to `fs`: the id of the boot in which the snapshot was made, and a mark that it has been synced.
_MADE_IN = "boot"
_SYNCED = "synced"
_ABOUT = "about"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Seconds after which the kernel has written most of it by itself (vm.dirty_expire_centisecs is 30 s).
_SETTLED = 60


class Snapshots:
    """The unpacked layers of a store. A key has the letters of a digest, besides `.`, `_` and `-`.

    A snapshot is not synced when it is made, because that would slow down every RUN. So it is used only until the next
    reboot, unless `close` of a later command has synced it.
    """

    def __init__(
        self,
        layout: StoreLayout,
        lock: StoreLock,
        lease: Lease,
        trace: Trace,
        growth: Growth,
        boot: str | None = None,
    ) -> None:
        self._layout = layout
        self._lock = lock
        self._lease = lease
        self._trace = trace
        self._growth = growth
        self._boot = boot
        self._unsynced: set[str] = set()

    def get(self, key: str) -> Path | None:
        """The directory of a finished snapshot, leased; None if there is none. It must not be written to."""
        path = self.location(key)
        with self._lock:
            self._lease.add_snapshot(key)
            try:
                os.utime(path)  # gc removes by oldest use
            except FileNotFoundError:
                return None
        if not self._survived(path):
            self._drop(path)
            return None
        return Path(path, _FILES)

    def prepare(self, key: str, about: str = "") -> "Preparation":
        """An unfinished snapshot, for `with`: fill its `path`, then `commit`; otherwise it is removed.

        `about` is a short description.
        """
        return Preparation(self, key, TemporaryDirectory(self._layout.temporary), about)

    def about(self, key: str) -> str:
        """The description of the snapshot; "" if it has none."""
        try:
            with open(f"{self.location(key)}/{_ABOUT}", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def keys(self) -> tuple[str, ...]:
        """The keys of all finished snapshots, sorted."""
        return tuple(sorted(name.replace("+", ":") for name in os.listdir(self._layout.snapshots)))

    def remove(self, key: str) -> bool:
        """Remove a snapshot, even if it is leased. Returns whether it existed. Files of other ids can be removed only
        inside their user namespace; otherwise they stay in tmp/ for `gc`.
        """
        return self._discard(self.location(key))

    def size(self, key: str) -> int:
        """The size of a snapshot on disk in bytes, as measured when it was made. 0 if it is gone."""
        return growth.size_of(self.location(key), _FILES)

    def put(self, key: str, made: str, size: int) -> Path:
        """Turn the directory `made`, which has `size` bytes in `fs`, into the snapshot `key`, unless that exists."""
        path = self.location(key)
        with disk.explained("keep a snapshot", self._layout.root):
            with open(f"{made}/{_MADE_IN}", "w", encoding="ascii") as file:
                file.write(self._this_boot())
            growth.remember(made, size)
            self._trace("snapshot:before-rename")
            with self._lock:
                self._lease.add_snapshot(key)
                try:
                    os.rename(made, path)
                    self._growth.snapshot(size)
                except OSError as error:
                    # Never empty, so rename(2) cannot replace it. Both hold the same: the first one may be in use.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
            self._trace("snapshot:after-rename")
        return Path(path, _FILES)

    def location(self, key: str) -> str:
        """The directory of the snapshot of this key, which holds `fs`. Raises PolyarchError for a malformed key."""
        if re.fullmatch(_KEY, key) is None:
            raise PolyarchError(f"{key!r} cannot be the key of a snapshot")
        return f"{self._layout.snapshots}/{key.replace(':', '+')}"

    def close(self) -> None:
        """Sync the used snapshots that are some seconds old and were never synced. Safe to call twice."""
        unsynced, self._unsynced = self._unsynced, set()
        if not unsynced:
            return
        with disk.explained("keep a snapshot", self._layout.root), contextlib.ExitStack() as opened:
            directories: list[int] = []
            # Opened first: a snapshot that replaces one of them later has not been synced.
            for path in unsynced:
                with contextlib.suppress(FileNotFoundError):
                    directories.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                    opened.callback(os.close, directories[-1])
            disk.sync_filesystem(self._layout.root)
            for directory in directories:
                with contextlib.suppress(FileNotFoundError):
                    os.close(os.open(_SYNCED, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory))

    def _survived(self, path: str) -> bool:
        """Whether the content was certainly written: the snapshot is of this boot, or was synced."""
        try:
            with open(f"{path}/{_MADE_IN}", encoding="ascii") as file:
                boot, made = file.read(), os.fstat(file.fileno()).st_mtime
            # The directory's own time has just been set by the kernel: the clock is not read here.
            is_old = os.stat(path).st_mtime - made > _SETTLED
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        if boot == self._this_boot() and not is_old:
            return True
        is_synced = os.path.exists(f"{path}/{_SYNCED}")
        if boot == self._this_boot() and not is_synced:
            self._unsynced.add(path)
        return is_synced or boot == self._this_boot()

    def _drop(self, path: str) -> None:
        # One process at a time: a second one must not remove what was made again after the first one removed it.
        with FileLock(self._layout.lock("snapshots")):
            if os.path.exists(path) and not self._survived(path):
                self._discard(path)

    def _discard(self, path: str) -> bool:
        try:
            with self._lock:
                thrown = temporary.throw_away(path, self._layout.temporary)
        except FileNotFoundError:
            return False
        temporary.reclaim_one(thrown)
        return True

    def _this_boot(self) -> str:
        if self._boot is None:
            with open(_BOOT_ID, encoding="ascii") as file:
                self._boot = file.read().strip()
        return self._boot


class Preparation:
    """An unfinished snapshot. `path` is an empty directory to fill; `work` is an empty directory for overlay."""

    def __init__(self, snapshots: Snapshots, key: str, directory: TemporaryDirectory, about: str) -> None:
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
                if about:
                    Path(self._made, _ABOUT).write_text(about, encoding="utf-8", errors="replace")
        except BaseException:
            directory.close()
            raise

    def commit(self, size: int | None = None) -> Path:
        """Store the content of `path` as the snapshot, and return its new location. If another process was first, its
        snapshot is kept. `size` is the size on disk in bytes; it is measured if the caller does not know it.
        """
        return self._snapshots.put(self._key, self._made, trees.tree_size(str(self.path)) if size is None else size)

    def close(self) -> None:
        """Remove what was not committed. Safe to call twice."""
        self._directory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
