"""System calls and functions of libc that Python does not offer."""

import ctypes
import errno
import os
from functools import cache

# One number on every architecture.
_OPENAT2 = 437
_NO_MAGICLINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


# mallopt(3): blocks larger than the first are mapped separately; freed memory beyond the second is returned at once.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_LARGEST_BLOCK = 32 << 20
_KEPT_FREE = 128 << 20


class _How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


_LIBC = ctypes.CDLL(None, use_errno=True)
_HOW = _How(_DIRECTORY, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
_missing = False
_PATH_MAX = 4096


def open_directory(root: int, path: str) -> int:
    """A descriptor of the directory `path` below the directory `root`. No symbolic link is followed, also not inside.

    Raises OSError: ELOOP if a part is a link, EXDEV if the path would leave the root.
    """
    global _missing
    if not path:
        return os.open(".", _DIRECTORY, dir_fd=root)
    if not _missing:
        raw = os.fsencode(path)
        file = _LIBC.syscall(_OPENAT2, root, ctypes.c_char_p(raw), ctypes.byref(_HOW), ctypes.sizeof(_HOW))
        if file >= 0:
            return int(file)
        number = ctypes.get_errno()
        if number == errno.ENAMETOOLONG and len(raw) >= _PATH_MAX:
            return _step_by_step(root, path)
        # Before Linux 5.6, and under seccomp filters that do not know the call, the parts are opened one by one.
        if number not in (errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number), path)
        _missing = True
    return _step_by_step(root, path)


@cache
def reuse_freed_memory() -> None:
    """Let the allocator reuse the memory of freed blocks of some MiB, in this process.

    By default, glibc returns such memory to the kernel and requests it again: for a layer of 256 MB, that causes 60,000
    page faults, a tenth of the work. Nothing changes with a libc that has no mallopt.
    """
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)


def _step_by_step(root: int, path: str) -> int:
    here = os.open(".", _DIRECTORY, dir_fd=root)
    for part in path.split("/"):
        if part in ("", ".", ".."):
            os.close(here)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        try:
            below = os.open(part, _DIRECTORY, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here
