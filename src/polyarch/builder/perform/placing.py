"""Where a copied file comes to lie: COPY's rules as a pure function over two trees.

The rules are those of BuildKit's copy (tonistiigi/fsutil): the destination is resolved through symlinks as if its
file system were the root; a directory stands for what is in it; the metadata of a directory that is there already
stays at the top and is overwritten below it; a file replaces anything but a directory, a directory nothing but a
directory. What comes out is the list of a layer's entries, parents first, each with the source file that fills it.
"""

import posixpath
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from polyarch.builder.perform.modes import Mode
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Entry, order, plain
from polyarch.layers.longpaths import shown
from polyarch.layers.resolve import resolve as follow

_LONGEST_NAME = 255
_LONGEST_PATH = 4096


class CollisionError(PolyarchError):
    """A directory where a file is to go, or the other way round."""


class Lookup(Protocol):
    """What is asked of a file system that is copied into; paths are as `Entry.path`."""

    def entry(self, path: str) -> Entry | None:
        """What lies at `path`, no symlink followed at its end nor on its way."""


class Tree(Lookup, Protocol):
    """What is asked of one that is copied from, too. Its hard links are files that share an `inode`."""

    def inode(self, path: str) -> str:
        """What is the same for all the names of one file, and for no other file."""

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An entry of the new layer, and where its bytes are: the number of the source, and the path there.

    Names of one file have the same `inode`, which is 0 where a file has only one name.
    """

    entry: Entry
    origin: tuple[int, str] | None = None
    inode: int = 0


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How entries are changed on their way: owner (uid, gid), mode, and the time of directories made for them.

    `include` and `exclude` are asked with a path relative to the copied directory and whether it is one itself;
    `include` None means everything. Both answer 0 for no, 2 for yes, and 1 for a directory below which that may be
    otherwise.
    """

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    time: int = 0
    include: Callable[[str, bool], int] | None = None
    exclude: Callable[[str, bool], int] | None = None


class Empty:
    """The tree of an empty file system."""

    def entry(self, path: str) -> Entry | None:
        return Entry(path="", kind="directory", mode=0o755) if not path else None

    def names(self, path: str) -> tuple[str, ...]:
        return ()

    def inode(self, path: str) -> str:
        return path


def resolve(tree: Lookup, path: str) -> str:
    """The path that `path` leads to, every symlink followed inside the root; what is missing stays as written.

    Raises ConflictError for a loop.
    """
    return follow(path, tree.entry)


