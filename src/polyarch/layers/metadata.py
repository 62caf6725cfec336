"""Owner, extended attributes, mode and times of unpacked files, in the order in which the kernel keeps them.

chown(2) clears setuid and capabilities, so the owner is set first, then xattrs, then the mode.
"""

import errno
import os
from collections.abc import Callable

from polyarch.layers.diskform import OVERLAY_XATTRS
from polyarch.layers.entry import Entry, parent_of
from polyarch.layers.rooted import RootedTree, name_of

# xattrs that overlayfs interprets: a layer could redirect names and contents with them.
_REFUSED_XATTRS = (OVERLAY_XATTRS, "trusted.overlay.")


class Metadata:
    """Applies metadata to the files of one `tree`. `note` gets what cannot be kept here, once for each reason."""

    def __init__(self, tree: RootedTree, note: Callable[[str], None] | None) -> None:
        self._tree = tree
        self._note = note
        self._noted: set[str] = set()

    def apply_to_descriptor(self, file: int, entry: Entry) -> None:
        """Give an open file or directory the metadata of `entry`. Raises OSError."""
        self._chown(lambda: os.fchown(file, entry.uid, entry.gid), entry)
        self._set_xattrs(file, entry)
        os.fchmod(file, entry.mode)
        os.utime(file, (entry.mtime, entry.mtime))

    def apply_to_name(self, path: str, entry: Entry) -> None:
        """The same for a file that cannot be opened: a link, a device, a fifo."""
        folder, name = self._tree.directory(parent_of(path)), name_of(path)
        self._chown(lambda: os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False), entry)
        self._set_xattrs(f"/proc/self/fd/{folder}/{name}", entry)
        if entry.kind != "symlink":
            # Only this process writes here, so the name still refers to what was just created.
            os.chmod(name, entry.mode, dir_fd=folder)
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)

    def note(self, reason: str, example: str = "") -> None:
        """Report something that cannot be kept, the first time that `reason` occurs."""
        if self._note is not None and reason not in self._noted:
            self._noted.add(reason)
            self._note(f"{reason} ({example})" if example else reason)

    def _chown(self, chown: Callable[[], None], entry: Entry) -> None:
        try:
            chown()
        except OSError as error:
            # EINVAL: this namespace has no such id. EPERM: there is no namespace, and this process is not root.
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self.note("some owners are not kept, because this user may not change them", f"{entry.uid}:{entry.gid}")

    def _set_xattrs(self, file: int | str, entry: Entry) -> None:
        for name, value in entry.xattrs:
            if name.startswith(_REFUSED_XATTRS):
                self.note("extended attributes of overlayfs are left out", f"{name} of /{entry.path}")
                continue
            try:
                os.setxattr(file, name, value, follow_symlinks=isinstance(file, int))
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                    raise
                self.note(
                    f"extended attributes {name} are left out, because the file system does not support them",
                    f"/{entry.path}",
                )
