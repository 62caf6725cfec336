"""Write a directory tree through descriptors, so that nothing is ever written outside of it.

Every name is relative to a directory that was opened without following any link (`syscalls.open_directory`). Symbolic
links are followed by `resolve`, from what this process has written, and never by the kernel: a link that appears
between two calls is an error, not a way out. If the kernel followed them with RESOLVE_IN_ROOT, renaming a parent could
still lead outside.
"""

import os
import stat
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from polyarch.layers.entry import Entry, kind_of, parent_of
from polyarch.layers.syscalls import open_directory

_CACHED = 64


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


class RootedTree:
    """The tree at `directory`. It owns descriptors of it and of directories in it, until it is closed."""

    def __init__(self, directory: str) -> None:
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_all()
        os.close(self._root)

    def _forget_all(self) -> None:
        for file in self._open.values():
            os.close(file)
        self._open.clear()

    def directory(self, path: str) -> int:
        """A descriptor of the directory `path`, valid until the next call of any method. Raises OSError."""
        file = self._open.get(path)
        if file is None:
            file = open_directory(self._root, path)
            if len(self._open) >= _CACHED:
                self._forget_all()
            self._open[path] = file
        return file

    def pair(self, one: str, other: str) -> tuple[int, int]:
        """Descriptors of two directories, valid together."""
        if one not in self._open or other not in self._open:
            self._forget_all()
        return self.directory(one), self.directory(other)

    def look(self, path: str) -> Entry | None:
        """What is at `path`: kind, mode, owner, the text of a link. None if there is nothing, or a parent is a link."""
        try:
            parent = self.directory(parent_of(path))
            status = os.stat(name_of(path) or ".", dir_fd=parent, follow_symlinks=False)
            link = os.readlink(name_of(path), dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
        except (FileNotFoundError, NotADirectoryError):
            return None
        return entry_of(path, status, link)

    def remove(self, path: str, keep: Callable[[str], bool] | None = None) -> list[str]:
        """Remove what is at `path` and everything below it, if it exists. Returns the removed paths.

        Paths for which `keep` returns True stay, with their parents.
        """
        gone: list[str] = []
        directories: list[str] = []
        pending = [path]
        while pending:
            here = pending.pop()
            found = self.look(here)
            if found is None:
                continue
            if found.kind == "directory":
                directories.append(here)
                pending.extend(self._names(here))
            elif keep is None or not keep(here):
                os.unlink(name_of(here), dir_fd=self.directory(parent_of(here)))
                gone.append(here)
        self._forget_all()
        for here in reversed(directories):
            if keep is None or (not keep(here) and not any(self._names(here))):
                self._forget_all()
                os.rmdir(name_of(here), dir_fd=self.directory(parent_of(here)))
                gone.append(here)
        return gone

    def empty(self, path: str, keep: Callable[[str], bool]) -> list[str]:
        """Remove everything in the directory `path` except what `keep` returns True for. Returns the removed paths."""
        return [gone for below in list(self._names(path)) for gone in self.remove(below, keep)]

    def _names(self, path: str) -> Iterator[str]:
        names = os.listdir(self.directory(path))
        return (f"{path}/{name}" if path else name for name in names)


def entry_of(path: str, status: os.stat_result, link: str = "", xattrs: tuple[tuple[str, bytes], ...] = ()) -> Entry:
    """The entry of what was found at `path`; an empty file for a socket."""
    kind = kind_of(status.st_mode) or "file"
    device = status.st_rdev if kind in ("character", "block") else 0
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == "file" else 0,
        mtime=status.st_mtime_ns // 1_000_000_000,
        link=link,
        xattrs=xattrs,
        major=os.major(device) if device else 0,
        minor=os.minor(device) if device else 0,
    )