class Placement:
    """The layer in the making: what is in it so far, over what is below it."""

    def __init__(self, base: Lookup) -> None:
        self._base = base
        self._placed: dict[str, Placed] = {}
        self._links: dict[str, str] = {}
        self._inodes = 0
        self._files: dict[int, Entry] = {}
        # How many files, directories and archives of sources are in it.
        self.taken = 0
        # A directory that an octal mode for files has made impossible to enter.
        self.unusable = ""

    def entry(self, path: str) -> Entry | None:
        """What lies at `path` in the layer, else below it."""
        placed = self._placed.get(path)
        return placed.entry if placed is not None else self._base.entry(path)

    def placed(self, path: str) -> Placed | None:
        """What this layer has at `path`."""
        return self._placed.get(path)

    def items(self, time: int = 0) -> list[Placed]:
        """All entries, parents first: directories below that something lies in are listed as they are there.

        An overlay's upper directory has them, too, and a reader that unpacks only this layer needs them. They have the
        `time` of directories that are made: what is put into one changes its time, and the layer must not depend on
        which platform's base was asked.
        """
        complete = dict(self._placed)
        for path in self._placed:
            parent = posixpath.dirname(path)
            while parent and parent not in complete:
                below = self._base.entry(parent)
                assert below is not None, parent
                complete[parent] = Placed(plain(below, mtime=time))
                parent = posixpath.dirname(parent)
        firsts: dict[int, Placed] = {}
        return [self._named(complete[path], firsts) for path in sorted(complete, key=order) if path]

    def _named(self, placed: Placed, firsts: dict[int, Placed]) -> Placed:
        """An entry as the layer has it: of a file with several names the first is the file, the others link to it."""
        if not placed.inode:
            return placed
        path = placed.entry.path
        entry = msgspec.structs.replace(self._files[placed.inode], path=path)
        first = firsts.setdefault(placed.inode, placed)
        if first is not placed:
            entry = msgspec.structs.replace(entry, kind="hardlink", link=first.entry.path, size=0, major=0, minor=0)
        return msgspec.structs.replace(placed, entry=entry)

    def make_directories(self, path: str, rules: Rules) -> None:
        """Make the directory `path` (resolved) and its parents where they are missing."""
        missing: list[str] = []
        while path:
            found = self.entry(path)
            if found is not None:
                if found.kind != "directory":
                    raise CollisionError(f"cannot make a directory in /{path}: it is a {found.kind}")
                break
            missing.append(path)
            path = posixpath.dirname(path)
        # BuildKit makes them with mkdir(2) and a umask of 022: no special bits, and nothing that others may write.
        mode = 0o755 if rules.mode is None or rules.mode.octal is None else rules.mode.octal & 0o755
        uid, gid = rules.owner or (0, 0)
        if missing:
            self._look_at_mode(missing[-1], mode, rules)
        for one in reversed(missing):
            self.put(Placed(Entry(path=one, kind="directory", mode=mode, uid=uid, gid=gid, mtime=rules.time)))

    def copy(self, source: Tree, number: int, path: str, destination: str, rules: Rules) -> None:
        """Copy what lies at `path` of `source` (its symlinks followed) to `destination`, absolute.

        `number` is what `Placed.origin` calls the source.

        Raises CollisionError where types collide, NotFoundError where there is nothing at `path`.
        """
        # Each copy has its own memory of inodes: two sources of one COPY do not share hard links.
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
            self._placed[original.entry.path] = msgspec.structs.replace(original, inode=inode)
        shared = msgspec.structs.replace(
            original.entry,
            path=entry.path,
            mode=original.entry.mode if original.entry.kind == "symlink" else entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            xattrs=tuple(sorted((dict(original.entry.xattrs) | dict(entry.xattrs)).items())),
        )
        self._files[inode] = shared
        self.put(Placed(shared, original.origin, inode))

    def remove_below(self, path: str) -> None:
        """Forget what this layer has in `path`, which is to be no directory any more."""
        for below in [one for one in self._placed if one.startswith(path + "/")]:
            del self._placed[below]

    def _followed(self, path: str) -> Entry | None:
        return self.entry(resolve(self, path))

    def _copy(self, walk: "_Walk", entry: Entry, target: str) -> None:
        """Copy `entry`, which lies at the top of the walk, to `target`.

        Iterative: a tree may be thousands of directories deep.
        """
        included = self._visit(walk, entry, _Step(walk.top, "", target, walk.rules.include is None))
        pending = [] if included is None else [_Step(walk.top, "", target, included).names(walk.source)]
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

        Returns whether all below it is included, and None where nothing below it is to be visited.
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
                self._place_file(walk, entry, step.path, step.target)
            return None
        if included and taken:
            self._copy_parents(walk, step.path, step.relative, step.target)
            self._place_directory(entry, step.target, rules, overwrite=bool(step.relative))
        return included

    def _copy_parents(self, walk: "_Walk", path: str, relative: str, target: str) -> None:
        """With patterns, a directory that matches none comes only when something below it does, as it is there."""
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
                self.put(Placed(self._changed(entry, place, walk.rules)))
            elif found.kind != "directory":
                raise CollisionError(f"cannot copy to non-directory: /{place}")
            elif above != walk.top and place not in self._placed:
                # What is there already gets the mode, and keeps the rest.
                entry = walk.source.entry(above)
                assert entry is not None, above
                self.put(Placed(plain(found, mode=entry.mode, mtime=walk.rules.time)))

    def _place_directory(self, entry: Entry, target: str, rules: Rules, *, overwrite: bool) -> None:
        self.taken += 1
        found = self.entry(target)
        if found is not None and found.kind != "directory":
            raise CollisionError(f"cannot copy to non-directory: /{target}")
        if target and (found is None or overwrite):
            self.put(Placed(self._changed(entry, target, rules)))

    def _place_file(self, walk: "_Walk", entry: Entry, path: str, target: str) -> None:
        self.taken += 1
        found = self.entry(target)
        if found is not None and found.kind == "directory":
            raise CollisionError(f"cannot replace to directory /{target} with file")
        changed = self._changed(entry, target, walk.rules)
        if entry.kind != "file":
            self.put(Placed(changed))
            return
        first = self._links.setdefault(walk.source.inode(path), target)
        if first != target:
            self.link(changed, self._placed[first])
        else:
            self.put(Placed(changed, (walk.number, path)))

    def _changed(self, entry: Entry, target: str, rules: Rules) -> Entry:
        uid, gid = rules.owner or (entry.uid, entry.gid)
        mode = entry.mode
        if rules.mode is not None and entry.kind != "symlink":
            mode = rules.mode.apply(mode, directory=entry.kind == "directory")
            if entry.kind == "directory":
                self._look_at_mode(target, mode, rules)
        # A plain Entry, without what a subclass knows of its place in a tar. Built in one go: a copy has thousands.
        return Entry(
            path=target,
            kind=entry.kind,
            mode=mode,
            uid=uid,
            gid=gid,
            size=entry.size,
            mtime=entry.mtime,
            link=entry.link,
            xattrs=entry.xattrs,
            major=entry.major,
            minor=entry.minor,
        )

    def _look_at_mode(self, directory: str, mode: int, rules: Rules) -> None:
        """Remember a directory that somebody may read, and not enter."""
        if rules.mode is not None and rules.mode.octal is not None and (mode >> 2) & ~mode & 0o111:
            self.unusable = self.unusable or directory

    def put(self, placed: Placed) -> None:
        """Let the layer have this entry, in place of another of its path."""
        path = placed.entry.path
        # Only then can a name be too long, in whatever alphabet.
        if len(path) * 4 > _LONGEST_NAME:
            _check_length(path)
        self._placed[path] = placed


