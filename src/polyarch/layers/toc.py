"""A layer's table of contents: its listing, carried at the end of its own blob for who will not read all of it.

It lies in the extra fields (RFC 1952, section 2.3.1.1) of gzip members that hold nothing, as eStargz has its footer:
every reader passes over them, and the diff id does not know of them. The layer's descriptor says in an annotation where
it is and which digest it has, so that its bytes are as sure as the manifest is. What it says of the layer is the word
of who made the image, like the diff ids of a config, until somebody reads the layer itself.
"""

import io
import re
from collections.abc import Callable

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers.compression import decompress
from polyarch.layers.entry import clean
from polyarch.layers.listing import Listing, decode
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest

ANNOTATION = "org.polyarch.layer.toc"

_GRAMMAR = r"([1-9][0-9]{0,17})\+([1-9][0-9]{0,9}) (sha256:[0-9a-f]{64})"
# Below the first, a layer is read as soon as its table; a table beyond the last is no shortcut any more.
_LEAST_LAYER = 1 << 20
_MOST = 16 << 20
_SHARE = 8
_LEVEL = 6
# What a table may inflate to, some 200,000 names: whoever asks for it must not be flooded.
LARGEST = 16 << 20

# gzip, deflate, with an extra field, no time, no hints, of no system.
_HEADER = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"
_FIELD = b"PA"
# An empty deflate block, the CRC-32 and the length of nothing.
_NOTHING = b"\x03\x00" + bytes(8)
_PIECE = 65_000


class Place(msgspec.Struct, frozen=True):
    """Where a table lies in its blob, in bytes, and the digest of what lies there."""

    offset: int
    size: int
    digest: Digest

    def __str__(self) -> str:
        """What the annotation says."""
        return f"{self.offset}+{self.size} {self.digest}"


def parse(text: str) -> Place | None:
    """The place that an annotation names; None where it is none that can be understood."""
    match = re.fullmatch(_GRAMMAR, text)
    if match is None or int(match[2]) > _MOST:
        return None
    return Place(int(match[1]), int(match[2]), Digest(match[3]))


def encode(listing: Callable[[], bytes], blob_size: int) -> bytes:
    """The members that hold the table of a gzip layer of `blob_size` bytes; empty where one is not worth its room.

    `listing` encodes the listing.
    """
    if blob_size < _LEAST_LAYER or len(raw := listing()) > LARGEST:
        return b""
    from deflate import gzip_compress

    packed = bytes(gzip_compress(raw, _LEVEL))
    if len(packed) > min(_MOST // 2, blob_size // _SHARE):
        return b""
    return b"".join(_member(packed[start : start + _PIECE]) for start in range(0, len(packed), _PIECE))


def _member(piece: bytes) -> bytes:
    field = _FIELD + len(piece).to_bytes(2, "little") + piece
    return b"".join((_HEADER, len(field).to_bytes(2, "little"), field, _NOTHING))


def read(raw: bytes, place: Place) -> Listing:
    """The listing in the bytes that were found at a place. Raises CorruptError where they are others than it says."""
    if len(raw) != place.size or digests.of(raw) != place.digest:
        raise CorruptError("a layer's table of contents is not what its manifest says")
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
    listing = decode(decompress(io.BytesIO(b"".join(pieces)), LARGEST).read())
    for entry in listing.entries:
        if clean(entry.path) != entry.path or (entry.kind == "hardlink" and clean(entry.link) != entry.link):
            raise CorruptError(f"a layer's table of contents has the name {entry.path!r}, which no listing has")
    return listing
