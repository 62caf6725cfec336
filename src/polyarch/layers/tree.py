"""The flattened image, from the listings of its layers alone: what a container would see, with nothing unpacked.

Whiteouts and opaque markers are applied to the layers below, hard links are followed to their bytes, an entry whose
parent is a symbolic link of a layer below lands where the link leads, as containerd and umoci unpack it (Debian's /lib
is a link, and many layers speak of lib/…).
"""

from collections.abc import Iterator, Sequence

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers import whiteouts
from polyarch.layers.entry import Entry, parent_of, plain
from polyarch.layers.listing import Listed, Listing
from polyarch.layers.resolve import resolve

_ROOT = Listed(path="", kind="directory", mode=0o755)


class Node(msgspec.Struct, frozen=True, gc=False):
    """One path of the image. `entry` has its path and what is there; a hard link has become a file.

    `source` is the entry of layer `layer` that has its bytes. Two nodes of one `layer` and `source` are names of one
    file. `layer` is an index into the listings, -1 for a directory that no layer lists.
    """

    entry: Entry
    source: Listed
    layer: int


class Tree:
    """The flattened image of `listings`, lowest first. It does not change once it is built.

    Raises CorruptError where a layer contradicts itself: a file below a file, a hard link to nothing.
    """

    def __init__(self, listings: Sequence[Listing]) -> None:
        self._listings = tuple(listings)
        self._nodes: dict[str, Node] = {"": Node(_ROOT, _ROOT, -1)}
        self._below: dict[str, set[str]] = {}
        for index, listing in enumerate(self._listings):
            # What this layer has put there so far: its whiteouts, wherever they stand, speak of the rest only.
            self._own: set[str] = set()
            for entry in listing.entries:
                self._add(entry, index)
        self._own = set()

    def lookup(self, path: str) -> Node | None:
        """What is at `path`, no symbolic link followed."""
        return self._nodes.get(path)

    def resolve(self, path: str, follow_last: bool = True) -> str:
        """Where `path` leads inside the image; what is not there is kept. Raises ConflictError for a circle."""
        return resolve(path, self._look, follow_last)

    def children(self, path: str) -> list[str]:
        """The paths of what is in a directory, sorted; no symbolic link followed."""
        return sorted(self._below.get(path, ()))

    def walk(self, path: str = "") -> Iterator[Node]:
        """What is at `path` and below, each directory before what is in it, names sorted."""
        pending = [path] if path in self._nodes else []
        while pending:
            path = pending.pop()
            yield self._nodes[path]
            if path in self._below:
                pending.extend(sorted(self._below[path], reverse=True))

    def _look(self, path: str) -> Entry | None:
        node = self._nodes.get(path)
        return None if node is None else node.entry

    def _put(self, path: str, node: Node) -> None:
        if path and path not in self._nodes:
            self._below.setdefault(parent_of(path), set()).add(path)
        self._nodes[path] = node
        self._own.add(path)

    def _prune(self, path: str) -> None:
        """Take away what is at `path` and below, but for what this layer has put there, and its parents."""
        if path not in self._nodes:
            return
        found = [path]
        for here in found:
            found.extend(self._below.get(here, ()))
        for here in reversed(found):
            if here not in self._own and not self._below.get(here):
                del self._nodes[here]
                self._below[parent_of(here)].discard(here)

    def _empty(self, path: str) -> None:
        """Take away all that is below `path`."""
        pending = list(self._below.pop(path, ()))
        while pending:
            below = pending.pop()
            del self._nodes[below]
            self._own.discard(below)
            pending.extend(self._below.pop(below, ()))

    def _whiteout(self, path: str) -> bool:
        """Take `path` as a whiteout, if it is one."""
        if whiteouts.is_whiteout(path):
            path = self._settle(whiteouts.deleted(path))
            if not path:
                raise CorruptError("a layer deletes the root")
            self._prune(path)
        elif whiteouts.is_opaque_marker(path):
            directory = parent_of(self._settle(path))
            whiteouts.check_opaque(path, directory)
            for below in list(self._below.get(directory, ())):
                self._prune(below)
        else:
            return whiteouts.is_bookkeeping(path)
        return True

    def _add(self, entry: Listed, layer: int) -> None:
        path = entry.path
        if whiteouts.PREFIX in path and self._whiteout(path):
            return
        path = self._settle(path)
        if entry.kind == "hardlink":
            node = self._linked(entry, path)
        else:
            node = Node(entry if path == entry.path else plain(entry, path=path), entry, layer)
        if node.entry.kind != "directory":
            if not path:
                raise CorruptError("a layer makes something else of the root than a directory")
            self._empty(path)
        self._put(path, node)

    def _settle(self, path: str) -> str:
        """The path with links in its parents followed; parents that no layer has are made."""
        known = self._nodes.get(parent_of(path))
        if known is not None and known.entry.kind == "directory":
            return path
        path = resolve(path, self._look, follow_last=False)
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            node = self._nodes.get(parent)
            if node is None:
                made = Listed(path=parent, kind="directory", mode=0o755)
                self._put(parent, Node(made, made, -1))
                # It is there for what is in it only, and goes with that.
                self._own.discard(parent)
            elif node.entry.kind != "directory":
                raise CorruptError(f"a layer puts {path} below {parent}, which is no directory")
        return path

    def _linked(self, entry: Listed, path: str) -> Node:
        link = self.resolve(entry.link, follow_last=False)
        target = self._nodes.get(link)
        # One that names itself, or what is below it, would remove its target by being made.
        if (link + "/").startswith(path + "/") or target is None or target.entry.kind == "directory":
            raise CorruptError(f"{entry.path} is a hard link to {entry.link}, which is no file of the image")
        return Node(plain(target.entry, path=path), target.source, target.layer)
