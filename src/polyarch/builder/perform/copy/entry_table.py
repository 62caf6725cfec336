"""The entries of a layer that is being made, by directory and name. Compact, because a copy may have very many files.

A file that is copied without changes to its name is not stored as an entry. Its slot holds the `CopiedDirectory` that
it belongs to, and its entry is derived from the source's when it is asked for.
"""

from collections.abc import Iterator
from typing import Protocol

import msgspec

from polyarch.builder.perform.copy.rules import CopyRules, changed
from polyarch.layers.entry import Entry, plain


class Lookup(Protocol):
    """A file system that is copied into. Paths are relative, like those of `Entry`."""

    def entry(self, path: str) -> Entry | None:
        """The entry at `path`; symlinks are not followed. None if there is none."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An entry of the new layer, and the origin of its bytes: the number of a source and a path in it.

    Hard links to one file have the same `inode`. It is 0 for a file with one name.
    """

    entry: Entry
    origin: tuple[int, str] | None = None
    inode: int = 0


class CopiedDirectory(msgspec.Struct, frozen=True):
    """Files that are copied from the directory `path` of a source to `target` and keep their names."""

    source: Lookup
    number: int
    rules: CopyRules
    path: str
    target: str

    def placed(self, name: str) -> Placed:
        """The entry of the file `name`."""
        path = join(self.path, name)
        entry = self.source.entry(path)
        assert entry is not None, path
        return Placed(changed(entry, join(self.target, name), self.rules), (self.number, path))


class EntryTable:
    """A slot for each path of a layer. `files` has, by inode, the entry that all hard links to a file share."""

    def __init__(self) -> None:
        self._slots: dict[str, dict[str, Placed | CopiedDirectory]] = {}
        self.files: dict[int, Entry] = {}

    def __contains__(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        return name in self._slots.get(directory, ())

    def __bool__(self) -> bool:
        return any(self._slots.values())

    def get(self, path: str) -> Placed | None:
        """The entry at `path`, None if the layer has none."""
        directory, _, name = path.rpartition("/")
        names = self._slots.get(directory)
        found = names.get(name) if names is not None else None
        return found.placed(name) if isinstance(found, CopiedDirectory) else found

    def put(self, directory: str, name: str, placed: Placed | CopiedDirectory) -> None:
        """Fill a slot, replacing its content."""
        names = self._slots.get(directory)
        if names is None:
            names = self._slots[directory] = {}
        names[name] = placed

    def remove_below(self, path: str) -> None:
        """Remove everything below `path`."""
        below = [directory for directory in self._slots if directory == path or directory.startswith(path + "/")]
        for directory in below:
            del self._slots[directory]

    def paths(self) -> Iterator[str]:
        """All paths, in no particular order."""
        return (join(directory, name) for directory, names in self._slots.items() for name in names)

    def items(self, base: Lookup, time: int, epoch: int | None) -> Iterator[Placed]:
        """All entries, parents first. Directories of `base` that contain one of them are listed with their metadata.

        An overlay's upper directory has these, too, and a reader that unpacks only this layer needs them. Their time is
        `time`, like that of new directories: putting something into a directory changes its time, and the layer must
        not depend on the platform of the base. No time is later than `epoch`.
        """
        implied = self._implied(base, time)
        firsts: dict[int, str] = {}
        pending = [("", iter(self._names("", implied)))]
        while pending:
            directory, names = pending[-1]
            name = next(names, None)
            if name is None:
                pending.pop()
                continue
            path = join(directory, name)
            found = self._slots.get(directory, _NONE).get(name) or implied[directory][name]
            placed = found.placed(name) if isinstance(found, CopiedDirectory) else self._named(found, firsts)
            if epoch is not None and placed.entry.mtime > epoch:
                placed = msgspec.structs.replace(placed, entry=msgspec.structs.replace(placed.entry, mtime=epoch))
            yield placed
            if path in self._slots or path in implied:
                pending.append((path, iter(self._names(path, implied))))

    def _names(self, directory: str, implied: dict[str, dict[str, Placed]]) -> list[str]:
        return sorted(self._slots.get(directory, _NONE).keys() | implied.get(directory, {}).keys())

    def _implied(self, base: Lookup, time: int) -> dict[str, dict[str, Placed]]:
        found: dict[str, dict[str, Placed]] = {}
        for path in list(self._slots):
            while path and path not in self:
                parent, _, name = path.rpartition("/")
                names = found.setdefault(parent, {})
                if name in names:
                    break
                below = base.entry(path)
                assert below is not None, path
                names[name] = Placed(plain(below, mtime=time))
                path = parent
        return found

    def _named(self, placed: Placed, firsts: dict[int, str]) -> Placed:
        """The entry to list: the first name of a file with several is the file, the others are hard links to it."""
        if not placed.inode:
            return placed
        path = placed.entry.path
        entry = msgspec.structs.replace(self.files[placed.inode], path=path)
        first = firsts.setdefault(placed.inode, path)
        if first != path:
            entry = msgspec.structs.replace(entry, kind="hardlink", link=first, size=0, major=0, minor=0)
        return msgspec.structs.replace(placed, entry=entry)


_NONE: dict[str, Placed | CopiedDirectory] = {}


class Items:
    """The entries of a finished placement. They are derived again on each iteration, and never stored."""

    def __init__(self, table: EntryTable, base: Lookup, time: int, epoch: int | None) -> None:
        self._table = table
        self._base = base
        self._time = time
        self._epoch = epoch

    def __iter__(self) -> Iterator[Placed]:
        return self._table.items(self._base, self._time, self._epoch)

    def __bool__(self) -> bool:
        return bool(self._table)

    def paths(self) -> Iterator[str]:
        """The paths of the entries in no particular order, without the directories of the base."""
        return self._table.paths()


def join(directory: str, name: str) -> str:
    """posixpath.join for a name without slashes, ten times as fast."""
    return f"{directory}/{name}" if directory else name
