"""Mount points that a root filesystem lacks: created for a process, and removed without a trace in the layer.

Such a trace would be the mount point itself, the new mtime of its directory, and, if that directory was only in a lower
layer, overlay's copy of it in the upper layer. So times are restored, and a directory that the upper layer contains
only for a mount point is removed once the overlay is unmounted.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping

import msgspec

from polyarch.errors import PolyarchError
from polyarch.sandbox.mounts import Bind, Tmpfs

_MOST_LINKS = 40


class Point(msgspec.Struct, frozen=True):
    """A mount point to create: a path in the container, and whether it is a directory."""

    path: str
    directory: bool


# Mount points of every container.
SYSTEM = (Point("/proc", True), Point("/sys", True), Point("/dev", True))


def needed(mounts: Iterable[Bind | Tmpfs]) -> list[Point]:
    """Return the mount points to create. Those within another mount are created in that mount."""
    points = list(SYSTEM)
    for mount in mounts:
        path = os.path.normpath(os.path.join("/", mount.target))
        if not any(path.startswith(f"{point.path}/") for point in points):
            points.append(Point(path, isinstance(mount, Tmpfs) or os.path.isdir(mount.source)))
    return points


class _MountpointState(msgspec.Struct, frozen=True):
    """The attributes of a directory that show whether it has been changed."""

    mode: int
    uid: int
    gid: int
    mtime: int


class MountPoints:
    """The mount points created in one root filesystem. Owns them until `remove`, and their copies until `prune`."""

    def __init__(self, rootfs: str, upper: str) -> None:
        self._rootfs = rootfs
        self._upper = upper
        self._made: list[tuple[str, bool]] = []
        self._copied: dict[str, _MountpointState] = {}

    def make(self, points: Iterable[Point]) -> dict[str, str]:
        """Create the missing points. Return the path of each, free of symlinks, by its given path."""
        resolved = {}
        for point in points:
            existing, missing = self._resolve(point.path)
            if missing:
                self._make(existing, missing, point.directory)
            resolved[point.path] = "/" + os.path.join(existing, *missing)
        return resolved

    def placed(self, mount: Bind | Tmpfs, places: Mapping[str, str]) -> Bind | Tmpfs:
        """Return the mount with its target free of symlinks, as the runtime expects it, and its final mode.

        `places` are what `make` returned.
        """
        path = os.path.normpath(os.path.join("/", mount.target))
        moved = msgspec.structs.replace(mount, target=places.get(path, path))
        if not isinstance(moved, Tmpfs) or not moved.like_hidden or (moved.target.strip("/"), True) in self._made:
            return moved
        try:
            mode = os.lstat(f"{self._rootfs}{moved.target}").st_mode
        except OSError:
            # The target is within another mount, which does not exist yet.
            return moved
        return msgspec.structs.replace(moved, mode=stat.S_IMODE(mode))

    def _resolve(self, path: str) -> tuple[str, list[str]]:
        """Return the existing part of `path`, free of symlinks, and the missing names below it.

        No process runs in the root filesystem meanwhile, so the results of lstat stay valid.
        """
        here: list[str] = []
        rest = [name for name in reversed(path.split("/")) if name not in ("", ".")]
        links = 0
        while rest:
            name = rest.pop()
            if name == "..":
                here = here[:-1]
                continue
            full = os.path.join(self._rootfs, *here, name)
            try:
                mode = os.lstat(full).st_mode
            except FileNotFoundError:
                missing = [name, *reversed(rest)]
                if ".." in missing:
                    raise PolyarchError(f"cannot mount on {path}: a directory on the way is missing") from None
                return "/".join(here), missing
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MOST_LINKS:
                    raise PolyarchError(f"cannot mount on {path}: too many symbolic links")
                target = os.readlink(full)
                here = [] if target.startswith("/") else here
                rest += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            elif rest and not stat.S_ISDIR(mode):
                raise PolyarchError(f"cannot mount on {path}: /{'/'.join([*here, name])} is not a directory")
            else:
                here.append(name)
        return "/".join(here), []

    def _make(self, existing: str, missing: list[str], directory: bool) -> None:
        parent = os.path.join(self._rootfs, existing)
        before = os.stat(parent)
        self._remember_copies(existing)
        path = existing
        for number, name in enumerate(missing, 1):
            path = os.path.join(path, name)
            full = os.path.join(self._rootfs, path)
            is_directory = directory or number < len(missing)
            if is_directory:
                os.mkdir(full, 0o755)
            else:
                os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            self._made.append((path, is_directory))
        os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _remember_copies(self, directory: str) -> None:
        """Record the directories that overlay is about to copy up."""
        while directory and not os.path.lexists(os.path.join(self._upper, directory)):
            if directory not in self._copied:
                self._copied[directory] = _state(os.path.join(self._rootfs, directory))
            directory = os.path.dirname(directory)

    def remove(self) -> None:
        """Remove the mount points again, except those that the process has used for something else."""
        for path, is_directory in reversed(self._made):
            full = os.path.join(self._rootfs, path)
            parent = os.path.dirname(full)
            # The process may have removed its parent (rm -rf), or given it a content, which then stays.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                before = os.stat(parent)
                if is_directory:
                    try:
                        os.rmdir(full)
                    except OSError:
                        continue
                elif os.lstat(full).st_size == 0:
                    os.unlink(full)
                os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._made.clear()

    def prune(self) -> None:
        """Remove directories that the upper layer contains only for the mount points. The overlay is unmounted."""
        for directory in sorted(self._copied, key=lambda path: path.count("/"), reverse=True):
            full = os.path.join(self._upper, directory)
            parent = os.path.dirname(full)
            with contextlib.suppress(OSError):
                if _state(full) == self._copied[directory]:
                    before = os.stat(parent)
                    os.rmdir(full)
                    os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._copied.clear()


def _state(path: str) -> _MountpointState:
    status = os.lstat(path)
    return _MountpointState(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
