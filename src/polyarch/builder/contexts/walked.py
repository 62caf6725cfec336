"""The files of a build context after its walk, in columns: a name and about a hundred bytes for each, no objects.

A context may have hundreds of thousands of files. An `Entry` is made when it is needed.
"""

import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

import msgspec

from polyarch.builder.perform.copy.files import ROOT
from polyarch.errors import NotFoundError
from polyarch.layers.entry import Content, Entry, LocalFile, Stamp
from polyarch.layers.walk import WalkedEntry
from polyarch.store import tables
from polyarch.store.tables import Table

# The state of a file's digest: 0 not computed, computed, computed and safe to reuse in the next command.
_KNOWN, _LASTING = 1, 2
_DIGEST = 32
_NANOSECONDS = 1_000_000_000
_PART = 4 << 20


class _Directory:
    """The names in a directory, sorted, and the number of the row of each."""

    __slots__ = ("_sorted", "names", "rows")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.rows = array("I")
        self._sorted = True

    def add(self, name: str, row: int) -> None:
        # A walk sorts by bytes, which for some names is another order.
        self._sorted = self._sorted and (not self.names or self.names[-1] < name)
        self.names.append(name)
        self.rows.append(row)

    def sort(self) -> None:
        if not self._sorted:
            pairs = sorted(zip(self.names, self.rows, strict=True))
            self.names = [name for name, _ in pairs]
            self.rows = array("I", [row for _, row in pairs])
            self._sorted = True

    def row(self, name: str) -> int:
        """The row of a name, -1 for none."""
        self.sort()
        at = bisect_left(self.names, name)
        return self.rows[at] if at < len(self.names) and self.names[at] == name else -1


class Rows(msgspec.Struct, array_like=True, frozen=True):
    """The files of a directory as the cache stores them: names separated by NUL, and columns of stamps and digests."""

    directory: bytes
    names: bytes
    identities: bytes
    times: bytes
    digests: bytes


STATS: Table[str, list[Rows]] = Table(tables.STAT, msgspec.msgpack.encode, msgspec.msgpack.Decoder(list[Rows]).decode)


def in_parts(rows: Iterable[Rows]) -> Iterator[list[Rows]]:
    """The rows in lists of a few megabytes: one list would be a second copy of a large context's columns."""
    part: list[Rows] = []
    size = 0
    for one in rows:
        part.append(one)
        size += len(one.names) + len(one.identities) + len(one.times) + len(one.digests)
        if size >= _PART:
            yield part
            part, size = [], 0
    if part:
        yield part


