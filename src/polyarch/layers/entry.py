"""Entries: one member of a layer's tar, as a value, and what its bytes come from.

A path is relative, `/` between its parts, no `.` or `..` among them; the root is "". Bytes that are not UTF-8 are
kept as surrogate escapes, so that any name that Linux can hold lives through a round trip.
"""

import stat
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci.place import BlobReader

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]

# (st_dev, st_ino, st_mtime_ns, st_ctime_ns, st_size): while it stays the same, so do the file's bytes.
Stamp = tuple[int, int, int, int, int]


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One member of a tar. `mode` has the twelve permission bits, `mtime` is in seconds.

    `size` is in bytes and 0 for all but files. `link` is a symbolic link's text, or the path of the file that a hard
    link is another name of. `xattrs` are sorted by name.
    """

    path: str
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    major: int = 0
    minor: int = 0


class LocalFile(msgspec.Struct, frozen=True, gc=False):
    """A file of this machine that must still be what it was when `stamp` was taken.

    `tell` is given the SHA-256 of its bytes (hexadecimal) when they have been read, by who reads them anyway.
    """

    path: str
    stamp: Stamp
    tell: Callable[[str], None] | None = None


# Where a file's bytes are: a path of this machine, the bytes themselves, or what opens a reader of them.
Content = str | bytes | LocalFile | Callable[[], BlobReader]
Item = tuple[Entry, Content | None]


def plain(entry: Entry, **changes: object) -> Entry:
    """The entry without what a subclass knows of its place in a tar, and with these fields changed."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    return Entry(**(fields | changes))


def clean(name: str) -> str:
    """The path that a tar's `name` stands for: without leading `/`, without empty and `.` parts.

    Every peer strips those. `..` is refused (CorruptError): no builder writes it, and what it would name depends on
    what lies on the disk.
    """
    if name and name[0] not in "./" and name[-1] != "/" and "/." not in name and "//" not in name:
        return name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise CorruptError(
            f"a layer has an entry {name!r}, whose name leads out of the image", "the layer was not used"
        )
    return "/".join(parts)


_KINDS: tuple[tuple[Callable[[int], bool], Kind], ...] = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISCHR, "character"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISFIFO, "fifo"),
)


def kind_of(mode: int) -> Kind | None:
    """The kind that a st_mode says; None for a socket, which no tar can hold."""
    for test, kind in _KINDS:
        if test(mode):
            return kind
    return None


def parent_of(path: str) -> str:
    """The path of the directory that `path` is in; "" for those in the root."""
    return path.rpartition("/")[0]


def order(path: str) -> str:
    """The key that sorts paths as a walk meets them: a directory, all that is below it, its next sibling."""
    return path.replace("/", "\0")
