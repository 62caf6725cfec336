"""A file of credentials that is read again whenever it has changed."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from polyarch.errors import PolyarchError, UsageError

T = TypeVar("T")

# A file of a million tokens would be larger than this.
_LARGEST = 64 << 20


class WatchedFile(Generic[T]):
    """The parsed content of a file. It is read when it is made, and again when the file is another one or has another
    size or time. Threads may share it.

    `parse` raises ValueError with the reason, without the file's name.
    """

    def __init__(self, path: str, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._lock = threading.Lock()
        try:
            self._stamp, self._content = self._read()
        except PolyarchError as error:
            # Whoever named the file can name another one; later, it is a fault of the server's.
            raise UsageError(f"--auth: {error.message}", error.hint) from error

    def content(self) -> T:
        """What the file says now. Raises PolyarchError if it cannot be read or understood: who was removed from a file
        must not stay because of a mistake in another line.
        """
        try:
            if self._stamp == _stamp(os.stat(self._path)):
                return self._content
        except OSError as error:
            raise PolyarchError(f"{self._path} cannot be read: {error.strerror}") from error
        with self._lock:
            self._stamp, self._content = self._read()
            return self._content

    def _read(self) -> tuple[tuple[int, ...], T]:
        try:
            with open(self._path, "rb") as file:
                # Of the opened file: one that replaces it meanwhile has another stamp, and is read next.
                stamp = _stamp(os.fstat(file.fileno()))
                raw = file.read(_LARGEST + 1)
            if len(raw) > _LARGEST:
                raise ValueError(f"it is larger than {_LARGEST} bytes")
            return stamp, self._parse(raw.decode())
        except OSError as error:
            raise PolyarchError(f"{self._path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{self._path}: not UTF-8") from error
        except ValueError as error:
            raise UsageError(f"{self._path}: {error}") from error


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