class Walked:
    """The files below `root`; implements `SourceFiles`. `add` each file of a walk, then `finish`; after that only
    digests change.


    `digest` reads a file for its SHA-256 (hexadecimal). Digests of files that changed after `young` (nanoseconds) are
    not remembered: a second write within the clock's tick leaves the same stamp.
    """

    def __init__(self, root: str, digest: Callable[[str], str], young: int) -> None:
        self._prefix = root.rstrip("/") + "/"
        self._digest = digest
        self._young = young
        self._directories: dict[str, _Directory] = {"": _Directory()}
        # A column of st_mode; (st_dev, st_ino) and (st_mtime_ns, st_ctime_ns, st_size) of each row.
        self._modes = array("I")
        self._identities = array("Q")
        self._times = array("q")
        self._digests = bytearray()
        self._states = bytearray()
        # Entries with more than a mode, a size and a time.
        self._special: dict[str, Entry] = {}
        # For a file with several names (hard links): the first name, by each name.
        self._firsts: dict[str, str] = {}
        self.learned = False

    def add(self, found: WalkedEntry, xattrs: tuple[tuple[str, bytes], ...] = ()) -> None:
        """Add a file of the walk, owned by root. `xattrs` are the extended attributes to keep."""
        entry = found.entry
        parent, _, name = entry.path.rpartition("/")
        directory = self._directories.get(parent)
        if directory is None:
            directory = self._directories[parent] = _Directory()
        directory.add(name, len(self._modes))
        device, inode, changed, made, size = found.stamp
        self._modes.append(found.mode)
        self._identities.extend((device, inode))
        self._times.extend((changed, made, size))
        if entry.kind == "hardlink":
            first = self._row(entry.link)
            self._firsts[entry.path] = self._firsts[entry.link] = entry.link
            plain = self._entry(entry.link, first)
            self._special[entry.path] = msgspec.structs.replace(plain, path=entry.path)
        elif xattrs or entry.kind not in ("file", "directory"):
            self._special[entry.path] = msgspec.structs.replace(entry, uid=0, gid=0, xattrs=xattrs)

    def finish(self) -> None:
        """Call this once, after the last `add`."""
        for directory in self._directories.values():
            directory.sort()
        self._digests = bytearray(_DIGEST * len(self._modes))
        self._states = bytearray(len(self._modes))

    def entry(self, path: str) -> Entry | None:
        """Implements `SourceTree`."""
        row = self._row(path)
        if row < 0:
            return None if path else ROOT
        return self._entry(path, row)

    def names(self, path: str) -> tuple[str, ...]:
        """Implements `SourceTree`."""
        directory = self._directories.get(path)
        return () if directory is None else tuple(directory.names)

    def inode(self, path: str) -> str:
        """Implements `SourceTree`."""
        return self._firsts.get(path, "")

    def content(self, path: str) -> Content:
        """Implements `SourceFiles`."""
        path, row = self._file(path)
        stamp = self._stamp(row)
        if self._states[row]:
            return LocalFile(self._prefix + path, stamp)
        # Packing reads the file anyway, so its digest is taken there instead of in a second read.
        return LocalFile(self._prefix + path, stamp, lambda digest: self._learn(row, digest))

    def fingerprint(self, path: str) -> str:
        """Implements `SourceFiles`."""
        path, row = self._file(path)
        if not self._states[row]:
            self._learn(row, self._digest(self._prefix + path))
        return self._digests[_DIGEST * row : _DIGEST * (row + 1)].hex()

    def remember(self) -> Iterator[Rows]:
        """The rows to store for the next command, one record for each directory."""
        for path, directory in self._directories.items():
            pairs = zip(directory.names, directory.rows, strict=True)
            kept = [(name, row) for name, row in pairs if self._states[row] & _LASTING]
            if kept:
                rows = [row for _, row in kept]
                yield Rows(
                    _raw(path),
                    b"\0".join(_raw(name) for name, _ in kept),
                    b"".join(self._identities[2 * row : 2 * row + 2].tobytes() for row in rows),
                    b"".join(self._times[3 * row : 3 * row + 3].tobytes() for row in rows),
                    b"".join(self._digests[_DIGEST * row : _DIGEST * (row + 1)] for row in rows),
                )

    def recall(self, remembered: Iterable[Rows]) -> None:
        """Take the digests that an earlier command remembered for files whose stamps are unchanged."""
        for rows in remembered:
            directory = self._directories.get(_text(rows.directory))
            if directory is None:
                continue
            for number, name in enumerate(rows.names.split(b"\0")):
                row = directory.row(_text(name))
                if (
                    row >= 0
                    and self._identities[2 * row : 2 * row + 2].tobytes()
                    == rows.identities[16 * number : 16 * number + 16]
                    and self._times[3 * row : 3 * row + 3].tobytes() == rows.times[24 * number : 24 * number + 24]
                    and len(digest := rows.digests[_DIGEST * number : _DIGEST * (number + 1)]) == _DIGEST
                ):
                    self._digests[_DIGEST * row : _DIGEST * (row + 1)] = digest
                    self._states[row] = _KNOWN | _LASTING

    def __iter__(self) -> Iterator[str]:
        """All paths, in no particular order."""
        for path, directory in self._directories.items():
            yield from (f"{path}/{name}" if path else name for name in directory.names)

    def _row(self, path: str) -> int:
        parent, _, name = path.rpartition("/")
        directory = self._directories.get(parent)
        return -1 if directory is None else directory.row(name)

    def _file(self, path: str) -> tuple[str, int]:
        path = self._firsts.get(path, path)
        row = self._row(path)
        if row < 0:
            raise NotFoundError(f'"/{path}": not found')
        return path, row

    def _entry(self, path: str, row: int) -> Entry:
        special = self._special.get(path)
        if special is not None:
            return special
        mode = self._modes[row]
        changed, size = self._times[3 * row], self._times[3 * row + 2]
        if stat.S_ISDIR(mode):
            return Entry(path=path, kind="directory", mode=mode & 0o7777, mtime=changed // _NANOSECONDS)
        return Entry(path=path, kind="file", mode=mode & 0o7777, size=size, mtime=changed // _NANOSECONDS)

    def _stamp(self, row: int) -> Stamp:
        device, inode = self._identities[2 * row : 2 * row + 2]
        changed, made, size = self._times[3 * row : 3 * row + 3]
        return device, inode, changed, made, size

    def _learn(self, row: int, digest: str) -> None:
        self._digests[_DIGEST * row : _DIGEST * (row + 1)] = bytes.fromhex(digest)
        lasting = max(self._times[3 * row], self._times[3 * row + 1]) < self._young
        self._states[row] = _KNOWN | (_LASTING if lasting else 0)
        self.learned = self.learned or lasting


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
