"""Mounts as values, which are printed, ordered and reduced as data; only `perform` calls the kernel.

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
    """A file or directory of this machine, with all that is mounted below it, seen at `target` too."""

    source: str
    target: str
    read_only: bool = False

    def describe(self) -> str:
        return f"bind {self.source} on {self.target}{' (read-only)' if self.read_only else ''}"

    def perform(self) -> None:
        """Needs Linux 5.12 (mount_setattr). Raises OSError."""
        tree = syscalls.open_tree(self.source, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
        try:
            if self.read_only:
                # A read-only remount after the bind would reach the top mount alone, and leave a moment between.
                syscalls.make_read_only(tree)
            syscalls.move_mount(tree, self.target)
        finally:
            os.close(tree)


class Tmpfs(msgspec.Struct, frozen=True, tag=True):
    """An empty directory in memory. `size` is in bytes, 0 for the kernel's default, half of the memory.

    With `like_hidden` it has the mode of the directory that it is mounted over, and `mode` only where there is none.
    """

    target: str
    size: int = 0
    mode: int = 0o1777
    read_only: bool = False
    like_hidden: bool = False

    def options(self) -> list[str]:
        return [f"mode={self.mode:o}", *([f"size={self.size}"] if self.size else [])]

    def describe(self) -> str:
        return f"tmpfs on {self.target} ({','.join([*self.options(), *(['ro'] if self.read_only else [])])})"

    def perform(self) -> None:
        """Raises OSError."""
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_RDONLY if self.read_only else 0)
        syscalls.mount("tmpfs", self.target, "tmpfs", flags, ",".join(self.options()))


class File(msgspec.Struct, frozen=True, tag=True):
    """A file with this content at `target`, kept in memory: /etc/hosts, a secret, a heredoc's script."""

    target: str
    content: bytes | SecretBytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    read_only: bool = False

    def describe(self) -> str:
        # Never the content: it may be a secret.
        return f"file of {len(self.content)} bytes on {self.target} (mode={self.mode:o})"


Mount = Bind | Tmpfs | File


class _Mounted(Protocol):
    """Any mount: `plan` needs no more of it."""

    @property
    def target(self) -> str: ...

    def describe(self) -> str: ...


AnyMount = TypeVar("AnyMount", bound="_Mounted")


def plan(mounts: Iterable[AnyMount]) -> tuple[AnyMount, ...]:
    """The mounts in the order of performing: of two with one target the later, parents before children.

    Those that are not parent and child keep their order. Raises UnsupportedError for a target that is not a path
    below the root, because a mount over the root itself would hide what is to run.
    """
    last: dict[str, AnyMount] = {}
    for mount in mounts:
        target = os.path.normpath("/" + mount.target.lstrip("/"))
        if target == "/":
            raise UnsupportedError(f"cannot mount over the root of the container: {mount.describe()}")
        last.pop(target, None)
        last[target] = mount
    return tuple(last[target] for target in sorted(last, key=lambda target: target.count("/")))
