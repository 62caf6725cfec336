"""The table of contents of a layer: its listing, and where reading the layer can start.

With it, a reader need not read the whole layer. It is a blob of its own. An annotation of the layer's descriptor names
its digest, so its bytes are as trustworthy as the manifest. Nothing else refers to it, and it is optional for every
reader: other tools copy the layer alone, and a registry may delete a blob that no manifest lists. Then the layer itself
is read. Until the layer is read, the table is a claim of the image's author, like the diff ids of a config.

Before Polyarch 0.1, layers had their table at the end, in the extra fields (RFC 1952, section 2.3.1.1) of empty gzip
members. Programs that read only one member saw a part of such layers. This form is still read.
"""

import io

from polyarch.errors import CorruptError
from polyarch.layers.compression import decompress
from polyarch.layers.entry import clean
from polyarch.layers.listing import Listing, decode
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.layer_table import LARGEST_TABLE, TablePlace

# A smaller layer is read nearly as fast as its table, which would cost each push three requests more.
_LEAST_LAYER = 2 << 20
_SHARE = 8
_LEVEL = 6
# The maximum size of a decompressed table, about 200,000 names: a limit against bombs.
LARGEST = 16 << 20

# The header of the old form: gzip, deflate, with an extra field, no time, no flags, unknown system.
_HEADER = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
_FIELD = b"PA"
# An empty deflate block, the CRC-32 and the length of nothing.
_NOTHING = b"\x03\x00" + bytes(8)


def encode(listing: bytes, blob_size: int) -> bytes:
    """The table of a layer of `blob_size` bytes; empty if it would not save anything. `listing` is encoded."""
    if blob_size < _LEAST_LAYER or len(listing) > LARGEST:
        return b""
    from deflate import gzip_compress

    packed = bytes(gzip_compress(listing, _LEVEL))
    return b"" if len(packed) > min(LARGEST_TABLE, blob_size // _SHARE) else packed


def name(table: bytes) -> str:
    """The value of the layer's annotation for a table that `encode` returned."""
    return str(TablePlace(size=len(table), digest=digests.of(table)))


def read(raw: bytes, place: TablePlace, layer: Descriptor) -> Listing:
    """The listing of `layer` in the bytes that were read from a place, see `unpack`."""
    return unpack(raw, place, layer)[0]


def unpack(raw: bytes, place: TablePlace, layer: Descriptor) -> tuple[Listing, bytes]:
    """The listing of `layer` in the bytes that were read from a place, and its encoding.

    Raises CorruptError if the bytes do not match the place, or belong to another layer.
    """
    if len(raw) != place.size or digests.of(raw) != place.digest:
        raise CorruptError("a layer's table of contents is not what its manifest says")
    packed = raw if place.offset is None else _embedded(raw)
    encoded = decompress(io.BytesIO(packed), LARGEST).read()
    listing = decode(encoded)
    if listing.blob and listing.blob != layer.digest:
        raise CorruptError(f"a table of contents is that of the layer {listing.blob}, not of {layer.digest}")
    for entry in listing.entries:
        if clean(entry.path) != entry.path or (entry.kind == "hardlink" and clean(entry.link) != entry.link):
            raise CorruptError(f"a layer's table of contents has the name {entry.path!r}, which no listing has")
    return listing, encoded


def _embedded(raw: bytes) -> bytes:
    """The content of the extra fields of members in the old form."""
    pieces: list[bytes] = []
    at = 0
    while at < len(raw):
        start = at + len(_HEADER) + 6
        head = raw[at:start]
        fields, length = int.from_bytes(head[10:12], "little"), int.from_bytes(head[14:], "little")
        at = start + length + len(_NOTHING)
        if head[:10] != _HEADER or head[12:14] != _FIELD or fields != length + 4 or at > len(raw):
            raise CorruptError("a layer's table of contents is malformed")
        pieces.append(raw[start : start + length])
    return b"".join(pieces)
