"""A root filesystem: a mounted overlay of layers."""

import contextlib
import os

from polyarch.sandbox import syscalls
from polyarch.sandbox.mountpoints import MountPoints
from polyarch.sandbox.overlay import Overlay


class Rootfs:
    """One mounted overlay. Owns the mount, from the constructor to `close`, and its mount points."""

    def __init__(self, overlay: Overlay) -> None:
        """Mount `overlay`. Raises PolyarchError and UnsupportedError, see `Overlay.perform`."""
        _adopt_root(overlay.upper, overlay.lowers[-1])
        overlay.perform()
        self.path = overlay.target
        self.mount_points = MountPoints(overlay.target, overlay.upper)

    def close(self) -> None:
        """Unmount it. Files that are still open remain usable until they are closed."""
        syscalls.umount(self.path, syscalls.MNT_DETACH)
        self.mount_points.prune()


def _adopt_root(upper: str, top: str) -> None:
    """Give a new upper directory the attributes of the layers' root: overlay shows the upper one's owner and mode.

    The mode 0700 of a temporary directory would deny everyone but root access to the container's root.
    """
    with os.scandir(upper) as entries:
        if next(entries, None) is not None:
            return
    root = os.stat(top)
    # An owner without an id in this namespace cannot be set.
    with contextlib.suppress(OSError):
        os.chown(upper, root.st_uid, root.st_gid)
    os.chmod(upper, root.st_mode & 0o7777)
    os.utime(upper, ns=(root.st_atime_ns, root.st_mtime_ns))
