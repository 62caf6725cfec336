"""The working directory of a process: created if it is missing, and owned by the process's user, as in BuildKit.

A runtime would create it, too, but owned by root.
"""

import errno
import os

from polyarch.sandbox import syscalls
from polyarch.sandbox.account import Account


def make(rootfs: str, cwd: str, account: Account) -> None:
    """Create the missing part of `cwd` below `rootfs`, following no symlink out of it.

    What cannot be created is left for the runtime to report.
    """
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
        os.close(_open(root, "/".join(parts)))
        return True
    except OSError as error:
        if error.errno != errno.ENOENT or not parts:
            return False
    parent = _open(root, "/".join(parts[:-1]))
    try:
        os.mkdir(parts[-1], 0o755, dir_fd=parent)
        os.chown(parts[-1], account.uid, account.gid, dir_fd=parent, follow_symlinks=False)
        # mkdir(2) clears the bits of the umask.
        created = os.open(parts[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        os.fchmod(created, 0o755)
        os.close(created)
    except OSError:
        return False  # a symlink to nowhere, a file system that is full
    finally:
        os.close(parent)
    return True


def _open(root: int, path: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY
    return syscalls.openat2(root, path or ".", flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
