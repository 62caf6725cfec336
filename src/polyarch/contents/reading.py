"""Reading the files of a layer. If its listing is known and the layer is compressed in blocks, only the blocks with
wanted files are read, with range requests if its blob is in a registry. Otherwise the blob is read from its beginning.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from polyarch.contents import listings
from polyarch.contents.layer import LayerBlob
from polyarch.errors import CorruptError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader, Ranged, Readable, Source

if TYPE_CHECKING:
    from polyarch.layers.listing import ListedEntry, Listing, Look
    from polyarch.store import Store

_PIECE = 1 << 20


def visit(
    source: Source,
    layer: LayerBlob,
    store: "Store | None",
    listing: "Listing | None",
    wanted: "Callable[[ListedEntry], bool]",
    look: "Look",
) -> "Listing":
    """Call `look` with at least the `wanted` files of a layer, each with its content. Returns the listing.

    If `listing` is None, the same read makes it, and `store` remembers it. Raises CorruptError if the layer is damaged
    or does not match the config, and the errors of reading it.
    """
    if listing is None:
        with source.open_blob(layer.blob) as reader:
            return listings.read(layer, reader, store, look)
    for entry, content in read_files(source, layer, listing, filter(wanted, listing.entries)):
        look(entry, content)
    return listing


def read_files(
    source: Source, layer: LayerBlob, listing: "Listing", entries: "Iterable[ListedEntry]"
) -> "Iterator[tuple[ListedEntry, Readable]]":
    """The files `entries` of a layer with their content. Raises as `layers.sequential.read_files`."""
    from polyarch.layers import sequential

    opener = _Opener(source, layer.blob, whole=not (listing.blob and listing.blob == layer.blob.digest))
    return sequential.read_files(opener, listing, layer.blob.digest, entries)


class _Opener:
    """Opens a blob for reading files: from its beginning, verified, or in the middle, piece by piece."""

    def __init__(self, source: Source, blob: Descriptor, *, whole: bool) -> None:
        self._source = source
        self._blob = blob
        self._whole = whole or not isinstance(source, Ranged)

    def __call__(self, offset: int) -> BlobReader:
        if self._whole:
            if offset:
                raise CorruptError(f"{self._blob.digest} cannot be entered at byte {offset}")
            return self._source.open_blob(self._blob)
        assert isinstance(self._source, Ranged)
        return _Pieces(self._source, self._blob, offset)


class _Pieces:
    """A blob from an offset on, fetched a piece at a time. It owns nothing."""

    def __init__(self, source: Ranged, blob: Descriptor, offset: int) -> None:
        self._source = source
        self._blob = blob
        self._at = offset
        self._piece = b""
        self._used = 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if self._used == len(self._piece):
            left = self._blob.size - self._at
            if left <= 0 or not size:
                return b""
            self._piece, self._used = self._source.read_range(self._blob, self._at, min(_PIECE, left)), 0
            self._at += len(self._piece)
        start, self._used = self._used, min(self._used + size, len(self._piece))
        return self._piece[start : self._used]

    def close(self) -> None:
        return

    def __enter__(self) -> "_Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        return
