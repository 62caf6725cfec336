"""Trying what a build needs of the kernel, in a child process, so that nothing of this machine changes."""

import os
import shutil

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.sandbox import namespaces, syscalls
from polyarch.sandbox.binfmt import BinfmtTable
from polyarch.sandbox.forked import in_child
from polyarch.sandbox.overlay import Overlay


class Refusal(msgspec.Struct, frozen=True):
    """Why something does not work here, and what would help; the hint may be empty."""

    message: str
    hint: str = ""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a process may do here. Each refusal is None if it works, or if it could not be tried.

    `ids` is the number of user ids in the namespace, and `warnings` are those of `namespaces.enter`. `table` concerns a
    table of emulators of its own.
    """

    namespace: Refusal | None = None
    ids: int = 0
    warnings: tuple[str, ...] = ()
    table: Refusal | None = None
    overlay: Refusal | None = None


def trial(search_path: str, directory: str | None) -> Trial:
    """Enter a user namespace, make a table of emulators, and mount an overlay below `directory`, which is empty.

    Without a directory, no overlay is tried. What was made in the directory is removed.
    """
    return in_child(lambda: _tried(search_path, directory), Trial, "cannot find out what this machine allows")


def _tried(search_path: str, directory: str | None) -> Trial:
    try:
        entered = namespaces.enter(search_path)
    except UnsupportedError as error:
        return Trial(namespace=_refusal(error))
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        ids = sum(int(line.split()[2]) for line in lines)
    return Trial(
        ids=ids,
        warnings=entered.warnings,
        table=_table(),
        overlay=None if directory is None else _overlay(directory),
    )


def _table() -> Refusal | None:
    try:
        BinfmtTable()
    except OSError as error:
        return Refusal(error.strerror or str(error))
    return None


def _overlay(directory: str) -> Refusal | None:
    lower, upper, work, merged = (os.path.join(directory, name) for name in ("lower", "upper", "work", "merged"))
    try:
        for path in (lower, upper, work, merged):
            os.mkdir(path)
        Overlay((lower,), upper, work, merged).perform()
        syscalls.umount(merged, syscalls.MNT_DETACH)
    except UnsupportedError as error:
        return _refusal(error)
    except OSError as error:
        return Refusal(f"{error.filename}: {error.strerror}")
    finally:
        # overlayfs leaves a directory that only root of this namespace may read.
        for path in (lower, upper, work, merged):
            shutil.rmtree(path, ignore_errors=True)
    return None


def _refusal(error: UnsupportedError) -> Refusal:
    return Refusal(error.message, error.hint or "")
