"""Finding files in a root filesystem as its processes would, without following links out of it."""

import contextlib
import os
import stat
from collections.abc import Iterable

from polyarch.oci.config import DEFAULT_PATH
from polyarch.sandbox import probe, syscalls


def open_file(rootfs: str, path: str) -> int | None:
    """Return a file descriptor of the regular file at `path` in `rootfs`, or None.

    Symlinks are followed within `rootfs`.
    """
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # O_NONBLOCK: opening a fifo must not block.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        file = syscalls.openat2(root, path, flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
    except OSError:
        return None
    finally:
        os.close(root)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def open_directory(rootfs: str, path: str) -> int | None:
    """Return a file descriptor of the directory at `path` in `rootfs`, or None. Symlinks as in `open_file`."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        return syscalls.openat2(root, path, flags, syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS)
    except OSError:
        return None
    finally:
        os.close(root)


def program(rootfs: str, name: str, cwd: str, env: Iterable[str]) -> str | None:
    """Return the path in `rootfs` of the program that execvp(3) would run for `name`, or None."""
    path = next((pair.removeprefix("PATH=") for pair in env if pair.startswith("PATH=")), DEFAULT_PATH)
    directories = [""] if "/" in name else path.split(":")
    for directory in directories:
        candidate = os.path.join("/", cwd, directory, name)
        file = open_file(rootfs, candidate)
        if file is not None:
            os.close(file)
            return candidate
    return None


def architecture(rootfs: str, path: str) -> str | None:
    """Return the architecture (GOARCH) of the program at `path`; None for other files and architectures."""
    file = open_file(rootfs, path)
    if file is None:
        return None
    with contextlib.closing(open(file, "rb")) as reader:
        head = reader.read(20)
    for name in probe.MACHINES:
        magic, mask = probe.pattern(name)
        if len(head) == len(magic) and all(a & m == b & m for a, b, m in zip(head, magic, mask, strict=True)):
            return name
    return None
