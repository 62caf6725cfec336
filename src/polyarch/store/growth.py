"""An estimate of how much of the store is cache: a running sum that each command adds to. Cache is what can be made or
fetched again: unpacked layers, cache mounts, and blobs that no image needs. Its exact size is known only after reading
all manifests, so `store/gc.py` computes it only when this estimate exceeds the limit, and then corrects the estimate.
The estimate may be too high: every new blob counts, even if an image needs it later.
"""

import os
import threading

from polyarch.store import trees
from polyarch.store.cache import Cache

_KEY = "estimate"
# The file next to a snapshot's `fs` or a cache mount's `files` that says how many bytes they take on disk.
SIZE = "size"
# Seconds for which the last measured size of a cache mount that is in use remains valid.
_MOUNT_AGE = 3600
# The default limit: a tenth of the disk, at most this many bytes.
_LARGEST = 20 * 10**9
_SHARE = 10


def default_limit(root: str) -> int:
    """The default limit in bytes for the cache of a store at `root`: a tenth of its disk, at most 20 GB."""
    return min(disk_size(root) // _SHARE, _LARGEST)


def disk_size(path: str) -> int:
    """The bytes of the file system that `path` is on, or would be."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "."
    disk = os.statvfs(path)
    return disk.f_blocks * disk.f_frsize


class Growth:
    """What one command adds to the estimate. Safe from many threads; it owns nothing."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._mutex = threading.Lock()
        self._blobs = 0
        self._mounts: set[str] = set()
        self._any = False
        self._is_doubtful = False

    @property
    def is_any(self) -> bool:
        """Whether this command has added anything since the last `settle`."""
        return self._any

    @property
    def is_doubtful(self) -> bool:
        """Whether `settle` will discard the estimate."""
        return self._is_doubtful

    def blob(self, size: int) -> None:
        """Record that a blob was written. It is counted when the command ends."""
        with self._mutex:
            self._blobs += size
            self._any = True

    def snapshot(self, size: int) -> None:
        """Record that a snapshot was made. It is counted at once, because it is large, and a build may be killed."""
        self._any = True
        self._cache.add(_kind(), _KEY, size)

    def mount(self, path: str) -> None:
        """Record that the cache mount at `path` is used. It is measured and counted when the command ends."""
        with self._mutex:
            self._mounts.add(path)
            self._any = True

    def settle(self) -> None:
        """Count what has not been counted yet. Safe to call twice."""
        with self._mutex:
            added, self._blobs = self._blobs, 0
            mounts, self._mounts = self._mounts, set()
            doubtful, self._is_doubtful, self._any = self._is_doubtful, False, False
        added += sum(_growth_of_mount(path) for path in mounts)
        if doubtful:
            self._cache.delete(_kind(), _KEY)
        elif added:
            self._cache.add(_kind(), _KEY, added)

    def estimate(self) -> int | None:
        """The estimate in bytes; None if it was lost, or if an image was removed whose content may be cache now."""
        raw = self._cache.get(_kind(), _KEY)
        try:
            return None if raw is None else int(raw)
        except ValueError:
            self._cache.delete(_kind(), _KEY)
            return None

    def correct(self, size: int) -> None:
        """Set the estimate to a measured size. The caller holds the store's lock exclusively."""
        self._cache.put(_kind(), _KEY, b"%d" % size)

    def doubt(self) -> None:
        """Let `settle` discard the estimate: an image lost its name, and its content is cache from now on."""
        self._is_doubtful = True


def _kind() -> str:
    # Imported here: most commands add nothing.
    from polyarch.store.tables import GROWTH

    return GROWTH.stored


def size_of(path: str, files: str) -> int:
    """The bytes that the snapshot or cache mount at `path` takes, as remembered, else measured below `files`."""
    known = _remembered(path)
    return measured(path, files) if known is None else known


def measured(path: str, files: str) -> int:
    """The bytes that `files` of the snapshot or cache mount at `path` takes now; they are remembered.

    If some files of other ids cannot be seen, a larger size that another process remembered is returned.
    """
    size, is_whole = trees.measure(f"{path}/{files}")
    if not is_whole and (known := _remembered(path)) is not None and known >= size:
        return known
    remember(path, size)
    return size


def _remembered(path: str) -> int | None:
    try:
        with open(f"{path}/{SIZE}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def remember(path: str, size: int) -> None:
    """Store the size of a snapshot or cache mount. If that fails, it is measured again later."""
    try:
        with open(f"{path}/{SIZE}", "w", encoding="ascii") as file:
            file.write(str(size))
    except OSError:
        return


def _growth_of_mount(path: str) -> int:
    """How much the cache mount at `path` has grown since it was last measured; 0 if that was not long ago."""
    try:
        when = os.stat(f"{path}/{SIZE}").st_mtime
        if os.stat(f"{path}/lock").st_mtime - when < _MOUNT_AGE:
            return 0
        before = size_of(path, "files")
    except FileNotFoundError:
        before = 0
    return measured(path, "files") - before
