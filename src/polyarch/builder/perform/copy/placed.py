"""What a layer in the making has, by directory and name, in little room: a copy may take very many files.

A file that is copied as it lies is not kept as an entry. Its slot refers to its directory's `Taken`, and the entry is
made of the source's when somebody asks.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from polyarch.builder.perform.copy.modes import Mode
from polyarch.layers.entry import Entry, plain


class Lookup(Protocol):
    """What is asked of a file system that is copied into; paths are as `Entry.path`."""

    def entry(self, path: str) -> Entry | None:
        """What lies at `path`, no symlink followed at its end nor on its way."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An entry of the new layer, and where its bytes are: the number of the source, and the path there.

    Names of one file have the same `inode`, which is 0 where a file has only one name.
    """

    entry: Entry
    origin: tuple[int, str] | None = None
    inode: int = 0


class CopyRules(msgspec.Struct, frozen=True, kw_only=True):
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


class Taken(msgspec.Struct, frozen=True):
    """The files that a copy takes from the directory `path` of a source to the directory `target`, names unchanged."""

    source: Lookup
    number: int
    rules: CopyRules
    path: str
    target: str

    def placed(self, name: str) -> Placed:
        """The entry of one of them."""
        path = join(self.path, name)
        entry = self.source.entry(path)
        assert entry is not None, path
        return Placed(changed(entry, join(self.target, name), self.rules), (self.number, path))


class Laid:
    """The slots of a layer, and of a file with several names what all of them share."""

    def __init__(self) -> None:
        self._slots: dict[str, dict[str, Placed | Taken]] = {}
        self.files: dict[int, Entry] = {}

    def __contains__(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        return name in self._slots.get(directory, ())

    def __bool__(self) -> bool:
        return any(self._slots.values())

    def get(self, path: str) -> Placed | None:
        """What the layer has at `path`."""
        directory, _, name = path.rpartition("/")
        names = self._slots.get(directory)
        found = names.get(name) if names is not None else None
        return found.placed(name) if isinstance(found, Taken) else found

    def put(self, directory: str, name: str, placed: Placed | Taken) -> None:
        """Fill a slot, whatever it had."""
        names = self._slots.get(directory)
        if names is None:
            names = self._slots[directory] = {}
        names[name] = placed

    def remove_below(self, path: str) -> None:
        """Forget what the layer has in `path`."""
        for directory in [one for one in self._slots if one == path or one.startswith(path + "/")]:
            del self._slots[directory]

    def paths(self) -> Iterator[str]:
        """All paths, in no order."""
        return (join(directory, name) for directory, names in self._slots.items() for name in names)

    def items(self, base: Lookup, time: int, epoch: int | None) -> Iterator[Placed]:
        """All entries, parents first: directories of `base` that something lies in are listed as they are there.

        An overlay's upper directory has them, too, and a reader that unpacks only this layer needs them. They have the
        `time` of directories that are made: what is put into one changes its time, and the layer must not depend on
        which platform's base was asked. No time is later than `epoch`.
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
            placed = found.placed(name) if isinstance(found, Taken) else self._named(found, firsts)
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
        """An entry as the layer has it: of a file with several names the first is the file, the others link to it."""
        if not placed.inode:
            return placed
        path = placed.entry.path
        entry = msgspec.structs.replace(self.files[placed.inode], path=path)
        first = firsts.setdefault(placed.inode, path)
        if first != path:
            entry = msgspec.structs.replace(entry, kind="hardlink", link=first, size=0, major=0, minor=0)
        return msgspec.structs.replace(placed, entry=entry)


_NONE: dict[str, Placed | Taken] = {}


class Items:
    """The entries of a finished placement, made anew each time that they are gone through."""

    def __init__(self, laid: Laid, base: Lookup, time: int, epoch: int | None) -> None:
        self._laid = laid
        self._base = base
        self._time = time
        self._epoch = epoch

    def __iter__(self) -> Iterator[Placed]:
        return self._laid.items(self._base, self._time, self._epoch)

    def __bool__(self) -> bool:
        return bool(self._laid)

    def paths(self) -> Iterator[str]:
        """The paths of what is placed, in no order, without the directories of the base."""
        return self._laid.paths()


def changed(entry: Entry, target: str, rules: CopyRules) -> Entry:
    """The entry as it comes to lie at `target`."""
    uid, gid = rules.owner or (entry.uid, entry.gid)
    mode = entry.mode
    if rules.mode is not None and entry.kind != "symlink":
        mode = rules.mode.apply(mode, directory=entry.kind == "directory")
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


def join(directory: str, name: str) -> str:
    """posixpath.join for a name without slashes, at a tenth of its cost."""
    return f"{directory}/{name}" if directory else name
