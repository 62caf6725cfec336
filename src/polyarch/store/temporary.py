"""Temporary directories: locked with flock while their owner uses them, so an unlocked one is garbage."""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from polyarch.store import locks, trees
from polyarch.store.disk import explained

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Marks a directory that cannot be removed from outside its user namespace: opening a store does not try again.
STUCK = ".stuck"


class TemporaryDirectory:
    """A new directory, locked with flock. `close` removes it with all that is in it, or `gc` after the process died."""

    def __init__(self, parent: str) -> None:
        while True:
            path = f"{parent}/{os.getpid()}-{os.urandom(6).hex()}"
            with explained("make a temporary directory", parent):
                os.mkdir(path, 0o700)
            try:
                descriptor = os.open(path, _DIRECTORY)
            except FileNotFoundError:
                continue  # taken for garbage before it could be locked
            # Blocks only while another process removes it as garbage.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if locks.is_linked(descriptor, path):
                break
            os.close(descriptor)
        self.path = path
        self._descriptor = descriptor
        self._names = 0

    def fresh(self) -> str:
        """An unused path in the directory."""
        self._names += 1  # two threads that meet here are kept apart by the random part
        return f"{self.path}/{self._names}-{os.urandom(4).hex()}"

    def close(self) -> None:
        """Remove the directory. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            _remove(self.path)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Path:
        return Path(self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def reclaim(parent: str, *, stuck: bool = False) -> int:
    """Remove the directories below `parent` whose owners have ended, and return their number. A directory that belongs
    to other ids of a user namespace cannot be removed from outside. It is set aside, and tried again only with `stuck`.
    """
    with os.scandir(parent) as entries:
        paths = [entry.path for entry in entries if stuck or not entry.name.endswith(STUCK)]
    return sum(reclaim_one(path) for path in paths)


def throw_away(path: str, parent: str) -> str:
    """Move a directory to a place where it is not locked, so that `reclaim` removes it. Returns its new path. Raises
    FileNotFoundError.
    """
    moved = f"{parent}/{os.path.basename(path)[:64]}-{os.urandom(6).hex()}"
    os.rename(path, moved)
    return moved


def reclaim_one(path: str) -> bool:
    """Remove the directory at `path` unless it is locked. Returns whether this call removed it."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except OSError:
        return False  # another process was faster, or it is not one of our directories
    try:
        if not locks.held(descriptor) or not locks.is_linked(descriptor, path):
            return False
        return _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: str) -> bool:
    if not trees.remove_tree(path):
        return True
    if not path.endswith(STUCK):
        os.rename(path, path + STUCK)
    return False