def _check_length(path: str) -> None:
    """Raises PolyarchError for a path that no Linux could unpack (NAME_MAX and PATH_MAX of limits.h)."""
    raw = path.encode("utf-8", "surrogateescape")
    if len(raw) >= _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in raw.split(b"/")):
        raise PolyarchError(
            f"the name {shown('/' + path)} is too long: {len(raw)} bytes",
            f"names are limited to {_LONGEST_NAME} bytes, paths to {_LONGEST_PATH - 1}",
        )


class _Walk(msgspec.Struct, frozen=True):
    """What stays the same while one source is copied; `parents` are the directories that `_copy_parents` has made."""

    source: Tree
    number: int
    rules: Rules
    top: str
    parents: set[str] = msgspec.field(default_factory=set)


class _Step(msgspec.Struct, frozen=True, gc=False):
    """One path on a walk: in the source, relative to the top of the walk, and where it goes.

    `included` is whether the rules take all below the directory that it is in.
    """

    path: str
    relative: str
    target: str
    included: bool

    def names(self, source: Tree) -> "Iterator[_Step]":
        """The steps for what is in this directory."""
        for name in source.names(self.path):
            yield _Step(join(self.path, name), join(self.relative, name), join(self.target, name), self.included)


def join(directory: str, name: str) -> str:
    """posixpath.join for a name without slashes, at a tenth of its cost."""
    return f"{directory}/{name}" if directory else name
