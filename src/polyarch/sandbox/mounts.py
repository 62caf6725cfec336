"""Mounts as values, which can be printed, sorted and compared; only `perform` calls the kernel.

`Bind`, `Tmpfs` and `File` are the mounts that a process may have (`Mount`; `spec.py` writes them for the runtime). The
sandbox itself mounts `Bind`, `Tmpfs` and `overlay.Overlay` in its own mount namespace.
"""

import os
from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.sandbox import syscalls
from polyarch.secret import SecretBytes


class Bind(msgspec.Struct, frozen=True, tag=True):
    """A file or directory of this machine, with everything mounted below it, that also appears at `target`."""

    source: str
    target: str
    read_only: bool = False

    def describe(self) -> str:
        """Return the mount as text."""
        return f"bind {self.source} on {self.target}{' (read-only)' if self.read_only else ''}"

    def perform(self) -> None:
        """Mount it. Needs Linux 5.12 (mount_setattr). Raises OSError."""
        tree = syscalls.open_tree(self.source, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
        try:
            if self.read_only:
                # A read-only remount after the bind would affect only the top mount, and not at once.
                syscalls.make_read_only(tree)
            syscalls.move_mount(tree, self.target)
        finally:
            os.close(tree)


class Tmpfs(msgspec.Struct, frozen=True, tag=True):
    """An empty directory in memory. `size` is in bytes, 0 for the kernel's default, half of the memory.

    With `like_hidden`, it has the mode of the directory below it, or `mode` if there is none. `further` are options of
    a container's mount, such as noexec.
    """

    target: str
    size: int = 0
    mode: int = 0o1777
    read_only: bool = False
    like_hidden: bool = False
    further: tuple[str, ...] = ()

    def options(self) -> list[str]:
        """Return the mount options of size and mode."""
        return [f"mode={self.mode:o}", *([f"size={self.size}"] if self.size else [])]

    def describe(self) -> str:
        """Return the mount as text."""
        return f"tmpfs on {self.target} ({','.join([*self.options(), *(['ro'] if self.read_only else [])])})"

    def perform(self) -> None:
        """Mount it. Raises OSError."""
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_RDONLY if self.read_only else 0)
        syscalls.mount("tmpfs", self.target, "tmpfs", flags, ",".join(self.options()))


class File(msgspec.Struct, frozen=True, tag=True):
    """A file with this content at `target`, kept in memory: /etc/hosts, a secret, the script of a heredoc."""

    target: str
    content: bytes | SecretBytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    read_only: bool = False

    def describe(self) -> str:
        """Return the mount as text, without the content, which may be a secret."""
        return f"file of {len(self.content)} bytes on {self.target} (mode={self.mode:o})"


Mount = Bind | Tmpfs | File


class _Mounted(Protocol):
    """Any mount, as far as `plan` needs it."""

    @property
    def target(self) -> str: ...

    def describe(self) -> str: ...


AnyMount = TypeVar("AnyMount", bound="_Mounted")


def plan(mounts: Iterable[AnyMount]) -> tuple[AnyMount, ...]:
    """Return the mounts in the order of mounting: of several with the same target only the last, and parents first.

    Mounts that are not parent and child keep their order. Raises UnsupportedError for a target that is the root itself,
    because a mount there would hide the root filesystem.
    """
    last: dict[str, AnyMount] = {}
    for mount in mounts:
        target = os.path.normpath("/" + mount.target.lstrip("/"))
        if target == "/":
            raise UnsupportedError(f"cannot mount over the root of the container: {mount.describe()}")
        last.pop(target, None)
        last[target] = mount
    return tuple(last[target] for target in sorted(last, key=lambda target: target.count("/")))
