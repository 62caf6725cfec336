"""Walk a directory of this machine: as entries for COPY from a build context, and as stamps for the stat cache."""

import os
import stat
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Self

import msgspec

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers import longpaths
from polyarch.layers.entry import Entry, Kind, Stamp, kind_of

_NAME = itemgetter(0)
_ROWS = 1000

# A path, its st_mode, and its stamp.
Stamped = tuple[str, int, Stamp]

# (path, whether it is a directory) → whether to leave it out, with everything below it.
Skip = Callable[[str, bool], bool]


class WalkedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry, its path on this machine, the stamp of its bytes, and its st_mode.

    The path may be longer than a system call accepts: see `longpaths`.
    """

    entry: Entry
    path: str
    stamp: Stamp
    mode: int


def walk(root: str, skip: Skip | None = None, xattrs: bool = False) -> Iterator[WalkedEntry]:
    """Everything below the directory `root`, each directory before its content, names sorted by their bytes.

    The root itself is not included, symbolic links are not followed, and sockets are left out. `skip` leaves out a
    path, and a directory with everything in it. A second name of a file is a "hardlink" to the first one. `xattrs`
    reads extended attributes, too, which takes another system call for each entry.

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
                # It was removed after its directory was listed. It could as well have been removed a moment earlier.
                continue
            except OSError as error:
                raise descent.unreadable(path, error) from error
            size = status.st_size if kind == "file" else 0
            # Since Linux 5.8, the whiteouts of an overlay (devices 0:0) are hard links to one. Each counts by itself.
            is_whiteout = kind == "character" and status.st_rdev == 0
            if status.st_nlink > 1 and kind != "directory" and not is_whiteout:
                first = seen.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    kind, link, size = "hardlink", first, 0
            yield walked(path, descent.full(path, item), status, kind, size, link, attributes)
            if is_directory:
                descent.enter(path, item)


def walked(
    path: str,
    full: str,
    status: os.stat_result,
    kind: Kind,
    size: int,
    link: str,
    xattrs: tuple[tuple[str, bytes], ...],
) -> WalkedEntry:
    """What `walk` gives for the file at `full`, which is `path` below the root."""
    is_device = kind in ("character", "block")
    return WalkedEntry(
        Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=size,
            mtime=status.st_mtime_ns // 1_000_000_000,
            link=link,
            xattrs=xattrs,
            major=os.major(status.st_rdev) if is_device else 0,
            minor=os.minor(status.st_rdev) if is_device else 0,
        ),
        full,
        (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size),
        status.st_mode,
    )


def stamps(root: str, skip: Skip | None = None) -> Iterator[list[Stamped]]:
    """Path, st_mode and stamp of what `walk` returns, in the same order, some at a time, at less than half of the cost.
    Raises as `walk` does.
    """
    rows: list[Stamped] = []
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
            mode = status.st_mode
            if stat.S_ISSOCK(mode):
                continue
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            rows.append((path, mode, stamp))
            if is_directory:
                descent.enter(path, item)
            if len(rows) == _ROWS:
                yield rows
                rows = []
    yield rows


class _Descent:
    """A walk through a tree with a list of names for each directory on the way, instead of recursion.

    If a path becomes too long for a system call, the walk continues from an open directory: the paths of the items are
    then short ones below /proc/self/fd. It owns those descriptors until the end of the `with`.
    """

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/") or "/"
        self._anchors: dict[int, int] = {}
        # The remaining items of each directory, the next at the end. Returned items are dropped, because they keep
        # their status.
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
        """The path below the root and the item of everything, in order; after `enter`, that directory is next."""
        levels = self._levels
        while levels:
            last = levels[-1]
            if last:
                yield last.pop()
                continue
            levels.pop()
            if self._anchors and (descriptor := self._anchors.pop(len(self._levels), None)) is not None:
                os.close(descriptor)

    def enter(self, path: str, item: "os.DirEntry[str]") -> None:
        """Walk through the directory that `items` returned last."""
        where = item.path
        if len(where) > longpaths.SAFE:
            where = self._anchored(where, path)
        self._levels.append(self._scan(where, path + "/"))

    def _anchored(self, where: str, path: str) -> str:
        """A short path of the directory `where`, valid until the next level ends."""
        try:
            descriptor = longpaths.open_directory(where, follow=not path)
        except OSError as error:
            raise self.unreadable(path, error) from error
        self._anchors[len(self._levels)] = descriptor
        return f"/proc/self/fd/{descriptor}"

    def full(self, path: str, item: "os.DirEntry[str]") -> str:
        """The path on this machine of an item, also valid after the walk."""
        return f"{self._root.rstrip('/')}/{path}" if self._anchors else item.path

    def unreadable(self, path: str, error: OSError) -> PolyarchError:
        """The error for a path that cannot be read."""
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
        # Text has the same order as its bytes, unless it has surrogates, which stand for bytes that are not UTF-8.
        is_plain = "".join(map(_NAME, found)).isascii()
        found.sort(key=_NAME if is_plain else _by_name, reverse=True)
        return found


def _by_name(found: tuple[str, "os.DirEntry[str]"]) -> bytes:
    return os.fsencode(found[0])


def read_xattrs(path: str, skipped: str | None = None) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes of the file at `path`, sorted, without those that begin with `skipped`.

    Empty on a file system that does not support them. Raises OSError.
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
