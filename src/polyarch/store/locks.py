"""Locks between processes: flock(2), which the kernel releases when the last descriptor of the file is closed.

Not lockf, which is released when *any* descriptor of the file is closed.
"""

import fcntl
import os
import threading
import time
from types import TracebackType
from typing import Self

from polyarch.errors import ConflictError

_MODE = 0o600
_PAUSE = 0.002


class FileLock:
    """An exclusive lock on a file, for `with`. Each use opens the file again, so it also works between threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptors: list[int] = []

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
        # Only the holder of the lock gets here, so no other thread uses the list.
        self._descriptors.append(descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptors.pop())


class StoreLock:
    """The lock between the users of a store (shared, `with lock:`) and a garbage collection (`exclusive`).

    Shared sections of several threads overlap and nest. It owns a descriptor until `close`.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._path = path
        self._mutex = threading.Lock()
        self._holders = 0

    def __enter__(self) -> Self:
        with self._mutex:
            if self._holders == 0:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            self._holders += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._mutex:
            self._holders -= 1
            if self._holders == 0:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def exclusive(self, timeout: float) -> "Exclusive":
        """For `with`: no other process uses the store. Raises ConflictError after `timeout` seconds of waiting."""
        return Exclusive(self._path, timeout)

    def close(self) -> None:
        """Release the lock. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Exclusive:
    """One exclusive hold of a lock file, waited for no longer than `timeout` seconds."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        deadline = time.monotonic() + self._timeout
        while not held(self._descriptor):
            if time.monotonic() >= deadline:
                os.close(self._descriptor)
                raise ConflictError(
                    f"the store is in use by another command, for longer than {self._timeout:g} s",
                    "try again when it has finished",
                )
            time.sleep(_PAUSE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def held(descriptor: int) -> bool:
    """Whether the file is now locked exclusively through this descriptor; False if another one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_linked(descriptor: int, path: str) -> bool:
    """Whether `path` still is the file behind the descriptor.

    Another process may remove a file as garbage after it was created and before it was locked.
    """
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def is_taken(path: str) -> bool:
    """Whether the file at `path` is locked now. False if it does not exist."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not held(descriptor)
    finally:
        os.close(descriptor)
