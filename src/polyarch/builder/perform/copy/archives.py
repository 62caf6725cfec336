"""Archives that ADD unpacks: recognised by their content, and read without unpacking their files to disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

from polyarch.builder.perform.copy.files import FlatFiles
from polyarch.errors import CorruptError
from polyarch.layers.compression import LARGEST, decompress
from polyarch.layers.entry import Content, Entry
from polyarch.layers.listing import ListedEntry, Listing, scan
from polyarch.layers.reader import Expanded, begins
from polyarch.oci.place import Readable

_CHUNK = 1 << 20


class AddedArchive(FlatFiles):
    """The members of a tar. `spool` is an uncompressed copy of it, which the caller owns."""

    def __init__(self, listing: Listing, spool: Path, key: str) -> None:
        self._spool = spool
        self._key = key
        # A name may occur twice, and a hard link between the two means the first.
        self._by_name: dict[str, ListedEntry] = {}
        self._members: list[tuple[Entry, str]] = []
        for entry in listing.entries:
            name = entry.path if entry.path not in self._by_name else f"{entry.path} at {entry.offset}"
            self._members.append((entry, name))
            if entry.kind == "file":
                self._by_name[name] = entry
        super().__init__((), self._slice, lambda name: f"{key} {name}")

    def order(self) -> list[tuple[Entry, str]]:
        """The members in the order of the tar, each with the name for `content` and `fingerprint`.

        The name is the member's path, unless an earlier member has the same path.
        """
        return self._members

    def _slice(self, name: str) -> Content:
        entry = self._by_name[name]
        return lambda: _Slice(self._spool, entry)


class _Slice:
    """The content of a member, with holes as zeros. It owns the open file until `close`."""

    def __init__(self, path: Path, entry: ListedEntry) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._file.seek(entry.offset)
        stored = entry.size if entry.pieces is None else sum(length for _, length in entry.pieces)
        part = _FilePart(self._file, stored)
        self._content: Readable = part if entry.pieces is None else Expanded(part, entry.size, entry.pieces)

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "_Slice":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _FilePart:
    """The next `size` bytes of a file."""

    def __init__(self, file: RawIOBase, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(self._left if size < 0 else min(size, self._left)) or b""
        self._left -= len(chunk)
        return chunk


def open_archive(content: Content, spool: Path, key: str, limit: int = LARGEST) -> AddedArchive | None:
    """The archive in `content`; None if it is not a tar, plain or compressed in a known way.

    As in docker, the bytes decide and never the name. `spool` is an unused path that the caller owns. `limit` is how
    many bytes the uncompressed archive may have.
    """
    if not is_archive(content):
        return None
    with opened(content, limit) as plain, open(spool, "wb") as file:
        while chunk := plain.read(_CHUNK):
            file.write(chunk)
    with open(spool, "rb") as file:
        _, listing = scan(file, limit=limit, nameless=True)
    return AddedArchive(listing, spool, key)


def is_archive(content: Content) -> bool:
    """Whether `content` begins like a tar, plain or compressed in a known way."""
    with opened(content) as plain:
        try:
            return begins(plain)
        except (CorruptError, OSError):
            return False


@contextmanager
def opened(content: Content, limit: int = LARGEST) -> Iterator[Readable]:
    """The tar in `content`, without its compression."""
    from io import BytesIO

    if isinstance(content, bytes):
        yield decompress(BytesIO(content), limit)
    elif callable(content):
        with content() as reader:
            yield decompress(reader, limit)
    else:
        with open(content if isinstance(content, str) else content.path, "rb") as file:
            yield decompress(file, limit)
