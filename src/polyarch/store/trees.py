"""The size and the removal of directory trees. Symlinks are not followed."""

import errno
import os

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A RUN can nest directories deeper than the limit of open files. Below this depth, a directory is moved up first.
_DEPTH = 64


def remove_tree(path: str) -> tuple[str, ...]:
    """Remove the directory at `path` and everything below it. Returns the names of what could not be removed. Makes
    directories accessible first. Files of other ids can be removed only inside their user namespace. A path that does
    not exist counts as removed.
    """
    left: list[str] = []
    try:
        top = _open(path, None)
    except FileNotFoundError:
        return ()
    except OSError:
        return (path,)
    try:
        # The first pass may move deep directories up here: they are next.
        while _empty(top, top, 0, left) and not left:
            pass
    finally:
        os.close(top)
    if not left:
        try:
            os.rmdir(path)
        except OSError:
            left.append(path)
    return tuple(left)


def tree_size(path: str) -> int:
    """The size on disk of the files below `path` in bytes. Hard links count once; unreadable directories count 0."""
    return measure(path)[0]


def measure(path: str) -> tuple[int, bool]:
    """As `tree_size`, and whether everything could be read: directories of other ids may be unreadable."""
    total, seen, pending, is_whole = 0, set[tuple[int, int]](), [path], True
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif status.st_nlink > 1:
                        if (status.st_dev, status.st_ino) in seen:
                            continue
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
        except PermissionError:
            is_whole = False
        except OSError:
            continue
    return total, is_whole


def _open(name: str, parent: int | None) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        _permit(name, parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)


def _permit(name: str, parent: int | None) -> None:
    # fchmod refuses an O_PATH descriptor, and chmod by name would follow a symlink that was put there meanwhile.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
    finally:
        os.close(handle)


def _empty(directory: int, top: int, depth: int, left: list[str]) -> bool:
    """Empty the directory. Returns whether something was moved up to `top`, which must then be emptied again."""
    moved = False
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        try:
            if not is_directory:
                _unlink(name, directory)
            elif depth >= _DEPTH:
                os.rename(name, os.urandom(8).hex(), src_dir_fd=directory, dst_dir_fd=top)
                moved = True
            else:
                child = _open(name, directory)
                try:
                    moved |= _empty(child, top, depth + 1, left)
                finally:
                    os.close(child)
                os.rmdir(name, dir_fd=directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            # A child that could not be emptied is in the list itself.
            if error.errno != errno.ENOTEMPTY:
                left.append(name)
    return moved


def _unlink(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except PermissionError:
        os.fchmod(directory, 0o700)
        os.unlink(name, dir_fd=directory)
