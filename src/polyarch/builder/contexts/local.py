"""A build context on this machine: walked once, identified by content, with a cache of stats.

The table of the last walk holds the digest of each file: a file with the same inode, size and times has not changed. A
file that changed during the walk is not stored, because a second write within one tick of the clock would leave the
same times.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.builder.contexts import ahead
from polyarch.builder.contexts.signature import TICK, Signature, Signing, sign, skipping
from polyarch.dockerfile.ignorefile import Matcher, State
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Entry, parent_of
from polyarch.layers.longpaths import open_file, short, shown
from polyarch.layers.walk import WalkedEntry, walk
from polyarch.oci import text

# Imported where it is used: a cached build looks at stats only.
if TYPE_CHECKING:
    from polyarch.builder.contexts.walked import Rows, Walked
    from polyarch.builder.perform.copy.arrange import Arrangement
    from polyarch.store import Store

_CAPABILITY = "security.capability"
_CHUNK = 128 << 10


class LocalContext:
    """The files of one directory, walked when they are first needed. `ignored` are the rules of its ignore file.

    `now` is the time in nanoseconds at which the command started. `remember` writes the table of stats. `early` gives
    the signature if it was worked out before.
    """

    def __init__(
        self,
        root: Path,
        store: "Store",
        now: int,
        ignored: Matcher | None = None,
        early: Callable[[], Signature | None] | None = None,
    ) -> None:
        if not root.is_dir():
            raise NotFoundError(f"the build context {root} is not a directory", "name the directory of the sources")
        self.root = root
        self._ignored = ignored
        self._store = store
        self._now = now
        self._early = early
        self._files: Walked | None = None
        self._signature: Signature | None = None
        # The signature by which selections of files were named, without a look at the files.
        self._relied = ""
        self._plain = ignored is None

    @property
    def files(self) -> "Walked":
        """The files, as they were when this was first read."""
        if self._files is None:
            from polyarch.builder.contexts.walked import Walked

            signing = Signing()
            ours = (os.geteuid(), os.getegid())
            files = Walked(str(self.root), _digest, self._now - TICK)
            for found in _walk(str(self.root), self._ignored, signing):
                self._plain = self._plain and (found.entry.uid, found.entry.gid) == ours
                files.add(found, _capability(found.path) if _may_run(found.entry) else ())
            files.finish()
            files.recall(self._read_table())
            self._signature = signing.signature()
            self._files = files
        return self._files

    @property
    def plain(self) -> bool:
        """Whether a RUN may see `root` itself: nothing is ignored, and every file belongs to the current user."""
        return self.files is not None and self._plain

    def signature(self) -> str:
        """A text that changes whenever something in the directory changes, by stats alone; "" if that is not certain.

        A file that changes after its stat was taken gives another signature next time.
        """
        if self._signature is None:
            found = self._early() if self._early is not None else None
            self._signature = found or sign(str(self.root), self._ignored)
        return self._signature.certain(self._now)

    def rely(self) -> None:
        """Take note that something is named by its signature, without a look at the files."""
        self._relied = self.signature()

    @property
    def changed(self) -> bool:
        """Whether the files that were read are not those of the signature by which something was named."""
        now = self._signature if self._files is not None else None
        return now is not None and self._relied not in ("", now.text)

    def hidden(self, pattern: str) -> tuple[str, str] | None:
        """An existing path that matches `pattern` and is ignored, and the pattern that ignores it; None if none is."""
        if self._ignored is None:
            return None
        from polyarch.builder.perform.copy import wildcards
        from polyarch.builder.perform.copy.arrange import wildcard

        try:
            for path in wildcards.matches(_Disk(self.root), pattern, wildcard):
                if path and (self.root / path).exists() and self._ignored.matches(path):
                    return path, self._ignored_by(path)
        except PolyarchError:
            pass
        return None

    def _ignored_by(self, path: str) -> str:
        assert self._ignored is not None
        including = [pattern for pattern in reversed(self._ignored.patterns) if not pattern.exclusion]
        return next((pattern.text for pattern in including if Matcher((pattern,)).matches(path)), "")

    def remember(self) -> None:
        """Store the table of stats for the next command, and that this is a large context."""
        if self._signature is not None and self._signature.count >= ahead.LARGE:
            ahead.mark(self._store.layout.contexts, self.root)
        if self._files is not None and self._files.learned:
            from polyarch.builder.contexts.walked import STATS, in_parts

            for number, rows in enumerate(in_parts(self._files.remember())):
                STATS.put(self._store.cache, self._part(number), rows)
            self._files.learned = False

    def _read_table(self) -> "Iterator[Rows]":
        from polyarch.builder.contexts.walked import STATS

        number = 0
        # A part may be older than the others: a row is used only for a file with exactly its stamp.
        while (rows := STATS.get(self._store.cache, self._part(number))) is not None:
            number += 1
            yield from rows

    def _part(self, number: int) -> str:
        """The key of a part of the table."""
        return f"{text.shown(str(self.root))}\0{number}"


class _Disk:
    """A directory as a tree in which nothing is ignored."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup`."""
        full = self._root / path
        if full.is_symlink():
            return Entry(path=path, kind="symlink", mode=0o777, link=os.readlink(full))
        if full.is_dir():
            return Entry(path=path, kind="directory", mode=0o755)
        return Entry(path=path, kind="file", mode=0o644) if full.exists() else None

    def names(self, path: str) -> tuple[str, ...]:
        """Implements `SourceTree`."""
        return tuple(sorted(os.listdir(self._root / path)))

    def inode(self, path: str) -> str:
        """Implements `SourceTree`."""
        return path


