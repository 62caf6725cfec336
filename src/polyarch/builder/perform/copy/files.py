"""Trees of files to copy from: heredocs, downloads and stages. They all implement `SourceFiles`, as contexts do."""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from polyarch.builder.perform.copy import placement
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.errors import NotFoundError
from polyarch.layers.entry import Content, Entry
from polyarch.oci import digest as digests

if TYPE_CHECKING:
    from polyarch.layers.tree import TreeNode

ROOT = Entry(path="", kind="directory", mode=0o755)


class SourceFiles(placement.SourceTree, Protocol):
    """A tree whose files can be read, and compared by content."""

    def content(self, path: str) -> Content:
        """The location of a file's bytes. Raises NotFoundError."""

    def fingerprint(self, path: str) -> str:
        """A text that changes if the bytes of the file change."""


class FlatFiles:
    """Files of which all entries are known, such as a heredoc's or a download's."""

    def __init__(
        self,
        entries: Iterable[Entry],
        content: Callable[[str], Content],
        fingerprint: Callable[[str], str],
    ) -> None:
        self._entries: dict[str, Entry] = {"": ROOT}
        self._names: dict[str, list[str]] = {"": []}
        self._content = content
        self._fingerprint = fingerprint
        self._inodes: dict[str, str] = {}
        for entry in entries:
            if entry.kind == "hardlink":
                self._inodes[entry.path] = self._inodes[entry.link] = entry.link
                entry = msgspec.structs.replace(self._entries[entry.link], path=entry.path)
            self._entries[entry.path] = entry
            if entry.path:
                parent, _, name = entry.path.rpartition("/")
                self._names.setdefault(parent, []).append(name)

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup.entry`."""
        return self._entries.get(path)

    def names(self, path: str) -> tuple[str, ...]:
        """Implements `SourceTree.names`."""
        return tuple(sorted(self._names.get(path, ())))

    def inode(self, path: str) -> str:
        """Implements `SourceTree.inode`."""
        return self._inodes.get(path, "")

    def content(self, path: str) -> Content:
        """Implements `SourceFiles.content`."""
        return self._content(self._inodes.get(path, path))

    def fingerprint(self, path: str) -> str:
        """Implements `SourceFiles.fingerprint`."""
        return self._fingerprint(self._inodes.get(path, path))


def inline(files: Sequence[tuple[str, str]], time: int = 0) -> FlatFiles:
    """The files of heredocs. As in BuildKit, they have mode 0644 and belong to root; their time is `time`."""
    contents = {name: text.encode("utf-8", "surrogateescape") for name, text in files}
    entries: list[Entry] = []
    for name, data in contents.items():
        entries.append(Entry(path=name, kind="file", mode=0o644, size=len(data), mtime=time))
    return FlatFiles(entries, contents.__getitem__, lambda path: digests.sha256(contents[path]))


class StageFiles:
    """The flattened file system of a stage or an image."""

    def __init__(self, filesystems: Filesystems, stack: Stack | None) -> None:
        self._filesystems = filesystems
        self._stack = stack
        self._tree = filesystems.tree(stack)

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup.entry`."""
        if not path:
            found = self._tree.lookup("")
            return found.entry if found is not None else ROOT
        node = self._tree.lookup(path)
        return None if node is None else node.entry

    def names(self, path: str) -> tuple[str, ...]:
        """Implements `SourceTree.names`."""
        return tuple(name_of(child) for child in self._tree.children(path))

    def inode(self, path: str) -> str:
        """Implements `SourceTree.inode`."""
        node = self._tree.lookup(path)
        return path if node is None else f"{node.layer} {node.source.path}"

    def content(self, path: str) -> Content:
        """Implements `SourceFiles.content`."""
        node = self._tree.lookup(path)
        if node is None:
            raise NotFoundError(f'"/{path}": not found')
        return self._filesystems.content(self._layer(node), node.source)

    def fingerprint(self, path: str) -> str:
        """Implements `SourceFiles.fingerprint` by the layer that the file is in and its path there."""
        node = self._tree.lookup(path)
        return "" if node is None else f"{self._layer(node).key} {node.source.path}"

    def text(self, path: str) -> str | None:
        """The content of a small text file, following symlinks; None if there is no file."""
        return self._filesystems.text(self._stack, path)

    def _layer(self, node: "TreeNode") -> Layer:
        assert self._stack is not None
        return self._stack.at(node.layer)


def name_of(path: str) -> str:
    """The last part of a path."""
    return posixpath.basename(path)
