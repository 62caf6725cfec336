"""A directory of this machine as entries: for COPY from a build context, and for the stat cache."""

import os
import stat
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Self

import msgspec

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers import longpaths
from polyarch.layers.entry import Entry, Stamp, kind_of

_NAME = itemgetter(0)

# (path, whether it is a directory) → whether to leave it out, with all that is below it.
Skip = Callable[[str, bool], bool]


class WalkedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry, the path on this machine that it was found at, the stamp of its bytes, and its st_mode.

    The path may be longer than a system call takes: see `longpaths`.
    """

    entry: Entry
    path: str
    stamp: Stamp
    mode: int


def walk(root: str, skip: Skip | None = None, xattrs: bool = False) -> Iterator[WalkedEntry]:
    """What is below the directory `root`, each directory before what is in it, names sorted by their bytes.

    The root itself is not among it; no symbolic link is followed; sockets are left out. `skip` leaves out a path, and a
    directory with all that it holds. A second name of a file is a "hardlink" to the first that was given. `xattrs` asks
    for extended attributes too, a system call more for each entry.

    Raises NotFoundError if `root` is not a directory, PolyarchError if something cannot be read.
    """
    seen: dict[tuple[int, int], str] = {}
    with _Descent(root) as descent:
        for path, item in descent.items():
            is_directory = item.is_dir(follow_symlinks=False)
            if skip is not None and skip(path, is_directory):
                continue
            try:
                status = item.stat(follow_symlinks=False)
                kind = kind_of(status.st_mode)
                if kind is None:
                    continue
                link = os.readlink(item.path) if kind == "symlink" else ""
                attributes = read_xattrs(item.path) if xattrs else ()
            except FileNotFoundError:
                # It went between the listing of its directory and now, as if it had gone a moment earlier.
                continue
            except OSError as error:
                raise descent.unreadable(path, error) from error
            size = status.st_size if kind == "file" else 0
            # Since Linux 5.8 the whiteouts of an overlay, devices 0:0, are hard links of one: each says of its name.
            is_whiteout = kind == "character" and status.st_rdev == 0
            if status.st_nlink > 1 and kind != "directory" and not is_whiteout:
                first = seen.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    kind, link, size = "hardlink", first, 0
            yield WalkedEntry(
                Entry(
                    path=path,
                    kind=kind,
                    mode=stat.S_IMODE(status.st_mode),
                    uid=status.st_uid,
                    gid=status.st_gid,
                    size=size,
                    mtime=status.st_mtime_ns // 1_000_000_000,
                    link=link,
                    xattrs=attributes,
                    major=os.major(status.st_rdev) if kind in ("character", "block") else 0,
                    minor=os.minor(status.st_rdev) if kind in ("character", "block") else 0,
                ),
                descent.full(path, item),
                (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size),
                status.st_mode,
            )
            if is_directory:
                descent.enter(path, item)


def stamps(root: str, skip: Skip | None = None) -> Iterator[tuple[str, int, Stamp]]:
    """Path, st_mode and stamp of what `walk` would give, in its order, at half of its cost. Raises as it does."""
    with _Descent(root) as descent:
        for path, item in descent.items():
            is_directory = item.is_dir(follow_symlinks=False)
            if skip is not None and skip(path, is_directory):
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise descent.unreadable(path, error) from error
            if stat.S_ISSOCK(status.st_mode):
                continue
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            yield path, status.st_mode, stamp
            if is_directory:
                descent.enter(path, item)


class _Descent:
    """The way through a tree: the names of each directory on it, so that the depth costs no recursion.

    Where a path becomes too long for a system call, the way goes on from an open directory: the paths of the items are
    then short ones below /proc/self/fd. It owns those descriptors until it is left.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") or "/"
        self._anchors: dict[int, int] = {}
        # Of each directory what is still to come, the next at the end: an item that was given is kept by nobody, since
        # it remembers its status.
        self._levels: list[list[tuple[str, os.DirEntry[str]]]] = []
        where = self._root
        if len(where) > longpaths.SAFE:
            where = self._anchored(where, "")
        self._levels.append(self._scan(where, ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._anchors.values():
            os.close(descriptor)

    def items(self) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        """The path below the root and the item of everything, in order; what was entered comes next."""
        while self._levels:
            if self._levels[-1]:
                yield self._levels[-1].pop()
                continue
            self._levels.pop()
            if self._anchors and (descriptor := self._anchors.pop(len(self._levels), None)) is not None:
                os.close(descriptor)

    def enter(self, path: str, item: "os.DirEntry[str]") -> None:
        """Go through the directory that `items` gave last."""
        where = item.path
        if len(where) > longpaths.SAFE:
            where = self._anchored(where, path)
        self._levels.append(self._scan(where, path + "/"))

    def _anchored(self, where: str, path: str) -> str:
        """A short path of the directory `where`, as long as the next level is gone through."""
        try:
            descriptor = longpaths.open_directory(where, follow=not path)
        except OSError as error:
            raise self.unreadable(path, error) from error
        self._anchors[len(self._levels)] = descriptor
        return f"/proc/self/fd/{descriptor}"

    def full(self, path: str, item: "os.DirEntry[str]") -> str:
        """The path on this machine of an item, which outlives the way."""
        return f"{self._root.rstrip('/')}/{path}" if self._anchors else item.path

    def unreadable(self, path: str, error: OSError) -> PolyarchError:
        """The error for what cannot be read."""
        return PolyarchError(f"{longpaths.shown(f'{self._root}/{path}')} cannot be read: {error.strerror}")

    def _scan(self, directory: str, prefix: str) -> list[tuple[str, "os.DirEntry[str]"]]:
        try:
            with os.scandir(directory) as items:
                found = [(prefix + item.name, item) for item in items]
        except (FileNotFoundError, NotADirectoryError) as error:
            if not prefix:
                raise NotFoundError(f"{directory} is not a directory") from error
            return []
        except OSError as error:
            raise self.unreadable(prefix.rstrip("/"), error) from error
        # The order of text is that of its bytes, unless it has surrogates, which stand for bytes that are not UTF-8.
        is_plain = "".join(map(_NAME, found)).isascii()
        found.sort(key=_NAME if is_plain else _by_name, reverse=True)
        return found


def _by_name(found: tuple[str, "os.DirEntry[str]"]) -> bytes:
    return os.fsencode(found[0])


def read_xattrs(path: str, skipped: str | None = None) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes of what is at `path`, sorted, those that begin with `skipped` left out.

    Raises OSError. A file system without them has none.
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        import errno

        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(names)
        if skipped is None or not name.startswith(skipped)
    )
