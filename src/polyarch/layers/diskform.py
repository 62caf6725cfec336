"""The forms of a layer in a directory: merged with the layers below it, or as one layer of an overlay.

The lower and upper directories of an overlay mark deletions as the kernel does (overlayfs.rst): a character device
0:0 deletes its name, and the xattr `user.overlay.opaque` = `y` on a directory hides what the layers below have in it
(as mounted with `userxattr`).
"""

import os

from polyarch.layers.entry import Entry, parent_of
from polyarch.layers.rooted import RootedTree, name_of

OVERLAY_XATTRS = "user.overlay."
OPAQUE_XATTR = "user.overlay.opaque"
OPAQUE_VALUE = b"y"


class DiskForm:
    """A directory that also has the files of the layers below. What a layer deletes is removed from it."""

    name = "plain"
    merged = True

    def write_whiteout(self, tree: RootedTree, path: str) -> None:
        """Record that `path` of the layers below is deleted."""

    def hide_lower(self, tree: RootedTree, directory: str) -> None:
        """Record that nothing of the layers below is seen in `directory`, which exists."""

    def reserves(self, entry: Entry) -> bool:
        """Whether an entry like this would mean something else in this form, so that it cannot be stored."""
        return False


class _OverlayForm(DiskForm):
    """A directory that holds one layer only, to be mounted as a part of an overlay."""

    name = "overlay"
    merged = False

    def write_whiteout(self, tree: RootedTree, path: str) -> None:
        # A second whiteout of the same path finds the first.
        if tree.look(path) is None:
            os.mknod(name_of(path), 0o020000, os.makedev(0, 0), dir_fd=tree.directory(parent_of(path)))

    def hide_lower(self, tree: RootedTree, directory: str) -> None:
        os.setxattr(tree.directory(directory), OPAQUE_XATTR, OPAQUE_VALUE)

    def reserves(self, entry: Entry) -> bool:
        # overlayfs interprets it as a whiteout.
        return is_whiteout_device(entry)


PLAIN = DiskForm()
OVERLAY: DiskForm = _OverlayForm()


def is_whiteout_device(entry: Entry) -> bool:
    """Whether the entry, read from a directory of an overlay, deletes its name."""
    return entry.kind == "character" and entry.major == 0 and entry.minor == 0


def is_opaque(xattrs: tuple[tuple[str, bytes], ...]) -> bool:
    """Whether a directory with these xattrs, read from a directory of an overlay, hides the layers below."""
    return (OPAQUE_XATTR, OPAQUE_VALUE) in xattrs
