"""Independent deflate blocks that join into one gzip member (RFC 1952), with the same bytes on every processor.

Each block of a layer is compressed alone, ends at a byte boundary and refers to nothing before it, as with
`pigz --independent`. So a worker compresses it without its neighbours, an unchanged block is copied from an earlier
layer, and a reader can start at any of them. A reader that knows nothing of this sees one ordinary member.

libdeflate gives the same bytes on every processor (igzip does not), but it cannot flush: its output ends with a block
that is marked as final. Two facts make it possible to join such outputs:

- At level 1 libdeflate ends a block only after 64 KiB or 8,192 matches. A piece of 64 KiB is therefore nearly always
  one block, and then the mark is the first bit of the output. Where it is not set, the piece has more blocks and
  is halved; 32 KiB never need two, because a match has at least 4 bytes. At higher levels blocks end where libdeflate
  decides, so zlib reads the output to find the last block.
- An empty stored block aligns the output to a byte. Its header is three zero bits. Whether they still fit into the
  last byte is not visible, so the shorter form is tried by inflating it, which also verifies the piece.
"""

from typing import Any

# Deflate, no flags, no time, no extra flags, unknown system.
START = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# An empty block with fixed codes, marked as final.
FINAL = b"\x03\x00"
# How many bytes `end` gives.
END_SIZE = len(FINAL) + 8
_PIECE = 64 << 10
_STORED_MAX = 0xFFFF
# The length of an empty stored block and its complement, and the same with a byte for the block's header.
_ALIGNED = b"\x00\x00\xff\xff"
_FLUSH = b"\x00" + _ALIGNED
_PROBE = 4 << 10
_LONG_PROBE = 64 << 10


def end(crc: int, size: int) -> bytes:
    """The end of the member: the final block, the CRC-32 of the content, and its size modulo 2**32."""
    return FINAL + crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def compress(block: bytes, level: int) -> bytes:
    """`block` as deflate blocks, none of them final, that end at a byte. Level 0 stores. Keeps no state."""
    if level == 0 or is_incompressible(block):
        return _stored(block)
    parts: list[bytes] = []
    if level == 1:
        for start in range(0, len(block), _PIECE):
            _compress_piece(block[start : start + _PIECE], parts)
    else:
        from deflate import deflate_compress

        from polyarch.layers.final_block import reopened

        parts.append(reopened(bytes(deflate_compress(block, level)), len(block)))
    return b"".join(parts)


def member(content: bytes, level: int) -> bytes:
    """`content` as a gzip member of its own."""
    from deflate import gzip_compress

    if level == 0 or is_incompressible(content):
        return START + _stored(content) + end(checksum(content), len(content))
    return bytes(gzip_compress(content, level))


def _compress_piece(piece: bytes, parts: list[bytes]) -> None:
    from deflate import deflate_compress

    data: Any = deflate_compress(piece, 1)
    if not data[0] & 1:
        half = len(piece) // 2
        _compress_piece(piece[:half], parts)
        _compress_piece(piece[half:], parts)
        return
    data[0] &= 0xFE
    # If one of its upper three bits is set, the last byte has no room for three more zero bits.
    if not data[-1] & 0xE0 and inflated(aligned := bytes(data + _ALIGNED), len(piece)) is not None:
        parts.append(aligned)
    else:
        parts += (data, _FLUSH)


def is_incompressible(block: bytes) -> bool:
    """Whether to store a block, judged by samples: libdeflate does 113 MB/s on random bytes, a copy thousands.

    The samples are deflated and only lengths are compared, so the answer is the same on every processor. Four short
    pieces find nearly all compressible blocks; the long one finds repetitions at a distance. Short blocks are not
    judged: libdeflate itself stores what does not shrink.
    """
    from deflate import deflate_compress

    size = len(block)
    if size < 4 * _LONG_PROBE:
        return False
    quarter = size // 4
    pieces = b"".join(block[start : start + _PROBE] for start in range(0, 4 * quarter, quarter))
    if len(deflate_compress(pieces, 1)) * 64 < len(pieces) * 63:
        return False
    middle = block[size // 2 : size // 2 + _LONG_PROBE]
    return len(deflate_compress(middle, 1)) * 64 >= len(middle) * 63


def _stored(block: bytes) -> bytes:
    """Stored deflate blocks (RFC 1951, section 3.2.4)."""
    parts: list[bytes] = []
    for start in range(0, len(block), _STORED_MAX):
        data = block[start : start + _STORED_MAX]
        parts += (b"\0", len(data).to_bytes(2, "little"), (len(data) ^ 0xFFFF).to_bytes(2, "little"), data)
    return b"".join(parts)


def checksum(data: bytes, before: int = 0) -> int:
    """The CRC-32 of `data`, or of data with the CRC-32 `before` followed by `data`."""
    from deflate import crc32

    return int(crc32(data, before))


def inflated(data: bytes, size: int) -> bytes | None:
    """The content of blocks that `compress` made; None if they are damaged, or do not have `size` bytes of content."""
    from deflate import DeflateError, deflate_decompress

    try:
        content = bytes(deflate_decompress(data + FINAL, size))
    except (DeflateError, ValueError):
        return None
    return content if len(content) == size else None
