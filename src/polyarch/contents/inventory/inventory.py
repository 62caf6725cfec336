"""The inventory of a layer: what the files of package managers in it say, remembered by diff id.

A base is read once for all images that are built on it. One read of the layer also makes its listing if there is none.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from polyarch import progress
from polyarch.contents import listings, reading
from polyarch.contents.binaries import is_candidate
from polyarch.contents.inventory import apk, dpkg, java_names, npm, python, rpm, ruby
from polyarch.contents.inventory.component import InventoryFile
from polyarch.contents.layer import LayerBlob
from polyarch.errors import PolyarchError
from polyarch.oci.place import Readable, Source
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.listing import ListedEntry, Listing
    from polyarch.oci.digest import Digest
    from polyarch.store import Store

_DATABASE = 64 << 20
_RPM_DATABASE = 256 << 20
_METADATA = 4 << 20
_LARGE = 512 << 20
_PIECE = 1 << 20
# What is larger and must be read in any order lies in a temporary file.
_IN_MEMORY = 48 << 20
_ELF = b"\x7fELF"

# For each kind of file: which paths it has, the reader, and how large a file may be.
_READERS: tuple[tuple[Callable[[str], bool], Callable[[bytes], InventoryFile], int], ...] = (
    (dpkg.is_database, dpkg.read, _DATABASE),
    (dpkg.is_copyright, dpkg.read_copyright, _METADATA),
    (apk.is_database, apk.read, _DATABASE),
    (rpm.is_database, rpm.read, _RPM_DATABASE),
    (rpm.is_log, rpm.read_log, _RPM_DATABASE),
    (rpm.is_manifest, rpm.read_manifest, _METADATA),
    (python.is_metadata, python.read, _METADATA),
    (npm.is_package, npm.read_package, _METADATA),
    (npm.is_lock, npm.read_lock, _DATABASE),
    (ruby.is_specification, ruby.read, _METADATA),
)


class Inventory(msgspec.Struct, frozen=True, array_like=True):
    """What files say, by the offset of their data, which is unique in a layer."""

    files: dict[int, InventoryFile] = {}


# Built here, as in `layers.listing`: several threads may decode the first one at the same time.
_decode = msgspec.msgpack.Decoder(Inventory).decode
_INVENTORIES: "Table[Digest, Inventory]" = Table(tables.INVENTORY, msgspec.msgpack.encode, _decode)


def is_read(entry: "ListedEntry") -> bool:
    """Whether an entry is a file of a package manager, or a program that may say what is in it."""
    if entry.kind != "file":
        return False
    path = entry.path
    return any(matches(path) for matches, _, _ in _READERS) or java_names.is_archive(path) or is_candidate(entry)


class InventoryCollector:
    """Collects the inventory of one layer while its files are read. It owns nothing."""

    def __init__(self) -> None:
        self._files: dict[int, InventoryFile] = {}

    def look(self, entry: "ListedEntry", content: Readable) -> None:
        """Read a file if it has packages."""
        for matches, read, limit in _READERS:
            if matches(entry.path):
                if entry.size > limit:
                    self._files[entry.offset] = _too_large(entry, limit)
                elif entry.size:
                    self._files[entry.offset] = read(b"".join(iter(lambda: content.read(_PIECE), b"")))
                return
        if java_names.is_archive(entry.path):
            from polyarch.contents.inventory import java

            self._look_inside(entry, b"", content, java.read)
        elif is_candidate(entry) and (start := content.read(len(_ELF))) == _ELF:
            from polyarch.contents.inventory import executables

            self._look_inside(entry, start, content, executables.read)

    def _look_inside(
        self, entry: "ListedEntry", start: bytes, content: Readable, read: Callable[[str, BinaryIO], InventoryFile]
    ) -> None:
        """Read a file that must be read in any order. Most have no packages."""
        if entry.size > _LARGE:
            found = _too_large(entry, _LARGE)
        else:
            with _seekable(entry.size, start, content) as file:
                found = read(entry.path, file)
        if found.components or found.notes:
            self._files[entry.offset] = found

    def inventory(self) -> Inventory:
        """The inventory of all files so far."""
        return Inventory(self._files)


def _too_large(entry: "ListedEntry", limit: int) -> InventoryFile:
    return InventoryFile(notes=(f"it has {entry.size} bytes, more than the {limit} that are read",))


@contextlib.contextmanager
def _seekable(size: int, start: bytes, content: Readable) -> Iterator[BinaryIO]:
    """The bytes `start` and the rest of `content` as a file; on disk if they are many."""
    pieces = itertools.chain((start,), iter(lambda: content.read(_PIECE), b""))
    if size <= _IN_MEMORY:
        yield io.BytesIO(b"".join(pieces))
        return
    import tempfile

    with tempfile.TemporaryFile() as file:
        for piece in pieces:
            try:
                file.write(piece)
            except OSError as error:
                raise PolyarchError(
                    f"the temporary directory {tempfile.gettempdir()} cannot hold a large file of the image: {error}",
                    "free space there, or set TMPDIR to another directory",
                ) from error
        file.seek(0)
        yield cast(BinaryIO, file)


def take(
    source: Source, layer: LayerBlob, store: "Store | None", emit: progress.Emit = progress.ignore
) -> "tuple[Listing, Inventory]":
    """Listing and inventory of a layer. If `store` is given, both are remembered in it.

    Raises CorruptError if the layer is damaged or does not match the config, and the errors of reading it.
    """
    listing = listings.find(store, layer.diff_id) if store is not None else None
    known = _INVENTORIES.get(store.cache, layer.diff_id) if store is not None else None
    if listing is not None and known is not None:
        return listing, known
    with progress.reported(emit, f"inventory {layer.diff_id}", f"read {layer.blob.digest}"):
        collector = InventoryCollector()
        listing = reading.visit(source, layer, store, listing, is_read, collector.look)
        inventory = collector.inventory()
        if store is not None:
            _INVENTORIES.put(store.cache, layer.diff_id, inventory)
    return listing, inventory


def take_all(
    source: Source,
    layers: Iterable[LayerBlob],
    store: "Store | None",
    emit: progress.Emit = progress.ignore,
    workers: int = 4,
) -> "dict[Digest, tuple[Listing, Inventory]]":
    """The same for several layers on a few threads, each different layer once. Raises as `take`."""
    from concurrent.futures import ThreadPoolExecutor

    distinct = {layer.diff_id: layer for layer in layers}
    with ThreadPoolExecutor(max(1, min(workers, len(distinct))), thread_name_prefix="inventory") as pool:
        taken = pool.map(lambda layer: take(source, layer, store, emit), distinct.values())
        return dict(zip(distinct, taken, strict=True))
