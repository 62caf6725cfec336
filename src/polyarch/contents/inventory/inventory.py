"""The inventory of a layer: what the files of package managers in it say, remembered by the digest of its blob.

A base is read once for all images that are built on it. One read of the layer also makes its listing if there is none.
The digest of the blob is verified. The diff id is not: to hash the unpacked bytes, too, would take a fifth of the time.
So an inventory is remembered by diff id only where that is proven.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import msgspec

from polyarch import progress
from polyarch.contents import listings, reading
from polyarch.contents.binaries import is_candidate
from polyarch.contents.inventory import apk, dpkg, executables, java_names, npm, python, rpm, ruby, scattered
from polyarch.contents.inventory.component import InventoryFile
from polyarch.contents.layer import LayerBlob
from polyarch.errors import PolyarchError
from polyarch.layers.reader import TarReader
from polyarch.oci.place import Readable, Source
from polyarch.store import tables
from polyarch.store.tables import Table
from polyarch.transfer.pool import WorkerPool

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


class _Kind(NamedTuple):
    """A kind of file: how its names end, which paths it has exactly, how it is read, and how large it may be."""

    endings: tuple[str, ...]
    matches: Callable[[str], bool]
    read: Callable[[bytes], InventoryFile]
    limit: int


_READERS = (
    _Kind(dpkg.ENDINGS, dpkg.is_database, dpkg.read, _DATABASE),
    _Kind(dpkg.ENDINGS, dpkg.is_copyright, dpkg.read_copyright, _METADATA),
    _Kind(apk.ENDINGS, apk.is_database, apk.read, _DATABASE),
    _Kind(rpm.ENDINGS, rpm.is_database, rpm.read, _RPM_DATABASE),
    _Kind(rpm.ENDINGS, rpm.is_log, rpm.read_log, _RPM_DATABASE),
    _Kind(rpm.ENDINGS, rpm.is_manifest, rpm.read_manifest, _METADATA),
    _Kind(python.ENDINGS, python.is_metadata, python.read, _METADATA),
    _Kind(npm.ENDINGS, npm.is_package, npm.read_package, _METADATA),
    _Kind(npm.ENDINGS, npm.is_lock, npm.read_lock, _DATABASE),
    _Kind(ruby.ENDINGS, ruby.is_specification, ruby.read, _METADATA),
)
# Most files of an image have none of these names, and need no further question.
_ENDINGS = (*dict.fromkeys(ending for reader in _READERS for ending in reader.endings), *java_names.ENDINGS)


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
    named = _may_match(path) and (any(reader.matches(path) for reader in _READERS) or java_names.is_archive(path))
    return named or is_candidate(entry)


def _may_match(path: str) -> bool:
    """Whether one of the readers may match a path. In dpkg's status.d, files have the names of packages."""
    return path.endswith(_ENDINGS) or path.startswith(dpkg.DIRECTORY)


class InventoryCollector:
    """Collects the inventory of one layer while its files are read. It owns nothing."""

    def __init__(self) -> None:
        self._files: dict[int, InventoryFile] = {}

    def look(self, entry: "ListedEntry", content: Readable) -> None:
        """Read a file if it has packages."""
        if _may_match(entry.path):
            for reader in _READERS:
                if reader.matches(entry.path):
                    if entry.size > reader.limit:
                        self._files[entry.offset] = _too_large(entry, reader.limit)
                    elif entry.size:
                        self._files[entry.offset] = reader.read(b"".join(_pieces(content)))
                    return
            if java_names.is_archive(entry.path):
                self._look_inside(entry, content)
                return
        if is_candidate(entry) and (start := content.read(len(_ELF))) == _ELF:
            self._look_into(entry, start, content)

    def _look_inside(self, entry: "ListedEntry", content: Readable) -> None:
        """Read an archive of Java, whose table is at its end."""
        from polyarch.contents.inventory import java

        if entry.size > _LARGE:
            self._keep(entry, _too_large(entry, _LARGE))
            return
        with _seekable(entry.size, content) as file:
            self._keep(entry, java.read(entry.path, file))

    def _look_into(self, entry: "ListedEntry", start: bytes, content: Readable) -> None:
        """Read a program, whose sections may be anywhere."""
        if entry.size > _LARGE:
            self._keep(entry, _too_large(entry, _LARGE))
        elif entry.size > _IN_MEMORY:
            with _seekable(entry.size, content, start) as file:
                self._keep(entry, executables.read(file))
        else:
            rest = content.views() if isinstance(content, TarReader) else _pieces(content)
            self._keep(entry, executables.read(scattered.Scattered(itertools.chain((start,), rest))))

    def _keep(self, entry: "ListedEntry", found: InventoryFile) -> None:
        """Most programs and archives have no packages."""
        if found.components or found.notes:
            self._files[entry.offset] = found

    def inventory(self) -> Inventory:
        """The inventory of all files so far."""
        return Inventory(self._files)


def _too_large(entry: "ListedEntry", limit: int) -> InventoryFile:
    return InventoryFile(notes=(f"it has {entry.size} bytes, more than the {limit} that are read",))


def _pieces(content: Readable) -> Iterator[bytes]:
    return iter(lambda: content.read(_PIECE), b"")


@contextlib.contextmanager
def _seekable(size: int, content: Readable, start: bytes = b"") -> Iterator[BinaryIO]:
    """The bytes `start` and the rest of `content` as a file; on disk if they are many."""
    pieces = itertools.chain((start,), _pieces(content))
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

    Raises CorruptError if the layer is damaged, and the errors of reading it.
    """
    listing, known = (None, None) if store is None else _find(store, layer)
    if listing is not None and known is not None:
        return listing, known
    with progress.reported(emit, f"inventory {layer.diff_id}", f"read {layer.blob.digest}"):
        collector = InventoryCollector()
        if listing is None:
            with source.open_blob(layer.blob) as reader:
                listing = listings.read_unverified(layer.blob, reader, store, collector.look)
        else:
            listing = reading.visit(source, layer, store, listing, is_read, collector.look)
        inventory = collector.inventory()
        if store is not None:
            proven = listing.blob == layer.blob.digest and listings.is_known(store, layer.diff_id)
            _INVENTORIES.put(store.cache, layer.diff_id if proven else layer.blob.digest, inventory)
    return listing, inventory


def _find(store: "Store", layer: LayerBlob) -> "tuple[Listing | None, Inventory | None]":
    """What is remembered of a layer: by its diff id, or else by its blob."""
    listing = listings.find(store, layer.diff_id)
    known = None if listing is None else _INVENTORIES.get(store.cache, layer.diff_id)
    return (
        listing or listings.find_toc(store, layer.blob.digest),
        known or _INVENTORIES.get(store.cache, layer.blob.digest),
    )


def _keep_freed_memory() -> None:
    """Let glibc keep what this process frees from now on, in blocks up to this size. It would give their pages back to
    the kernel and ask for them again for the next piece. A block that was mapped and freed raises its limits: see
    M_MMAP_THRESHOLD in mallopt(3).
    """
    bytes(_PIECE)


def take_all(
    source: Source,
    layers: Iterable[LayerBlob],
    store: "Store | None",
    emit: progress.Emit = progress.ignore,
    workers: int = 4,
) -> "dict[Digest, tuple[Listing, Inventory]]":
    """The same for several layers on a few threads, by the digests of their blobs. Raises as `take`."""
    distinct = {layer.blob.digest: layer for layer in layers}
    _keep_freed_memory()
    with WorkerPool(workers) as pool:
        taken = pool.spread(lambda layer: take(source, layer, store, emit), list(distinct.values()))
    return dict(zip(distinct, taken, strict=True))
