"""Open and read the bytes of an entry: from a local file, from memory, or from a function that opens them.

A local file must not change while it is read. If it changed, vanished or became something else, the error names it; the
result is never a mix of two versions.
"""

import hashlib
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError
from polyarch.layers.entry import Content, Entry, LocalFile, Stamp
from polyarch.layers.longpaths import open_file, shown
from polyarch.oci.place import BlobReader

_PIECE = 1 << 20
_UNREADABLE = "make it readable, or leave it out of the build context with .dockerignore"
_CHANGED = "it must stay as it is while it is copied; run the command again"


def read_whole(entry: Entry, content: Content) -> bytes:
    """The bytes of a small file, in one piece."""
    if isinstance(content, LocalFile):
        return _read_local(content, entry.size)
    parts: list[bytes] = []
    copy_pieces(entry, content, entry.size, parts.append)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_local(content: LocalFile, size: int) -> bytes:
    """The same as `_OpenFile` for the thousands of small files of a context, with as few system calls as possible."""
    file = _open(content.path)
    try:
        data = os.read(file, size)
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        after = stamp_of(os.fstat(file))
    except OSError as error:
        raise PolyarchError(f"{shown(content.path)} cannot be read: {error.strerror}", _UNREADABLE) from error
    finally:
        os.close(file)
    if len(data) != size or after != content.stamp:
        raise ConflictError(f"{shown(content.path)} changed while it was being packed", _CHANGED)
    if content.tell is not None:
        content.tell(hashlib.sha256(data).hexdigest())
    return data


def copy_pieces(entry: Entry, content: Content, size: int, put: Callable[[bytes], None]) -> None:
    """Pass the entry's bytes to `put`, in pieces of `size` bytes except the last.

    Raises ConflictError if there are more or fewer bytes than the entry says, or if they change meanwhile.
    """
    with open_content(entry, content) as reader:
        left = entry.size
        while left:
            chunk = _exactly(entry, min(left, size), reader.read)
            put(chunk)
            left -= len(chunk)


def open_content(entry: Entry, content: Content) -> BlobReader:
    """A reader of the entry's bytes.

    Raises NotFoundError, ConflictError, PolyarchError naming a file that is gone, is not what the entry says, or cannot
    be read; closing it raises ConflictError if the file has changed since it was opened.
    """
    if isinstance(content, bytes):
        if len(content) != entry.size:
            raise CorruptError(f"{entry.path} was said to have {entry.size} bytes and has {len(content)}")
        return _Bytes(content)
    if isinstance(content, str):
        return _OpenFile(content, entry.size, None)
    if isinstance(content, LocalFile):
        return _OpenFile(content.path, entry.size, content.stamp, content.tell)
    return content()


class _Bytes:
    """Bytes as a reader."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        end = len(self._content) if size < 0 else self._at + size
        chunk = self._content[self._at : end]
        self._at += len(chunk)
        return chunk

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _OpenFile:
    """A file of this machine that must not change while it is read. It owns the descriptor.

    If it was read to its end, it reports its digest when it is closed, as `LocalFile` says.
    """

    def __init__(self, path: str, size: int, stamp: Stamp | None, tell: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._left = size
        self._tell = tell
        self._digest = hashlib.sha256() if tell is not None else None
        self._file = _open(path)
        self._before = stamp_of(os.fstat(self._file))
        if self._before[4] != size or (stamp is not None and self._before != stamp):
            os.close(self._file)
            raise ConflictError(f"{shown(path)} changed while it was being packed", _CHANGED)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        try:
            chunk = os.read(self._file, size)
        except OSError as error:
            raise PolyarchError(f"{shown(self._path)} cannot be read: {error.strerror}", _UNREADABLE) from error
        if self._digest is not None:
            self._digest.update(chunk)
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        if self._file < 0:
            return
        try:
            after = stamp_of(os.fstat(self._file))
        finally:
            os.close(self._file)
            self._file = -1
        if after != self._before:
            raise ConflictError(f"{shown(self._path)} changed while it was being packed", _CHANGED)
        if self._digest is not None and self._tell is not None and not self._left:
            self._tell(self._digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: str) -> int:
    # Without O_NOFOLLOW, a link in place of the file could lead anywhere. Without O_NONBLOCK, opening a fifo in place
    # of the file would block.
    try:
        return open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError(f"{shown(path)} vanished while it was being packed", _CHANGED) from error
    except OSError as error:
        raise PolyarchError(f"{shown(path)} cannot be read: {error.strerror}", _UNREADABLE) from error


def stamp_of(status: os.stat_result) -> Stamp:
    """A value that stays the same as long as the file's bytes do."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _exactly(entry: Entry, size: int, read: Callable[[int], bytes]) -> bytes:
    chunk = read(size)
    if len(chunk) == size:
        return chunk
    parts = [chunk]
    missing = size - len(chunk)
    while missing:
        more = read(missing)
        if not more:
            raise ConflictError(f"{entry.path} became shorter while it was being packed", _CHANGED)
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)