def unpacked(arranged: "Arrangement", store: "Store") -> Path:
    """The files of a context as a directory for a RUN: without ignored files, and owned by root.

    It is a snapshot; its key covers everything that a process can see of the files.
    """
    from polyarch.layers.apply import apply
    from polyarch.layers.pack import tar_stream

    key = arranged.fingerprint(times=True)
    known = store.snapshots.get(key)
    if known is not None:
        return known
    with store.snapshots.prepare(key) as snapshot:
        applied = apply(Chunks(tar_stream(arranged.contents())), str(snapshot.path))
        return snapshot.commit(applied.size)


class Chunks:
    """An iterator of bytes as a Readable."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Implements `oci.place.Readable`."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(chunk)
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)


def _walk(root: str, ignored: Matcher | None, signing: Signing) -> Iterator[WalkedEntry]:
    """What is below `root` and not ignored. An ignored directory is included if a `!` pattern includes a file in it.

    `signing` gets the same values as from `stamps`.
    """
    states: dict[str, State] = {}
    held: dict[str, WalkedEntry] = {}
    for found in walk(root, None if ignored is None else skipping(ignored, states)):
        path = found.entry.path
        signing.add([(path, found.mode, found.stamp)])
        if ignored is None:
            yield found
            continue
        if found.entry.kind == "directory" and states[path].matched:
            held[path] = found
            continue
        above = []
        while (path := parent_of(path)) in held:
            above.append(held.pop(path))
        yield from reversed(above)
        yield found


def _may_run(entry: Entry) -> bool:
    return entry.kind == "file" and bool(entry.mode & 0o111)


def _capability(path: str) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes to keep: only a program's capabilities, as in BuildKit's layers. The others belong to
    this machine.
    """
    try:
        with short(path) as near:
            return ((_CAPABILITY, os.getxattr(near, _CAPABILITY, follow_symlinks=False)),)
    except OSError:
        return ()  # the file has none, or the file system does not support them


def _digest(path: str) -> str:
    import hashlib  # 3 ms, if no file needs to be read

    try:
        descriptor = open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PolyarchError(f"{shown(path)} cannot be read: {error.strerror}", "exclude it in .dockerignore") from error
    # hashlib.file_digest clears a buffer of 256 KiB for each file, which costs more than most files' hashes.
    digest = hashlib.sha256()
    try:
        while chunk := os.read(descriptor, _CHUNK):
            digest.update(chunk)
    except OSError as error:
        raise PolyarchError(f"{shown(path)} cannot be read: {error.strerror}", "exclude it in .dockerignore") from error
    finally:
        os.close(descriptor)
    return digest.hexdigest()
