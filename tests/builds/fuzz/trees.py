"""What a build made, as plain values: the config, the history, and what each layer changes in the tree below it.

A layer may say one thing in several ways (a deletion for each file or one that hides all; a file again that is there
already). So layers are applied, and the trees compared.
"""

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.builds.cases import escaped
from tests.builds.images import KINDS

# What a recipe's own files have for a time lies before this. Everything later is the time of the build.
_BUILT = 1_500_000_000
_SHOWN = 60
_LARGE = 100_000


class Node(NamedTuple):
    """A path of a tree. time: seconds, or -1 for the time of the build. twins: the other names of the same file."""

    kind: str
    mode: int
    uid: int
    gid: int
    time: int
    content: str = ""
    twins: tuple[str, ...] = ()

    def line(self, path: str) -> str:
        """As the cases write it, with the time and the other names behind it."""
        sign = {"symlink": " -> ", "file": " = " if self.content else ""}.get(self.kind, f" ({self.kind})")
        shown = escaped(path) + ("/" if self.kind == "directory" else "")
        sign = "" if self.kind == "directory" else sign
        time = "now" if self.time < 0 else self.time
        twins = f" also {' '.join(self.twins)}" if self.twins else ""
        return f"{self.mode:04o} {self.uid}:{self.gid} {shown}{sign}{self.content} @{time}{twins}"


# What a layer changes: what a path has become, or None where it is gone.
Changes = dict[str, Node | None]


# The large layers that have been read, by their digests.
_known: dict[str, tuple["_Entry", ...]] = {}


class Seen(NamedTuple):
    """An image. changes: of each layer, by path."""

    config: dict[str, Any]
    history: tuple[str, ...]
    changes: tuple[Changes, ...]


class _Entry(NamedTuple):
    path: str
    node: Node
    link: str


def seen(layout: Path, digest: str) -> Seen:
    """The image of a layout."""
    manifest = json.loads(_blob(layout, digest))
    config = json.loads(_blob(layout, manifest["config"]["digest"]))
    history = tuple(
        ("- " if line.get("empty_layer") else "+ ")
        + line.get("created_by", "")
        # The tar of a base is in a directory of this machine.
        + (f" ({re.sub('(?<=^Imported from ).*/', '', line['comment'])})" if line.get("comment") else "")
        for line in config.get("history") or ()
    )
    kept = {"os": config["os"], "architecture": config["architecture"], **(config.get("config") or {})}
    layers = [_entries(layout, layer["digest"]) for layer in manifest["layers"] or ()]
    return Seen(kept, history, tuple(_changes(layers)))


def _blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def _changes(layers: list[tuple[_Entry, ...]]) -> Iterator[Changes]:
    """What each layer changes in the tree of the layers below it."""
    tree: dict[str, tuple[Node, int]] = {}
    numbers = iter(range(10**9))
    before: dict[str, Node] = {}
    for entries in layers:
        _apply(tree, entries, numbers)
        after = _with_twins(tree)
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        yield {path: after.get(path) for path in sorted(changed)}
        before = after


def _apply(tree: dict[str, tuple[Node, int]], entries: tuple[_Entry, ...], numbers: Iterator[int]) -> None:
    """One layer: first what it deletes, then what it brings. A number stands for each file, for its names to share."""
    for path, _, _ in entries:
        parent, name = posixpath.split(path)
        if name == ".wh..wh..opq":
            _remove(tree, parent)
        elif name.startswith(".wh."):
            gone = posixpath.join(parent, name.removeprefix(".wh."))
            _remove(tree, gone)
            tree.pop(gone, None)
    for path, node, link in entries:
        if posixpath.basename(path).startswith(".wh."):
            continue
        if node.kind == "hardlink":
            # A name for what is not there: no reader can unpack it.
            tree[path] = tree.get(link) or (node._replace(content=link), next(numbers))
            continue
        if node.kind != "directory" and path in tree:
            _remove(tree, path)
        tree[path] = (node, next(numbers))


def _remove(tree: dict[str, tuple[Node, int]], parent: str) -> None:
    for path in [path for path in tree if path.startswith(f"{parent}/" if parent else "")]:
        del tree[path]


def _with_twins(tree: dict[str, tuple[Node, int]]) -> dict[str, Node]:
    names: dict[int, list[str]] = {}
    for path, (_, number) in tree.items():
        names.setdefault(number, []).append(path)
    shared = {number: sorted(paths) for number, paths in names.items() if len(paths) > 1}
    return {
        path: node._replace(twins=tuple(other for other in shared[number] if other != path))
        if number in shared
        else node
        for path, (node, number) in tree.items()
    }


def _entries(layout: Path, digest: str) -> tuple[_Entry, ...]:
    """A layer's entries. Those of the bases are asked for by every build."""
    path = layout / "blobs/sha256" / digest.removeprefix("sha256:")
    if path.stat().st_size < _LARGE:
        return _read(path)
    if digest not in _known:
        _known[digest] = _read(path)
    return _known[digest]


def _read(path: Path) -> tuple[_Entry, ...]:
    found = []
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            kind = KINDS[member.type]
            text = member.linkname if kind == "symlink" else ""
            if kind == "file":
                reader = tar.extractfile(member)
                text = _shown(reader.read() if reader else b"")
            time = -1 if member.mtime >= _BUILT else int(member.mtime)
            node = Node(kind, member.mode & 0o7777, member.uid, member.gid, time, text)
            found.append(_Entry(member.name.strip("/"), node, member.linkname.strip("/")))
    return tuple(found)


def _shown(content: bytes) -> str:
    text = escaped(content.decode("utf-8", "surrogateescape")).replace("\\s", " ")
    return text if len(text) <= _SHOWN else f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"
