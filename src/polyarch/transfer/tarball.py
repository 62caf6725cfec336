"""The tar file of an image archive: read in place, written as a stream.

Nothing is unpacked: a member is an offset and a size in the file, so its name cannot lead anywhere on the disk. Names
that are opened come from digests, not from the archive.
"""

import posixpath
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci.place import Readable

if TYPE_CHECKING:
    from polyarch.layers.compression import Compression

# More than 127 layers for each of hundreds of platforms; less than a tar bomb of empty members.
MAX_MEMBERS = 200_000
_MAX_LINKS = 8
_CHUNK = 1 << 20
_BLOCK = 512
# gzip, zstd, xz, and bzip2 with the magic number of its first block, or of the end of an empty file.
_BZIP2 = tuple(b"BZh%d" % level + number for level in range(1, 10) for number in (b"1AY&SY", b"\x17rE8P\x90"))
_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", *_BZIP2)


class ArchiveSink(Protocol):
    """The output of a stream."""

    def write(self, data: bytes, /) -> object: ...


class ArchiveMember(msgspec.Struct, frozen=True):
    """Where a member's bytes are. For a symbolic or hard link, `link` is the path of its target in the archive."""

    offset: int
    size: int
    link: str = ""


class Section:
    """A Readable of a part of a file, with its own position: several threads can read one file."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._position = offset
        self._end = offset + size

    def read(self, size: int = -1, /) -> bytes:
        """See `place.Readable`."""
        import os

        left = self._end - self._position
        chunk = os.pread(self._descriptor, left if size < 0 else min(size, left), self._position)
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        """Does nothing: the archive owns the file."""


class Members:
    """The members of a tar file. It owns the file: `close` it, or use `with`."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self._where = where
        self._members = _scan(file, where)

    @property
    def where(self) -> str:
        """The name of the archive for messages."""
        return self._where

    def find(self, path: str) -> ArchiveMember | None:
        """The regular file at `path`, following links in the archive; None if there is none."""
        seen = 0
        member = self._members.get(posixpath.normpath(path))
        while member is not None and member.link:
            seen += 1
            member = self._members.get(member.link) if seen <= _MAX_LINKS else None
        return member

    def size(self, path: str) -> int | None:
        """The size of the file at `path`; None if there is none."""
        member = self.find(path)
        return None if member is None else member.size

    def signature(self, path: str) -> object:
        """A value that changes when the file at `path` does: in an archive, never. None if there is none."""
        return self.find(path)

    def open(self, path: str, offset: int = 0) -> Section:
        """The bytes of the file at `path` from `offset`. Raises NotFoundError."""
        member = self.find(path)
        if member is None:
            raise NotFoundError(f"{self._where} has no {path}")
        begin = min(offset, member.size)
        return Section(self._file.fileno(), member.offset + begin, member.size - begin)

    def read(self, path: str, limit: int) -> bytes:
        """The content of the file at `path`. Raises NotFoundError, CorruptError for more than `limit` bytes."""
        if (size := self.size(path)) is not None and size > limit:
            raise CorruptError(f"{path} in {self._where} has {size} bytes, more than the allowed {limit}")
        return self.open(path).read()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_tar(file: BinaryIO, spool: Callable[[], BinaryIO], where: str) -> Members:
    """Open the tar in `file`, plain or compressed, a file or a stream, and take ownership of it.

    `spool` opens a temporary file for a tar that cannot be read in place; it is closed with the members.
    Raises CorruptError.
    """
    if _in_place(file):
        return Members(file, where)
    from polyarch.layers import compression

    copy = spool()
    try:
        with file:
            content: Readable = compression.decompress(file)
            while chunk := content.read(_CHUNK):
                copy.write(chunk)
        copy.flush()
        return Members(copy, where)
    except BaseException:
        copy.close()
        raise


def _in_place(file: BinaryIO) -> bool:
    if not file.seekable():
        return False
    start = file.read(len(_MAGIC[-1]))
    file.seek(0)
    return not is_compressed(start)


