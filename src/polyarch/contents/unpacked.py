"""A layer in a directory, read as far as it is needed, and the flattened file system that it is on top of.

A RUN may leave a hundred thousand files of which a later COPY takes one: listing all of them would take longer than
some steps.
"""

import os
import struct
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import PolyarchError
from polyarch.layers import diskform, longpaths
from polyarch.layers.diff import changed, changes, read_upper_xattrs
from polyarch.layers.entry import Content, Entry, Item, LocalFile, kind_of, order, parent_of
from polyarch.layers.listing import ListedEntry, Listing, listed
from polyarch.layers.tree import Flattened, TreeNode
from polyarch.layers.walk import read_xattrs, walked
from polyarch.layers.whiteouts import PREFIX

if TYPE_CHECKING:
    from polyarch.layers.tree import Tree

# A program's capabilities, and attributes for programs to read.
_KEPT_XATTRS = ("security.capability", "user.")
# A file's stamp: device, inode, times of content and inode in nanoseconds, size.
_STAMP = struct.Struct("=QQqqq")
# Directories in each other: what is below is left to the listing, because `see` calls itself for each.
_DEEPEST = 100


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What a layer has at a path, and whether it hides what the layers below have there or below there."""

    entry: ListedEntry | None
    hides: bool


class UnclearError(Exception):
    """A path cannot be judged alone, only with the whole listing. Never leaves `UnpackedTree`."""


class UnpackedLayer:
    """The layer in the directory `root`, in overlay's form, which does not change. Safe from many threads.

    A RUN may leave very many files: the stamp of each is kept packed.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._listing: Listing | None = None
        self._seen: dict[str, Seen] = {}
        # The stamp of each file, and b"" for a whiteout.
        self._stamps: dict[str, bytes] = {}

    @property
    def is_listed(self) -> bool:
        """Whether the listing is known already."""
        return self._listing is not None

    @property
    def listing(self) -> Listing:
        """All entries, in the order of a tar. Raises as `changes` does."""
        with self._lock:
            if self._listing is None:
                entries = [self._noted(item) for item in changes(self._root)]
                entries.sort(key=lambda entry: order(entry.path))
                self._listing = Listing(entries=tuple(entries), size=0)
            return self._listing

    def content(self, entry: Entry) -> Content | None:
        """The location of the bytes of an entry that was seen here; None if it has none."""
        stamp = self._stamps.get(entry.path)
        return LocalFile(f"{self._root}/{entry.path}", _STAMP.unpack(stamp)) if stamp else stamp

    def see(self, path: str) -> Seen:
        """What is at one path. Raises UnclearError for a name of several of a file, and for other rare cases;
        PolyarchError for what cannot be read.
        """
        known = self._seen.get(path)
        if known is None:
            known = self._seen[path] = self._look(path)
        return known

    def names(self, path: str) -> Collection[str]:
        """The paths that the layer has or deletes in a directory. Raises as `see` does."""
        if not self._is_directory(path):
            return ()
        prefix = f"{path}/" if path else ""
        try:
            names = os.listdir(self._full(path))
        except OSError as error:
            raise self._unreadable(path, error) from error
        return [prefix + name for name in names]

    def _look(self, path: str) -> Seen:
        if not path:
            return Seen(None, diskform.is_opaque(read_upper_xattrs(self._root)))
        if path.count("/") >= _DEEPEST:
            raise UnclearError
        above = self.see(parent_of(path))
        name = path.rpartition("/")[2]
        # What `resolve` leaves has none of these names, which would lead out of the directory.
        if not self._is_directory(parent_of(path)) or name in ("", ".", "..") or "\0" in name:
            return Seen(None, above.hides)
        if name.startswith(PREFIX):
            raise UnclearError
        full = self._full(path)
        try:
            status = os.lstat(full)
            kind = kind_of(status.st_mode)
            if kind is None:
                return Seen(None, above.hides)
            if kind == "character" and status.st_rdev == 0:
                return Seen(None, True)
            if status.st_nlink > 1 and kind != "directory":
                raise UnclearError
            link = os.readlink(full) if kind == "symlink" else ""
            found = walked(path, full, status, kind, status.st_size if kind == "file" else 0, link, read_xattrs(full))
        except FileNotFoundError:
            return Seen(None, above.hides)
        except OSError as error:
            raise self._unreadable(path, error) from error
        hides = above.hides or kind != "directory" or diskform.is_opaque(found.entry.xattrs)
        return Seen(self._noted(changed(found)), hides)

    def _is_directory(self, path: str) -> bool:
        if not path:
            return True
        entry = self.see(path).entry
        return entry is not None and entry.kind == "directory"

    def _full(self, path: str) -> str:
        full = f"{self._root}/{path}"
        if len(full) > longpaths.SAFE:
            raise UnclearError
        return full

    def _unreadable(self, path: str, error: OSError) -> PolyarchError:
        return PolyarchError(f"{self._root}/{path} cannot be read: {error.strerror}")

    def _noted(self, item: Item) -> ListedEntry:
        """The entry as in a layer, without the attributes of this machine's security modules; its stamp is kept."""
        entry, content = item
        if isinstance(content, LocalFile):
            self._stamps[entry.path] = _STAMP.pack(*content.stamp)
        elif isinstance(content, bytes):
            self._stamps[entry.path] = content
        found = listed(entry, 0)
        if found.xattrs:
            kept = tuple(pair for pair in found.xattrs if pair[0].startswith(_KEPT_XATTRS))
            found = msgspec.structs.replace(found, xattrs=kept)
        return found


class UnpackedTree(Flattened):
    """The flattened file system of an unpacked layer on top of `below`, without a listing of the layer.

    Equal to the tree of all listings, which `whole` makes: that is used from the first path on that cannot be judged
    alone. It does not change, and is safe from many threads.
    """

    def __init__(self, layer: UnpackedLayer, below: Flattened, whole: "Callable[[], Tree]") -> None:
        self.count = below.count + 1
        self.depth = below.depth + 1
        self._layer = layer
        self._below = below
        self._whole = whole
        self._tree: Tree | None = None

    def lookup(self, path: str) -> TreeNode | None:
        """Implements `Flattened.lookup`."""
        if self._tree is None:
            try:
                seen = self._layer.see(path)
            except UnclearError:
                self._tree = self._whole()
            else:
                if seen.entry is not None:
                    return TreeNode(seen.entry, seen.entry, self.count - 1)
                return None if seen.hides and path else self._below.lookup(path)
        return self._tree.lookup(path)

    def names(self, path: str) -> Collection[str]:
        """Implements `Flattened.names`."""
        if self._tree is None:
            try:
                own = self._layer.names(path)
                found = {name for name in own if self._layer.see(name).entry is not None}
                if not self._layer.see(path).hides:
                    found.update(name for name in self._below.names(path) if not self._layer.see(name).hides)
            except UnclearError:
                self._tree = self._whole()
            else:
                return found
        return self._tree.names(path)
