"""Where COPY puts each file: pure rules over a source tree and the base that is copied into.

They are the rules of BuildKit's copy (tonistiigi/fsutil). Symlinks in the destination are resolved inside the base.
Copying a directory copies its contents. A directory that exists keeps its metadata if it is the destination itself;
below the destination the source's metadata replaces it. A file replaces anything except a directory, and a directory
replaces only directories. The result is a list of entries, parents first, each with the source file that fills it.
"""

import posixpath
from collections.abc import Iterator
from typing import Protocol

import msgspec

from polyarch.builder.perform.copy.entry_table import CopiedDirectory, EntryTable, Items, Lookup, Placed, join
from polyarch.builder.perform.copy.rules import CopyRules, changed
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Entry, plain
from polyarch.layers.longpaths import shown
from polyarch.layers.resolve import resolve as follow

_LONGEST_NAME = 255
_LONGEST_PATH = 4096


class CollisionError(PolyarchError):
    """A directory is in the way of a file, or a file in the way of a directory."""


class SourceTree(Lookup, Protocol):
    """A file system that is copied from. Its hard links are entries of kind `file` that share an `inode`."""

    def inode(self, path: str) -> str:
        """An id that all names of one file share, and no other file has; "" for a file with one name."""

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted."""


class Empty:
    """The tree of an empty file system."""

    def entry(self, path: str) -> Entry | None:
        return Entry(path="", kind="directory", mode=0o755) if not path else None

    def names(self, path: str) -> tuple[str, ...]:
        return ()

    def inode(self, path: str) -> str:
        return path


def resolve(tree: Lookup, path: str) -> str:
    """The path that `path` leads to: symlinks are followed inside the root, missing parts stay as written.

    Raises ConflictError for a loop.
    """
    return follow(path, tree.entry)


class Placement:
    """A layer that is being made on a base. `entry` answers for both, so that a copy sees the ones before it."""

    def __init__(self, base: Lookup) -> None:
        self._base = base
        self._table = EntryTable()
        self._links: dict[str, str] = {}
        self._inodes = 0
        # Directories of the layer that the base does not have: the base is not asked for their contents.
        self._new: set[str] = set()
        self._current: CopiedDirectory | None = None
        # How many files, directories and archives of the sources were taken.
        self.taken = 0
        # A directory that an octal mode for files has made impossible to enter.
        self.unusable = ""

    def entry(self, path: str) -> Entry | None:
        """The entry at `path` in the layer, else in the base."""
        placed = self._table.get(path)
        return placed.entry if placed is not None else self._below(path)

    def _below(self, path: str) -> Entry | None:
        return None if path.rpartition("/")[0] in self._new else self._base.entry(path)

    def placed(self, path: str) -> Placed | None:
        """The entry at `path` in the layer alone."""
        return self._table.get(path)

    def items(self, time: int = 0, epoch: int | None = None) -> Items:
        """All entries, see `EntryTable.items`. Nothing may be placed after this call."""
        return Items(self._table, self._base, time, epoch)

    def make_directories(self, path: str, rules: CopyRules) -> None:
        """Make the directory `path` (resolved) and its parents unless they exist."""
        missing: list[str] = []
        while path:
            found = self.entry(path)
            if found is not None:
                if found.kind != "directory":
                    raise CollisionError(f"cannot make a directory in /{path}: it is a {found.kind}")
                break
            missing.append(path)
            path = posixpath.dirname(path)
        # BuildKit calls mkdir(2) with a umask of 022: no special bits, and no write permission for others.
        mode = 0o755 if rules.mode is None or rules.mode.octal is None else rules.mode.octal & 0o755
        uid, gid = rules.owner or (0, 0)
        if missing:
            self._note_mode(missing[-1], mode, rules)
        for directory in reversed(missing):
            self.put(Placed(Entry(path=directory, kind="directory", mode=mode, uid=uid, gid=gid, mtime=rules.time)))

    def copy(self, source: SourceTree, number: int, path: str, destination: str, rules: CopyRules) -> None:
        """Copy `path` of `source`, following its symlinks, to the absolute `destination`.

        `number` is the source's number for `Placed.origin`. Raises CollisionError if a file meets a directory,
        NotFoundError if `path` does not exist.
        """
        # Each source has its own inodes: two sources of one COPY do not share hard links.
        self._links = {}
        directory = destination.endswith("/") or posixpath.basename(destination) == "."
        first = destination if directory else posixpath.dirname(destination)
        self.make_directories(resolve(self, first), rules)
        target = resolve(self, posixpath.normpath(destination))
        followed = resolve(source, path)
        entry = source.entry(followed)
        if entry is None:
            raise NotFoundError(f'"/{path}": not found')
        existing = self._followed(target)
        if entry.kind != "directory" and existing is not None and existing.kind == "directory":
            target = posixpath.join(target, posixpath.basename(path) or path)
        contents = entry.kind == "directory" and existing is None
        self.make_directories(target if contents else posixpath.dirname(target), rules)
        walk = _Walk(source, number, rules, followed)
        self._copy(walk, entry, target)

    def link(self, entry: Entry, original: Placed) -> None:
        """Make `entry` another name of a file of this layer, which gets the mode, owner and time of `entry`."""
        inode = original.inode
        if not inode:
            inode = self._inodes = self._inodes + 1
            self.put(msgspec.structs.replace(original, inode=inode))
        shared = msgspec.structs.replace(
            original.entry,
            path=entry.path,
            mode=original.entry.mode if original.entry.kind == "symlink" else entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            xattrs=tuple(sorted((dict(original.entry.xattrs) | dict(entry.xattrs)).items())),
        )
        self._table.files[inode] = shared
        self.put(Placed(shared, original.origin, inode))

    def remove_below(self, path: str) -> None:
        """Remove everything below `path`, which will not be a directory any longer."""
        self._table.remove_below(path)

    def _followed(self, path: str) -> Entry | None:
        return self.entry(resolve(self, path))

    def _copy(self, walk: "_Walk", entry: Entry, target: str) -> None:
        """Copy `entry`, the top of the walk, to `target`.

        Iterative: a tree may be thousands of directories deep.
        """
        top = _Step(posixpath.basename(target), walk.top, "", target, walk.rules.include is None)
        included = self._visit(walk, entry, top)
        pending = [] if included is None else [msgspec.structs.replace(top, included=included).names(walk.source)]
        while pending:
            step = next(pending[-1], None)
            if step is None:
                pending.pop()
                continue
            child = walk.source.entry(step.path)
            assert child is not None, step.path
            included = self._visit(walk, child, step)
            if included is not None:
                below = step if included == step.included else msgspec.structs.replace(step, included=included)
                pending.append(below.names(walk.source))

    def _visit(self, walk: "_Walk", entry: Entry, step: "_Step") -> bool | None:
        """Place one entry, if the rules take it.

        Returns whether everything below it is included, or None if nothing below it has to be visited.
        """
        rules = walk.rules
        directory = entry.kind == "directory"
        included, taken = step.included, True
        if step.relative:
            if not included and rules.include is not None:
                answer = rules.include(step.relative, directory)
                if not answer:
                    return None
                included = answer == 2
            left_out = rules.exclude(step.relative, directory) if rules.exclude is not None else 0
            if left_out == 2:
                return None
            if left_out:
                taken = False
        if not directory:
            if included:
                self._copy_parents(walk, step.path, step.relative, step.target)
                self._place_file(walk, entry, step)
            return None
        if included and taken:
            self._copy_parents(walk, step.path, step.relative, step.target)
            self._place_directory(entry, step.target, rules, overwrite=bool(step.relative))
        return included

    def _copy_parents(self, walk: "_Walk", path: str, relative: str, target: str) -> None:
        """With patterns, a directory that matches none of them is copied only if something below it is."""
        if walk.rules.include is None and walk.rules.exclude is None:
            return
        steps: list[tuple[str, str]] = []
        while relative:
            relative, path, target = posixpath.dirname(relative), posixpath.dirname(path), posixpath.dirname(target)
            if target in walk.parents:
                break
            steps.append((path, target))
            walk.parents.add(target)
        for above, place in reversed(steps):
            found = self.entry(place)
            if found is None:
                entry = walk.source.entry(above)
                assert entry is not None, above
                self._put_directory(changed(entry, place, walk.rules), walk.rules)
            elif found.kind != "directory":
                raise CollisionError(f"cannot copy to non-directory: /{place}")
            elif above != walk.top and place not in self._table:
                # An existing directory gets the mode, and keeps the rest.
                entry = walk.source.entry(above)
                assert entry is not None, above
                self.put(Placed(plain(found, mode=entry.mode, mtime=walk.rules.time)))

    def _place_directory(self, entry: Entry, target: str, rules: CopyRules, *, overwrite: bool) -> None:
        self.taken += 1
        found = self.entry(target)
        if found is not None and found.kind != "directory":
            raise CollisionError(f"cannot copy to non-directory: /{target}")
        if target and (found is None or overwrite):
            self._put_directory(changed(entry, target, rules), rules)

    def _put_directory(self, entry: Entry, rules: CopyRules) -> None:
        self._note_mode(entry.path, entry.mode, rules)
        self.put(Placed(entry))

    def _place_file(self, walk: "_Walk", entry: Entry, step: "_Step") -> None:
        self.taken += 1
        path, target = step.path, step.target
        found = self.entry(target)
        if found is not None and found.kind == "directory":
            raise CollisionError(f"cannot replace to directory /{target} with file")
        if entry.kind != "file":
            self.put(Placed(changed(entry, target, walk.rules)))
            return
        inode = walk.source.inode(path)
        first = self._links.setdefault(inode, target) if inode else target
        if first != target:
            original = self.placed(first)
            assert original is not None, first
            self.link(changed(entry, target, walk.rules), original)
        elif inode or not path.endswith(step.name) or posixpath.basename(path) != step.name:
            self.put(Placed(changed(entry, target, walk.rules), (walk.number, path)))
        else:
            self._take(walk, step)

    def _take(self, walk: "_Walk", step: "_Step") -> None:
        """Put a file that has one name and keeps it into the layer."""
        _check_length(step.target)
        above, directory = step.path.rpartition("/")[0], step.target.rpartition("/")[0]
        current = self._current
        if current is None or current.path != above or current.target != directory or current.rules is not walk.rules:
            current = None
        if current is None or current.source is not walk.source or current.number != walk.number:
            current = self._current = CopiedDirectory(walk.source, walk.number, walk.rules, above, directory)
        self._table.put(directory, step.name, current)

    def _note_mode(self, directory: str, mode: int, rules: CopyRules) -> None:
        """Remember a directory that has permission to read for a class of users, but not to enter."""
        if rules.mode is not None and rules.mode.octal is not None and (mode >> 2) & ~mode & 0o111:
            self.unusable = self.unusable or directory

    def put(self, placed: Placed) -> None:
        """Put an entry into the layer, replacing another of its path."""
        path = placed.entry.path
        _check_length(path)
        directory, _, name = path.rpartition("/")
        if placed.entry.kind == "directory" and self._below(path) is None:
            self._new.add(path)
        self._table.put(directory, name, placed)


def _check_length(path: str) -> None:
    """Raises PolyarchError for a path that Linux cannot unpack (NAME_MAX and PATH_MAX of limits.h)."""
    # A character has at most four bytes, so a shorter path cannot be too long.
    if len(path) * 4 <= _LONGEST_NAME:
        return
    raw = path.encode("utf-8", "surrogateescape")
    if len(raw) >= _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in raw.split(b"/")):
        raise PolyarchError(
            f"the name {shown('/' + path)} is too long: {len(raw)} bytes",
            f"names are limited to {_LONGEST_NAME} bytes, paths to {_LONGEST_PATH - 1}",
        )


class _Walk(msgspec.Struct, frozen=True):
    """The constants of copying one source; `parents` are the directories that `_copy_parents` has made."""

    source: SourceTree
    number: int
    rules: CopyRules
    top: str
    parents: set[str] = msgspec.field(default_factory=set)


class _Step(msgspec.Struct, frozen=True, gc=False):
    """One path of a walk: in the source, relative to the top of the walk, and its target, which ends in `name`.

    `included` is whether the rules include everything in the directory that it is in.
    """

    name: str
    path: str
    relative: str
    target: str
    included: bool

    def names(self, source: SourceTree) -> "Iterator[_Step]":
        """The steps for the contents of this directory."""
        for name in source.names(self.path):
            places = join(self.path, name), join(self.relative, name), join(self.target, name)
            yield _Step(name, *places, self.included)
