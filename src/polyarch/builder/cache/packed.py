"""Layers packed into blobs in one pass. The blob of a snapshot is remembered.

The layer of a RUN step is an unpacked directory. It is packed when it is first exported, and the next export of the
same snapshot with the same compression finds that blob again.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.export.streaming import StreamedBlob, Uploads, no_upload
from polyarch.contents import listings
from polyarch.contents.layer import Layer, decode, encode
from polyarch.errors import CancelledError, CorruptError
from polyarch.oci import layer_table
from polyarch.oci.digest import Digest
from polyarch.store import tables
from polyarch.store.tables import Kept, Table

if TYPE_CHECKING:
    from polyarch.contents.filesystem import Filesystems
    from polyarch.layers.compression import Compression
    from polyarch.layers.entry import Entry, Item
    from polyarch.layers.reuse import ReusableBlocks
    from polyarch.store import Store


def kept(layer: Layer) -> Kept:
    """The blobs that must be in the store for a remembered layer to be usable, and its table of contents."""
    blobs = set[Digest]()
    if layer.blob is not None:
        table = layer_table.find(layer.blob)
        blobs = {layer.blob.digest} | ({table.digest} if table is not None else set())
    return Kept(frozenset(blobs), frozenset(filter(None, (layer.snapshot,))))


# By snapshot and compression.
_PACKED: Table[str, Layer] = Table(tables.PACKED, encode, decode, kept)
# By the text of a COPY and the compression.
_LAST: Table[str, Layer] = Table(tables.LAST, encode, decode)


def pack(
    store: "Store",
    items: "Iterable[Item]",
    compression: "Compression",
    workers: int,
    like: Layer | None = None,
    uploads: Uploads = no_upload,
    entries: "Iterable[Entry] | None" = None,
) -> Layer:
    """Make the blob of a layer in one pass, and remember its listing. Raises what `layers.pack` raises.

    `entries` are those of `items`; a zstd layer begins with their size. They are not read for other compressions.

    `like` is a layer of the same compression that may have blocks in common with it. `uploads` begins an upload of
    the blob while it is made (`export/streaming.py`).
    """
    from polyarch.layers import pack as packing
    from polyarch.layers import stargz

    size = packing.tar_size(entries) if entries is not None and compression.kind == "zstd" else None
    with StreamedBlob(store, uploads) as writer, ExitStack() as opened:
        known = opened.enter_context(found) if (found := _blocks(store, like, compression)) else None
        make = stargz.pack if compression.kind == "estargz" else packing.pack
        packed = make(items, writer, compression, workers, known, size)
        writer.keep(packed.digest)
    if packed.toc:
        with store.new_blob() as table:
            table.write(packed.toc)
            table.commit()
    listings.remember(store, packed.diff_id, packed.encoded)
    return Layer(diff_id=packed.diff_id, blob=packed.descriptor())


def _blocks(store: "Store", like: Layer | None, compression: "Compression") -> "ReusableBlocks | None":
    if like is None or like.blob is None or compression.kind != "gzip" or not store.has_blob(like.blob):
        return None
    from polyarch.layers.reuse import ReusableBlocks

    listing = listings.find_blocks(store, like.diff_id)
    if listing is None or listing.blob != like.blob.digest:
        return None
    try:
        return ReusableBlocks(str(store.blob_path(like.blob.digest)), like.blob.size, listing)
    except (CorruptError, FileNotFoundError):
        return None


def of_snapshot(
    store: "Store",
    filesystems: "Filesystems",
    layer: Layer,
    compression: "Compression",
    workers: int,
    *,
    epoch: int | None,
    stopped: Callable[[], bool],
) -> Layer:
    """The layer of a RUN with a blob, which is remembered. No new file gets a time after `epoch` (seconds).

    Raises CancelledError when `stopped` returns True.
    """
    known = find(store, layer, compression)
    if known is not None:
        return known

    def items() -> "Iterator[Item]":
        for entry, content in filesystems.items(layer):
            if stopped():
                raise CancelledError
            if epoch is not None and entry.mtime > epoch:
                yield msgspec.structs.replace(entry, mtime=epoch), content
            else:
                yield entry, content

    blob = pack(store, items(), compression, workers, entries=(entry for entry, _ in items()))
    remember(store, layer, compression, blob)
    return blob


def find(store: "Store", layer: Layer, compression: "Compression") -> Layer | None:
    """The blob that the snapshot of `layer` was packed to before, if it is remembered and still in the store."""
    known = _PACKED.get(store.cache, _key(layer, compression))
    if known is None or known.blob is None or not store.has_blob(known.blob):
        return None
    return msgspec.structs.replace(known, created=layer.created)


def remember(store: "Store", layer: Layer, compression: "Compression", blob: Layer) -> None:
    """Remember what the snapshot of `layer` was packed to."""
    _PACKED.put(store.cache, _key(layer, compression), blob)


def find_last(store: "Store", same: str) -> Layer | None:
    """The layer of the last COPY of the name `same`; None if it is not remembered."""
    return _LAST.get(store.cache, same)


def remember_last(store: "Store", same: str, layer: Layer) -> None:
    """Remember the layer of a COPY for the next COPY of the same name, which may have blocks in common with it."""
    _LAST.put(store.cache, same, layer)


def _key(layer: Layer, compression: "Compression") -> str:
    return f"{layer.snapshot} {compression.tag()}"
