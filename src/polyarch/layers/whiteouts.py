"""Whiteouts: how the tar of a layer deletes files of the layers below (image-spec, layer.md, "Whiteouts", from AUFS).

An empty file `.wh.NAME` deletes NAME; `.wh..wh..opq` hides everything that the layers below have in its directory. A
whiteout applies to the layers below only, at whatever position in the tar. `diskform` has the same for directories.
"""

from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry, parent_of

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
# AUFS's own bookkeeping (`.wh..wh.plnk`, `.wh..wh.aufs`), which old builders left in layers. Peers ignore it.
_META = ".wh..wh."


def is_opaque_marker(path: str) -> bool:
    """Whether the entry hides what the layers below have in its directory."""
    return path.rpartition("/")[2] == OPAQUE


def is_bookkeeping(path: str) -> bool:
    """Whether the entry is bookkeeping of AUFS, which is ignored."""
    return any(part.startswith(_META) for part in path.split("/")) and not is_opaque_marker(path)


def is_whiteout(path: str) -> bool:
    """Whether the entry deletes a name of the layers below."""
    name = path.rpartition("/")[2]
    return name.startswith(PREFIX) and not name.startswith(_META)


def deleted(path: str) -> str:
    """The path that a whiteout deletes."""
    parent, _, name = path.rpartition("/")
    target = name.removeprefix(PREFIX)
    return f"{parent}/{target}" if parent else target


def whiteout(path: str, mtime: int = 0) -> Entry:
    """The entry that deletes `path`."""
    parent, _, name = path.rpartition("/")
    return Entry(path=f"{parent}/{PREFIX}{name}" if parent else PREFIX + name, kind="file", mode=0o644, mtime=mtime)


def opaque_marker(directory: str, mtime: int = 0) -> Entry:
    """The entry that hides what the layers below have in `directory`."""
    return Entry(path=f"{directory}/{OPAQUE}" if directory else OPAQUE, kind="file", mode=0o644, mtime=mtime)


def check_opaque(marker: str, directory: str) -> None:
    """Raise CorruptError for an opaque marker that would hide the whole root through a link.

    overlayfs has no opaque root. One without a link is known from the listing, by its name, before mounting.
    """
    if not directory and parent_of(marker):
        raise CorruptError(f"a layer hides the whole image by {marker}, through a link")