def is_compressed(start: bytes) -> bool:
    """Whether content with this start is compressed with gzip, zstd, xz or bzip2. A tar starts with a file name."""
    return start.startswith(_MAGIC)


def _scan(file: BinaryIO, where: str) -> dict[str, ArchiveMember]:
    import tarfile

    members: dict[str, ArchiveMember] = {}
    end = file.seek(0, 2)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                path = _path(info.name, where)
                if info.issym():
                    members[path] = ArchiveMember(
                        0, 0, posixpath.normpath(posixpath.join(posixpath.dirname(path), info.linkname))
                    )
                elif info.islnk():
                    members[path] = ArchiveMember(0, 0, _path(info.linkname, where))
                elif info.isreg() and not info.issparse():
                    if info.offset_data + info.size > end:
                        raise CorruptError(f"{where} ends in the middle of {path}")
                    members[path] = ArchiveMember(info.offset_data, info.size)
                if len(members) > MAX_MEMBERS:
                    raise CorruptError(f"{where} has more than {MAX_MEMBERS} members")
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise CorruptError(
            f"{where} is not a tar archive: {error}", "it may be truncated, or not an archive at all"
        ) from error
    return members


def _path(name: str, where: str) -> str:
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path == "..":
        raise CorruptError(f"{where} has a member {name!r}, which points outside of it")
    return path


class Compressing:
    """Compresses what is written to it into `output`, in blocks. It owns nothing; `finish` ends it."""

    def __init__(self, output: ArchiveSink, compression: "Compression") -> None:
        self._output = output
        self._framing = compression.framing()
        self._compress = self._framing.compress
        self._pending = bytearray()
        self._crc = self._size = 0
        output.write(self._framing.start)

    def write(self, data: bytes, /) -> None:
        """Add some bytes."""
        self._pending += data
        while len(self._pending) >= _CHUNK:
            self._write(bytes(self._pending[:_CHUNK]))
            del self._pending[:_CHUNK]

    def finish(self) -> None:
        """Write the remaining bytes."""
        if self._pending:
            self._write(bytes(self._pending))
            self._pending.clear()
        self._output.write(self._framing.end(self._crc, self._size))

    def _write(self, block: bytes) -> None:
        from polyarch.layers.deflate_blocks import checksum

        self._crc = checksum(block, self._crc)
        self._size += len(block)
        self._output.write(self._compress(block))


class TarWriter:
    """Writes a deterministic tar stream: no times, no owners, files of mode 0644. It owns nothing; `finish` ends it."""

    def __init__(self, output: ArchiveSink) -> None:
        self._output = output
        self._written = 0
        self._directories: set[str] = set()

    def add(self, path: str, size: int, content: Readable) -> None:
        """Write a file, and its directories before it. Raises CorruptError if `content` does not have `size` bytes."""
        self._parents(path)
        self._header(path, size)
        left = size
        while left and (chunk := content.read(min(_CHUNK, left))):
            self._write(chunk)
            left -= len(chunk)
        if left or content.read(1):
            raise CorruptError(f"{path} does not have the {size} bytes that it claims")
        self._write(b"\0" * (-size % _BLOCK))

    def add_bytes(self, path: str, raw: bytes) -> None:
        """Write a small file."""
        self._parents(path)
        self._header(path, len(raw))
        self._write(raw + b"\0" * (-len(raw) % _BLOCK))

    def finish(self) -> None:
        """Write the end of the archive: two empty blocks, and padding to a record of twenty blocks."""
        self._write(b"\0" * (2 * _BLOCK))
        self._write(b"\0" * (-self._written % (20 * _BLOCK)))

    def _parents(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            directory = "/".join(parts[:depth])
            if directory not in self._directories:
                self._directories.add(directory)
                self._header(directory, None)

    def _header(self, path: str, size: int | None) -> None:
        import tarfile

        info = tarfile.TarInfo(path)
        info.size = size or 0
        info.mode = 0o644 if size is not None else 0o755
        info.type = tarfile.REGTYPE if size is not None else tarfile.DIRTYPE
        self._write(info.tobuf(tarfile.PAX_FORMAT))

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self._written += len(data)
