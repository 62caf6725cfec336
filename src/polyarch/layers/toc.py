"""A layer's table of contents: its listing and where the layer can be entered, for readers that need not read it all.

It is a blob of its own, which an annotation of the layer's descriptor names with its digest, so its bytes are as sure
as the manifest is. Nothing else refers to it, and every reader can do without it: other tools copy the layer alone,
and a registry may delete what no manifest lists. Then the layer itself is read. Until the layer is
read, the table is a claim of the image's author, like the diff ids of a config.

The layers of Polyarch before 0.1 had it at their own end, in the extra fields (RFC 1952, section 2.3.1.1) of empty gzip
members. Programs that read one member only saw a part of such layers. They are still read here.
"""

import io

from polyarch.errors import CorruptError
from polyarch.layers.compression import decompress
from polyarch.layers.entry import clean
from polyarch.layers.listing import Listing, decode
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.layer_table import LARGEST_TABLE, TablePlace

# Below this, a layer is read as soon as its table.
_LEAST_LAYER = 1 << 20
_SHARE = 8
_LEVEL = 6
# What a table may inflate to, some 200,000 names: a limit against bombs.
LARGEST = 16 << 20

# Of the old form: gzip, deflate, with an extra field, no time, no hints, of no system.
_HEADER = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
_FIELD = b"PA"
# An empty deflate block, the CRC-32 and the length of nothing.
_NOTHING = b"\x03\x00" + bytes(8)


def encode(listing: bytes, blob_size: int) -> bytes:
    """The table of a layer of `blob_size` bytes; empty where one is not worth its room. `listing` is encoded."""
    if blob_size < _LEAST_LAYER or len(listing) > LARGEST:
        return b""
    from deflate import gzip_compress

    packed = bytes(gzip_compress(listing, _LEVEL))
    return b"" if len(packed) > min(LARGEST_TABLE, blob_size // _SHARE) else packed


def name(table: bytes) -> str:
    """What the annotation of a layer says of a table that `encode` gave."""
    return str(TablePlace(size=len(table), digest=digests.of(table)))


def read(raw: bytes, place: TablePlace, layer: Descriptor) -> Listing:
    """The listing of `layer` in the bytes that were found at a place, see `unpack`."""
    return unpack(raw, place, layer)[0]


def unpack(raw: bytes, place: TablePlace, layer: Descriptor) -> tuple[Listing, bytes]:
    """The listing of `layer` in the bytes that were found at a place, and its encoding.

    Raises CorruptError where they are others than it says, or of another layer.
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
    """What the extra fields of members in the old form hold."""
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
