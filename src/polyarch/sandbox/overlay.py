"""Mounting an overlay with any number of lower layers.

Layers are named as /proc/self/fd/N. The options of mount(2) are limited to one page, which does not hold 128 paths of a
store, and values of fsconfig(2) to 255 bytes. Such names also need no escaping of colons, commas and backslashes, which
differs between the two calls and between kernel versions.
"""

import errno
import os

import msgspec

from polyarch.errors import MachineError, PolyarchError, UnsupportedError
from polyarch.sandbox import syscalls


class Overlay(msgspec.Struct, frozen=True, tag=True):
    """The union of `lowers`, lowest first, and of `upper`, which receives the changes. Up to 500 lowers.

    If `volatile`, the kernel syncs nothing that is written to `upper`: neither if a program asks for it, nor when it
    copies a file up from a lower layer, after which it otherwise syncs the copy.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str
    target: str
    volatile: bool = False

    def describe(self) -> str:
        """Return the mount as text."""
        return f"overlay of {len(self.lowers)} layers and {self.upper} on {self.target}"

    def perform(self) -> None:
        """Mount it.

        Raises PolyarchError; UnsupportedError if overlay does not work in user namespaces (before 5.11).
        """
        _mount(self)


def _mount(overlay: Overlay) -> None:
    opened: list[int] = []
    # The kernel refuses the same directory twice (ELOOP). The lower occurrence of a layer has no effect: the upper
    # one has the same names.
    layers = tuple(dict.fromkeys(reversed(overlay.lowers)))[::-1]
    try:
        # If opening one fails, `extend` has kept those opened before.
        opened.extend(os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (*layers, overlay.upper, overlay.work))
        names = [f"/proc/self/fd/{descriptor}" for descriptor in opened]
        # overlay lists the topmost layer first.
        lowers, upper, work = names[-3::-1], names[-2], names[-1]
        try:
            _mount_with_contexts(lowers, upper, work, overlay)
        except OSError as error:
            # lowerdir+ needs Linux 6.8, fsopen 5.2.
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            _mount_with_options(lowers, upper, work, overlay)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENODEV):
            raise MachineError(
                f"cannot mount an overlay in a user namespace: {error.strerror}",
                "this needs Linux 5.11 or later with overlayfs, and a store on ext4, xfs, btrfs or tmpfs",
            ) from error
        if error.errno == errno.EINVAL:
            raise MachineError(
                f"the file system of {overlay.upper} cannot store the changes of an overlay",
                "keep the store on ext4, xfs, btrfs or tmpfs; not on overlay itself, NFS or FUSE",
            ) from error
        raise PolyarchError(f"cannot mount the layers: {error.strerror}: {error.filename}") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _mount_with_contexts(lowers: list[str], upper: str, work: str, overlay: Overlay) -> None:
    context = syscalls.fsopen("overlay")
    try:
        syscalls.fsconfig_string(context, "source", "polyarch")
        # trusted.overlay.* cannot be written in a user namespace; since Linux 5.11, user.overlay.* replaces it.
        syscalls.fsconfig_flag(context, "userxattr")
        if overlay.volatile:
            syscalls.fsconfig_flag(context, "volatile")
        for lower in lowers:
            syscalls.fsconfig_string(context, "lowerdir+", lower)
        syscalls.fsconfig_string(context, "upperdir", upper)
        syscalls.fsconfig_string(context, "workdir", work)
        tree = syscalls.fsmount(context, overlay.target)
    finally:
        os.close(context)
    try:
        syscalls.move_mount(tree, overlay.target)
    finally:
        os.close(tree)


def _mount_with_options(lowers: list[str], upper: str, work: str, overlay: Overlay) -> None:
    flags = "userxattr,volatile" if overlay.volatile else "userxattr"
    options = f"{flags},lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"
    if len(options) >= os.sysconf("SC_PAGE_SIZE"):
        raise UnsupportedError(f"{len(lowers)} layers are too many for this kernel", "Linux 6.8 or later supports 500")
    syscalls.mount("polyarch", overlay.target, "overlay", 0, options)
