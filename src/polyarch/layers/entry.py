"""Entries: one member of a layer's tar as a value, and the location of its bytes.

A path is relative and has `/` between its parts, none of which is `.` or `..`; the root is "". Bytes that are not UTF-8
are kept as surrogate escapes, so that any name that Linux allows survives a round trip.
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

    `size` is in bytes, and 0 for everything but files. `link` is the text of a symbolic link, or the path of the file
    for which a hard link is another name. `xattrs` are sorted by name.
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
    """A file of this machine that must be the same as when `stamp` was taken.

    `tell` is called with the SHA-256 (hexadecimal) of its bytes by the reader of the file, when all have been read.
    """

    path: str
    stamp: Stamp
    tell: Callable[[str], None] | None = None


# The location of a file's bytes: a path of this machine, the bytes themselves, or a function that opens a reader.
Content = str | bytes | LocalFile | Callable[[], BlobReader]
Item = tuple[Entry, Content | None]


def plain(entry: Entry, **changes: object) -> Entry:
    """The entry without the fields of subclasses for its place in a tar, and with these fields changed."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    return Entry(**(fields | changes))


def clean(name: str) -> str:
    """The path that a tar's `name` means: without leading `/`, without empty and `.` parts.

    Every peer removes those. Raises CorruptError for `..`: no builder writes it, and its meaning would depend on what
    is on the disk.
    """
    # tar(1) puts "./" before every name.
    path = name.removeprefix("./")
    if path and path[0] not in "./" and path[-1] != "/" and "/." not in path and "//" not in path:
        return path
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
    """The kind of file of a st_mode; None for a socket, which a tar cannot hold."""
    for test, kind in _KINDS:
        if test(mode):
            return kind
    return None


def parent_of(path: str) -> str:
    """The path of the directory that `path` is in; "" for those in the root."""
    return path.rpartition("/")[0]


def order(path: str) -> str:
    """A key that sorts paths in the order of a walk: a directory, everything below it, its next sibling."""
    return path.replace("/", "\0")
