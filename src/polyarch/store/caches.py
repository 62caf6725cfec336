"""Cache mounts: directories that RUN steps share with later builds. Each is complete or absent, and locked while in
use.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from polyarch.errors import ConflictError
from polyarch.store import disk, growth, locks, temporary
from polyarch.store.growth import Growth
from polyarch.store.layout import StoreLayout

# See `--mount=type=cache,sharing=`: at the same time, one after the other, or another directory for the second user.
Sharing = Literal["shared", "locked", "private"]
_LOCK = "lock"
_FILES = "files"
_IDENTITY = "id"
_PRIVATE = 1000

_PAUSE = 0.01
# Calls its argument until that returns True.
Wait = Callable[[Callable[[], bool]], None]


def _wait(attempt: Callable[[], bool]) -> None:
    while not attempt():
        time.sleep(_PAUSE)


class Caches:
    """The cache mounts of a store. It owns nothing: a step holds a cache mount in a `with` statement."""

    def __init__(self, layout: StoreLayout, growth: Growth) -> None:
        self._layout = layout
        self._growth = growth

    @contextlib.contextmanager
    def open(self, identity: str, sharing: Sharing, fill: Callable[[str], None], wait: Wait = _wait) -> Iterator[str]:
        """The directory of the cache `identity`, held so that no other process removes it.

        If there is none yet, `fill` is called with an empty directory, which becomes the cache when `fill` returns.
        Waits for other users according to `sharing`: `wait` calls its argument until that returns True. Raises
        PolyarchError for a failing disk, and the errors of `fill` and `wait`.
        """
        name = name_of(identity)
        with contextlib.ExitStack() as held:
            with disk.explained("make a cache mount", self._layout.caches):
                directory = self._take(name, sharing, fill, wait, held)
                _name(directory, identity)
            self._growth.mount(directory)
            yield f"{directory}/{_FILES}"

    @contextlib.contextmanager
    def hold(self, identity: str, wait: Wait = _wait) -> Iterator[str | None]:
        """The directory of the cache `identity` for reading, held so that no other process removes it or uses it alone;
        None if there is none. `wait` is as in `open`.
        """
        directory = self.location(name_of(identity))
        try:
            lock = os.open(f"{directory}/{_LOCK}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            _locked(lock, "shared", wait)
            found = f"{directory}/{_FILES}"
            # After waiting, this may be the lock of a directory that was removed.
            yield found if locks.is_linked(lock, f"{directory}/{_LOCK}") and os.path.exists(found) else None
        finally:
            os.close(lock)

    def names(self) -> list[str]:
        """All there are, sorted."""
        try:
            return sorted(os.listdir(self._layout.caches))
        except FileNotFoundError:
            return []

    def location(self, name: str) -> str:
        """The directory that holds the lock and the files."""
        return f"{self._layout.caches}/{name}"

    def used(self, name: str) -> float:
        """When it was last used (Unix time)."""
        for path in (f"{self.location(name)}/{_LOCK}", self.location(name)):
            with contextlib.suppress(FileNotFoundError):
                return os.stat(path).st_mtime
        return 0.0

    def size(self, name: str) -> int:
        """The size of its files on disk in bytes, measured now. 0 if it is gone."""
        return growth.measured(self.location(name), _FILES)

    def remembered_size(self, name: str) -> int:
        """The size of its files on disk in bytes when they were last measured, which is not long ago."""
        return growth.size_of(self.location(name), _FILES)

    def identity(self, name: str) -> str:
        """Its name in the Dockerfile: `NAMESPACE/ID@PLATFORM`. Empty for a cache of an earlier version."""
        try:
            with open(f"{self.location(name)}/{_IDENTITY}", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def is_used(self, name: str) -> bool:
        """Whether a RUN step uses it now."""
        return locks.is_taken(f"{self.location(name)}/{_LOCK}")

    def throw_away(self, name: str, grave: str) -> bool:
        """Move a cache to the directory `grave`, whose owner removes it. False if a RUN uses it."""
        path = self.location(name)
        try:
            descriptor = os.open(f"{path}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False  # another process was faster
        try:
            if not locks.held(descriptor):
                return False
            with contextlib.suppress(FileNotFoundError):
                temporary.throw_away(path, grave)
            return True
        finally:
            os.close(descriptor)

    def _take(
        self, name: str, sharing: Sharing, fill: Callable[[str], None], wait: Wait, held: contextlib.ExitStack
    ) -> str:
        number = 0
        os.makedirs(self._layout.caches, 0o700, exist_ok=True)
        while number < _PRIVATE:
            directory = self.location(f"{name}-{number}" if number else name)
            # Not makedirs: it fails if the directory is removed while it looks.
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o700)
            try:
                lock = os.open(f"{directory}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # removed just now
            with contextlib.ExitStack() as opened:
                opened.callback(os.close, lock)
                if not _locked(lock, sharing, wait):
                    number += 1
                    continue
                if not os.path.exists(f"{directory}/{_FILES}"):
                    self._fill(directory, lock, sharing, fill)
                # After waiting, this may be the lock of a directory that was removed.
                if locks.is_linked(lock, f"{directory}/{_LOCK}"):
                    os.utime(lock)
                    held.push(opened.pop_all())
                    return directory
        raise ConflictError(f"the cache mount {name} is in use {_PRIVATE} times over", "wait for other builds to end")

    def _fill(self, directory: str, lock: int, sharing: Sharing, fill: Callable[[str], None]) -> None:
        """Create the files. They are filled under another name, because a build may be killed meanwhile."""
        if sharing == "shared":
            # This releases the shared lock first, so two processes may both get here.
            fcntl.flock(lock, fcntl.LOCK_EX)
        files = f"{directory}/{_FILES}"
        if locks.is_linked(lock, f"{directory}/{_LOCK}") and not os.path.exists(files):
            with temporary.TemporaryDirectory(self._layout.temporary) as scratch:
                made = str(scratch / _FILES)
                os.mkdir(made, 0o700)
                fill(made)
                os.rename(made, files)
        if sharing == "shared":
            fcntl.flock(lock, fcntl.LOCK_SH)


def name_of(identity: str) -> str:
    """The name of the directory of a cache."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _name(directory: str, identity: str) -> None:
    """Write the identity next to the files, for people: the directory's name is a hash."""
    if not os.path.exists(f"{directory}/{_IDENTITY}"):
        with contextlib.suppress(OSError):
            Path(directory, _IDENTITY).write_text(identity, encoding="utf-8", errors="replace")


def _locked(lock: int, sharing: Sharing, wait: Wait) -> bool:
    """Wait for the lock. Returns False if another process has it and the mount is private."""

    def attempt() -> bool:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    if attempt():
        return True
    if sharing == "private":
        return False
    wait(attempt)
    return True
