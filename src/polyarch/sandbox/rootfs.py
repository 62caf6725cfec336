"""A root filesystem: the overlay of some layers, mounted for a while."""

import contextlib
import os

from polyarch.sandbox import syscalls
from polyarch.sandbox.mountpoints import Stubs
from polyarch.sandbox.overlay import Overlay


class Rootfs:
    """One mounted overlay. Owns the mount, from the constructor to `close`, and its stubs."""

    def __init__(self, overlay: Overlay) -> None:
        """Mounts `overlay`. Raises PolyarchError and UnsupportedError as Overlay.perform does."""
        _adopt_root(overlay.upper, overlay.lowers[-1])
        overlay.perform()
        self.path = overlay.target
        self.stubs = Stubs(overlay.target, overlay.upper)

    def close(self) -> None:
        """Unmounts; what is still open in it then lives on unseen until it is closed."""
        syscalls.umount(self.path, syscalls.MNT_DETACH)
        self.stubs.prune()


def _adopt_root(upper: str, top: str) -> None:
    """Gives a fresh upper directory what the root of the layers has: overlay shows the upper one's owner and mode.

    A temporary directory of mode 0700 would otherwise keep everyone but root out of the container's root.
    """
    with os.scandir(upper) as entries:
        if next(entries, None) is not None:
            return
    root = os.stat(top)
    # An owner that this namespace does not know cannot be given.
    with contextlib.suppress(OSError):
        os.chown(upper, root.st_uid, root.st_gid)
    os.chmod(upper, root.st_mode & 0o7777)
    os.utime(upper, ns=(root.st_atime_ns, root.st_mtime_ns))
