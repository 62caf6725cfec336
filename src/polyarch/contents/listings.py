"""The remembered listings of layers: the only place that reads and writes them.

A listing is found by the diff id of its layer. It is made when the layer is packed, or in one read of its blob, which
also verifies the diff id.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from polyarch.contents.layer import LayerBlob
from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.listing import ListedEntry, Listing, Look
    from polyarch.store import Store


def _encode(listing: "Listing") -> bytes:
    return listing.encode()


def _decode(raw: bytes) -> "Listing":
    from polyarch.layers.listing import decode

    return decode(raw)


_LISTINGS: "Table[Digest, Listing]" = Table(tables.LISTING, _encode, _decode)
# By the digest of a table of contents (layers/toc.py), or of a blob whose diff id was not verified.
_TOCS: "Table[Digest, Listing]" = Table(tables.TOC, _encode, _decode)


def find(store: "Store", diff_id: Digest, wanted: "Callable[[ListedEntry], bool] | None" = None) -> "Listing | None":
    """The listing of a layer, with only the entries that are `wanted`; None if it is not remembered."""
    if wanted is None:
        return _LISTINGS.get(store.cache, diff_id)
    from polyarch.layers.listing import decode

    return _LISTINGS.get(store.cache, diff_id, lambda raw: decode(raw, wanted))


def find_blocks(store: "Store", diff_id: Digest) -> "Listing | None":
    """The listing without its entries: where the blocks of its blob are. None if it is not remembered."""
    from polyarch.layers.listing import decode_blocks

    return _LISTINGS.get(store.cache, diff_id, decode_blocks)


def is_known(store: "Store", diff_id: Digest) -> bool:
    """Whether the listing of a layer is remembered."""
    return _LISTINGS.has(store.cache, diff_id)


def remember(store: "Store", diff_id: Digest, encoded: bytes) -> None:
    """Remember a listing that `Listing.encode` encoded."""
    _LISTINGS.put_encoded(store.cache, diff_id, encoded)


def read(layer: LayerBlob, blob: Readable, store: "Store | None", look: "Look | None" = None) -> "Listing":
    """The listing of a layer from one read of its blob, remembered in `store` if that is given. `look` is called with
    each file and its content. Raises CorruptError if the blob is damaged, or is not the layer that the config names.
    """
    from polyarch.layers.compression import LARGEST
    from polyarch.layers.listing import scan

    limit = LARGEST if store is None else store.largest_layer
    algorithm = digests.algorithm(layer.diff_id)
    diff_id, listing = scan(blob, layer.blob.digest, limit, look, algorithm=algorithm)
    if diff_id != layer.diff_id:
        raise CorruptError(
            f"the layer {layer.blob.digest} does not match the image's config: "
            f"its tar has the digest {diff_id}, not {layer.diff_id}",
            "the image is damaged; pull or build it again",
        )
    if store is not None:
        remember(store, layer.diff_id, listing.encode())
    return listing


def read_by_table(layer: LayerBlob, blob: Readable, table: "Listing", store: "Store") -> "Listing | None":
    """The same as `read`, with the places of the blocks that `table` says, which the diff id proves; None if they are
    wrong, or the blob is damaged. Then the blob must be read from its beginning.
    """
    from polyarch.layers.blockwise import BlockwiseReader
    from polyarch.layers.listing import scan_plain

    limit = store.largest_layer
    try:
        tar = BlockwiseReader(blob, table, limit)
        diff_id, listing = scan_plain(tar, table, digests.algorithm(layer.diff_id), limit)
    except CorruptError:
        return None
    if diff_id != layer.diff_id:
        return None
    remember(store, layer.diff_id, listing.encode())
    return listing


def find_table(store: "Store", blob: Descriptor) -> "Listing | None":
    """The table of contents of a layer with the places of its blocks; None if it is not in the store."""
    from polyarch.layers import toc

    place = layer_table.find(blob)
    if place is None or place.offset is not None:
        return None
    found = find_toc(store, place.digest)
    if found is None:
        table, offset = place.within(blob)
        try:
            found = toc.read(store.read_range(table, offset, place.size), place, blob)
        except PolyarchError:
            return None
    return found if found.stream and found.blocks and found.blob == blob.digest else None


def read_unverified(blob: Descriptor, reader: Readable, store: "Store | None", look: "Look | None" = None) -> "Listing":
    """The listing of a layer from one read of its blob, whose diff id is not verified; remembered by the blob's digest
    if `store` is given. `look` is called with each file and its content.

    It is what the author of the blob says, as a table of contents is, and is found with `find_toc`.
    """
    from polyarch.layers.compression import LARGEST
    from polyarch.layers.listing import scan_unhashed

    listing = scan_unhashed(reader, blob.digest, LARGEST if store is None else store.largest_layer, look)
    if store is not None:
        remember_toc(store, blob.digest, listing.encode())
    return listing


def find_toc(store: "Store", digest: Digest) -> "Listing | None":
    """The listing in a table of contents, by its digest; None if it is not remembered."""
    return _TOCS.get(store.cache, digest)


def is_toc_known(store: "Store", digest: Digest) -> bool:
    """Whether a table of contents is remembered."""
    return _TOCS.has(store.cache, digest)


def remember_toc(store: "Store", digest: Digest, encoded: bytes) -> None:
    """Remember what a table of contents says, encoded as `Listing.encode` does it."""
    _TOCS.put_encoded(store.cache, digest, encoded)
