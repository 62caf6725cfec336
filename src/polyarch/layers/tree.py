"""The flattened image: what a container would see, from the listings of its layers, without unpacking anything.

Whiteouts and opaque markers are applied to the layers below, and hard links are followed to their bytes. If the parent
of an entry is a symbolic link of a layer below, the entry is where the link leads, as containerd and umoci unpack it
(Debian's /lib is a link, and many layers have entries in lib/).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers import whiteouts
from polyarch.layers.entry import Entry, order, parent_of, plain
from polyarch.layers.listing import ListedEntry, Listing
from polyarch.layers.resolve import resolve

_ROOT = ListedEntry(path="", kind="directory", mode=0o755)


class TreeNode(msgspec.Struct, frozen=True, gc=False):
    """One path of the image. `entry` is the entry at this path; a hard link is shown as a file.

    `source` is the entry of layer `layer` that has its bytes. Two nodes with the same `layer` and `source` are names of
    one file. `layer` is an index into the listings, -1 for a directory that no layer lists.
    """

    entry: Entry
    source: ListedEntry
    layer: int


class _TreePart:
    """The entries of some consecutive layers: paths, with None for a deleted one, and names in directories.

    A finished part no longer changes.
    """

    __slots__ = ("below", "deletes", "nodes")

    def __init__(self) -> None:
        self.nodes: dict[str, TreeNode | None] = {}
        self.below: dict[str, set[str]] = {}
        self.deletes = False


class Flattened(ABC):
    """A flattened image, however it knows its layers. `count` is their number.

    `depth` is the number of trees below it that its lookups go through.
    """

    count: int
    depth: int

    @abstractmethod
    def lookup(self, path: str) -> TreeNode | None:
        """The node at `path`; symbolic links are not followed. None if there is none."""

    @abstractmethod
    def names(self, path: str) -> Collection[str]:
        """The paths in a directory, unordered; empty for anything else."""

    def resolve(self, path: str, follow_last: bool = True) -> str:
        """The path that `path` leads to inside the image. Parts that do not exist are kept. Raises ConflictError."""
        return resolve(path, self._look, follow_last)

    def children(self, path: str) -> list[str]:
        """The paths in a directory, sorted; symbolic links are not followed."""
        return sorted(self.names(path))

    def walk(self, path: str = "") -> Iterator[TreeNode]:
        """The nodes at `path` and below, each directory before its content, names sorted."""
        pending = [path] if self.lookup(path) is not None else []
        while pending:
            path = pending.pop()
            node = self.lookup(path)
            assert node is not None, path
            yield node
            if names := self.names(path):
                pending.extend(sorted(names, reverse=True))

    def _look(self, path: str) -> Entry | None:
        node = self.lookup(path)
        return None if node is None else node.entry


class Tree(Flattened):
    """The flattened image of `listings`, lowest first, on top of `below`. It does not change once it is built.

    `with_layer` returns the tree with one more layer. Both share their parts, so that the cost of a layer depends on
    its own size only, also with thousands of layers.

    Raises CorruptError if a layer contradicts itself: a file below a file, a hard link to nothing.
    """

    def __init__(self, listings: Sequence[Listing] = (), below: Flattened | None = None) -> None:
        bottom = _TreePart()
        if below is None:
            bottom.nodes[""] = TreeNode(_ROOT, _ROOT, -1)
        self._below = below
        self.count, self.depth = (0, 0) if below is None else (below.count, below.depth + 1)
        # The topmost part first. Each is at least twice as large as the one above it, so there are few.
        self._parts: tuple[_TreePart, ...] = (bottom,)
        for listing in listings:
            self._put_on_top(listing)

    def with_layer(self, listing: Listing) -> "Tree":
        """The tree of the same layers and this one on top. Raises as the constructor does."""
        tree = Tree.__new__(Tree)
        tree._below, tree._parts, tree.count, tree.depth = self._below, self._parts, self.count, self.depth
        tree._put_on_top(listing)
        return tree

    def lookup(self, path: str) -> TreeNode | None:
        """Implements `Flattened.lookup`."""
        for part in self._parts:
            if path in part.nodes:
                return part.nodes[path]
        return None if self._below is None else self._below.lookup(path)

    def names(self, path: str) -> Collection[str]:
        """Implements `Flattened.names`."""
        parts = self._parts
        if len(parts) == 1 and not parts[0].deletes and self._below is None:
            return parts[0].below.get(path, ())
        found: list[Collection[str]] = [part.below[path] for part in parts if path in part.below]
        if self._below is not None and (names := self._below.names(path)):
            found.append(names)
        if not found:
            return ()
        return [name for name in (found[0] if len(found) == 1 else set().union(*found)) if self.lookup(name)]

    def select(self, wanted: Callable[[TreeNode], bool]) -> list[TreeNode]:
        """The nodes that are `wanted`, in the order of `walk`, which would take longer. Only where nothing is below."""
        assert self._below is None
        found: list[TreeNode] = []
        for number, part in enumerate(self._parts):
            above = [upper.nodes for upper in self._parts[:number]]
            for path, node in part.nodes.items():
                if node is not None and wanted(node) and not any(path in nodes for nodes in above):
                    found.append(node)
        return sorted(found, key=lambda node: order(node.entry.path))

    def _may_have_names(self, path: str) -> bool:
        for part in self._parts:
            if path in part.below:
                return True
        node = None if self._below is None else self._below.lookup(path)
        return node is not None and node.entry.kind == "directory"

    # ── building

    def _put_on_top(self, listing: Listing) -> None:
        top = _TreePart()
        self._parts = (top, *self._parts)
        # The paths of this layer so far. Its whiteouts, at whatever position, apply to all others.
        self._own: set[str] = set()
        for entry in listing.entries:
            self._add(entry, self.count)
        del self._own
        self.count += 1
        while len(self._parts) > 1 and len(self._parts[1].nodes) < 2 * len(self._parts[0].nodes):
            upper, lower, *rest = self._parts
            self._parts = (_merged(upper, lower, lowest=not rest and self._below is None), *rest)

    def _put(self, path: str, node: TreeNode) -> None:
        top = self._parts[0]
        if path:
            parent = parent_of(path)
            names = top.below.get(parent)
            if names is None:
                top.below[parent] = {path}
            else:
                names.add(path)
        top.nodes[path] = node
        self._own.add(path)

    def _delete(self, path: str) -> None:
        top = self._parts[0]
        top.nodes[path] = None
        top.deletes = True
        self._own.discard(path)

    def _prune(self, path: str) -> None:
        """Remove what is at `path` and below, except for the entries of this layer and their parents."""
        if self.lookup(path) is None:
            return
        found = [path]
        for here in found:
            found.extend(self.names(here))
        for here in reversed(found):
            if here not in self._own and not self.names(here):
                self._delete(here)

    def _empty(self, path: str) -> None:
        """Remove everything below `path`."""
        pending = list(self.names(path))
        while pending:
            below = pending.pop()
            pending.extend(self.names(below))
            self._delete(below)

    def _whiteout(self, path: str) -> bool:
        """Apply `path` if it is a whiteout. Returns whether it is one."""
        if whiteouts.is_whiteout(path):
            path = self._settle(whiteouts.deleted(path))
            if not path:
                raise CorruptError("a layer deletes the root")
            self._prune(path)
        elif whiteouts.is_opaque_marker(path):
            directory = parent_of(self._settle(path))
            whiteouts.check_opaque(path, directory)
            for below in list(self.names(directory)):
                self._prune(below)
        else:
            return whiteouts.is_bookkeeping(path)
        return True

    def _add(self, entry: ListedEntry, layer: int) -> None:
        path = entry.path
        if whiteouts.PREFIX in path and self._whiteout(path):
            return
        path = self._settle(path)
        if entry.kind == "hardlink":
            node = self._linked(entry, path)
        else:
            node = TreeNode(entry if path == entry.path else plain(entry, path=path), entry, layer)
        if node.entry.kind != "directory":
            if not path:
                raise CorruptError("a layer replaces the root directory with something else")
            # Most files replace no directory, and a base has thousands of them.
            if self._may_have_names(path):
                self._empty(path)
        self._put(path, node)

    def _settle(self, path: str) -> str:
        """The path with links in its parents followed. Parents that no layer has are added."""
        known = self.lookup(parent_of(path))
        if known is not None and known.entry.kind == "directory":
            return path
        path = resolve(path, self._look, follow_last=False)
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            node = self.lookup(parent)
            if node is None:
                made = ListedEntry(path=parent, kind="directory", mode=0o755)
                self._put(parent, TreeNode(made, made, -1))
                # It exists for its content only, and is removed with it.
                self._own.discard(parent)
            elif node.entry.kind != "directory":
                raise CorruptError(f"a layer puts {path} below {parent}, which is not a directory")
        return path

    def _linked(self, entry: ListedEntry, path: str) -> TreeNode:
        link = self.resolve(entry.link, follow_last=False)
        target = self.lookup(link)
        # A link that names itself, or something below itself, would remove its target.
        if (link + "/").startswith(path + "/") or target is None or target.entry.kind == "directory":
            raise CorruptError(f"{entry.path} is a hard link to {entry.link}, which is not a file of the image")
        return TreeNode(plain(target.entry, path=path), target.source, target.layer)


def _merged(upper: _TreePart, lower: _TreePart, *, lowest: bool) -> _TreePart:
    """Both parts as one. Below the `lowest` part there is nothing to delete."""
    part = _TreePart()
    part.nodes = {**lower.nodes, **upper.nodes}
    part.below = {**lower.below, **upper.below}
    for path in lower.below.keys() & upper.below.keys():
        part.below[path] = lower.below[path] | upper.below[path]
    part.deletes = lower.deletes or upper.deletes
    if lowest and part.deletes:
        part.nodes = {path: node for path, node in part.nodes.items() if node is not None}
        part.below = {
            directory: kept
            for directory, names in part.below.items()
            if (kept := {name for name in names if name in part.nodes})
        }
        part.deletes = False
    return part
