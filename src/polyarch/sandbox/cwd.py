"""The directory that a process starts in: made where it is missing, and the user's own, as BuildKit makes it.

A runtime would make it, too, but root's.
"""

import errno
import os

from polyarch.sandbox import syscalls
from polyarch.sandbox.account import Account


def make(rootfs: str, cwd: str, account: Account) -> None:
    """Make the missing part of `cwd` below `rootfs`; no symlink leads out. What cannot be made, the runtime reports."""
    parts = [part for part in cwd.split("/") if part]
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for count in range(len(parts) + 1):
            if not _make_one(root, parts[:count], account):
                return
    finally:
        os.close(root)


def _make_one(root: int, parts: list[str], account: Account) -> bool:
    try:
        os.close(_opened(root, "/".join(parts)))
        return True
    except OSError as error:
        if error.errno != errno.ENOENT or not parts:
            return False
    parent = _opened(root, "/".join(parts[:-1]))
    try:
        os.mkdir(parts[-1], 0o755, dir_fd=parent)
        os.chown(parts[-1], account.uid, account.gid, dir_fd=parent, follow_symlinks=False)
        # mkdir(2) takes the umask's bits away.
        made = os.open(parts[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        os.fchmod(made, 0o755)
        os.close(made)
    except OSError:
        return False  # a symlink to nowhere, a file system that is full
    finally:
        os.close(parent)
    return True


def _opened(root: int, path: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY
    return syscalls.openat2(root, path or ".", flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
