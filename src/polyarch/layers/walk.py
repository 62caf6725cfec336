"""A directory of this machine as entries: for COPY from a build context, and for the stat cache."""

import os
import stat
from collections.abc import Callable, Iterator

import msgspec

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Entry, Stamp, kind_of

# (path, whether it is a directory) → whether to leave it out, with all that is below it.
Skip = Callable[[str, bool], bool]


class Found(msgspec.Struct, frozen=True, gc=False):
    """An entry, the path on this machine that it was found at, the stamp of its bytes, and its st_mode."""

    entry: Entry
    path: str
    stamp: Stamp
    mode: int


def walk(root: str, skip: Skip | None = None, xattrs: bool = False) -> Iterator[Found]:
    """What is below the directory `root`, each directory before what is in it, names sorted by their bytes.

    The root itself is not among it; no symbolic link is followed; sockets are left out. `skip` leaves out a path, and a
    directory with all that it holds. A second name of a file is a "hardlink" to the first that was given. `xattrs` asks
    for extended attributes too, a system call more for each entry.

    Raises NotFoundError where `root` is no directory, PolyarchError for what cannot be read.
    """
    seen: dict[tuple[int, int], str] = {}
    root = root.rstrip("/") or "/"
    # The names of each directory on the way down, last first, so that the depth costs no recursion.
    pending = [iter(_scan(root, "", missing=True))]
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
            continue
        path, item = found
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
            raise PolyarchError(f"{item.path} cannot be read: {error.strerror}") from error
        size = status.st_size if kind == "file" else 0
        # Since Linux 5.8 the whiteouts of an overlay, devices 0:0, are hard links of one: each says of its own name.
        is_whiteout = kind == "character" and status.st_rdev == 0
        if status.st_nlink > 1 and kind != "directory" and not is_whiteout:
            first = seen.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                kind, link, size = "hardlink", first, 0
        yield Found(
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
            item.path,
            (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size),
            status.st_mode,
        )
        if is_directory:
            pending.append(iter(_scan(item.path, path + "/")))


def stamps(root: str, skip: Skip | None = None) -> Iterator[tuple[str, int, Stamp]]:
    """Path, st_mode and stamp of what `walk` would give, in its order, at half of its cost. Raises as it does."""
    root = root.rstrip("/") or "/"
    pending = [iter(_scan(root, "", missing=True))]
    while pending:
        for path, item in pending[-1]:
            is_directory = item.is_dir(follow_symlinks=False)
            if skip is not None and skip(path, is_directory):
                continue
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise PolyarchError(f"{item.path} cannot be read: {error.strerror}") from error
            if stat.S_ISSOCK(status.st_mode):
                continue
            stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            yield path, status.st_mode, stamp
            if is_directory:
                pending.append(iter(_scan(item.path, path + "/")))
                break
        else:
            pending.pop()


def _scan(directory: str, prefix: str, missing: bool = False) -> list[tuple[str, "os.DirEntry[str]"]]:
    try:
        with os.scandir(directory) as items:
            found = [(prefix + item.name, item) for item in items]
    except (FileNotFoundError, NotADirectoryError) as error:
        if missing:
            raise NotFoundError(f"{directory} is no directory") from error
        return []
    except OSError as error:
        raise PolyarchError(f"{directory} cannot be read: {error.strerror}") from error
    found.sort(key=_by_name)
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
