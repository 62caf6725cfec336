"""Use paths that are longer than a system call accepts (PATH_MAX, 4,096 bytes), in several steps."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

# A path of this many characters, followed by a name of 255 bytes, is always shorter than PATH_MAX.
SAFE = 950
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# The number of characters that a message shows of each end of a long path.
_SHOWN = 120


def open_file(path: str, flags: int) -> int:
    """As `os.open`, for a path of any length. Raises OSError."""
    if len(path) <= SAFE:
        return os.open(path, flags)
    with short(path) as near:
        return os.open(near, flags)


@contextmanager
def short(path: str) -> Iterator[str]:
    """A path of the same file that is short enough for any call, valid inside the `with`. Raises OSError."""
    if len(path) <= SAFE:
        yield path
        return
    head, name = os.path.split(path)
    directory = _descend(head)
    try:
        yield f"/proc/self/fd/{directory}/{name}"
    finally:
        os.close(directory)


def open_directory(path: str, *, follow: bool) -> int:
    """A descriptor (O_PATH) of a directory, for use as /proc/self/fd/N. Raises OSError."""
    return open_file(path, _STEP | (0 if follow else os.O_NOFOLLOW))


def shown(path: str) -> str:
    """The path for a message; only both ends of a very long one."""
    return path if len(path) <= 3 * _SHOWN else f"{path[:_SHOWN]}…{path[-_SHOWN:]}"


def _descend(path: str) -> int:
    """A descriptor of the directory at a long path."""
    here, rest = -1, path
    while True:
        cut = len(rest) if len(rest) <= SAFE else rest.rfind("/", 0, SAFE)
        if cut <= 0:
            _close(here)
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        try:
            below = os.open(rest[:cut], _STEP, dir_fd=None if here < 0 else here)
        finally:
            _close(here)
        here, rest = below, rest[cut:].lstrip("/")
        if not rest:
            return here


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
