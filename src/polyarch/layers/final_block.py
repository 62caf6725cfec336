"""Change the final block of a deflate stream into an ordinary one, so that more blocks can follow.

zlib can stop between two blocks (Z_BLOCK), and then says how many bits of the last byte it has not used. This locates
the bit that marks the final block, and shows whether an empty stored block begins in the last byte. Python's zlib
module does not offer this, so the library is called directly.
"""

import ctypes
from functools import cache

from polyarch.errors import CorruptError, UsageError

_Z_BLOCK = 5
_Z_OK, _Z_STREAM_END = 0, 1
_RAW = -15
# In `data_type`: at a block boundary; in the last block; the number of unused bits of the last byte.
_BOUNDARY, _LAST, _UNUSED = 128, 64, 7
_ALIGNED = b"\x00\x00\xff\xff"


class _ZStream(ctypes.Structure):
    """zlib's z_stream."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


@cache
def _library() -> ctypes.CDLL:
    # The second is for a Python with a built-in zlib.
    for name in ("libz.so.1", None):
        try:
            library = ctypes.CDLL(name)
            library.zlibVersion.restype = ctypes.c_char_p
            _ = library.inflateInit2_, library.inflate, library.inflateEnd
        except (OSError, AttributeError):
            continue
        return library
    raise UsageError(
        "gzip levels from 2 on need the shared library of zlib (libz.so.1), which was not found",
        "install it (zlib1g, zlib), or use compression level 0 or 1, or zstd",
    )


def check_available() -> None:
    """Raise UsageError if there is no zlib that can be called."""
    _library()


def reopened(stream: bytes, size: int) -> bytes:
    """The blocks of a raw deflate stream with `size` bytes of content. None of them is final; they end at a byte.

    Raises CorruptError if it is not such a stream.
    """
    library = _library()
    source = ctypes.create_string_buffer(stream, len(stream))
    target = ctypes.create_string_buffer(size + 1)
    state = _ZStream(
        next_in=ctypes.addressof(source), avail_in=len(stream), next_out=ctypes.addressof(target), avail_out=size + 1
    )
    reference = ctypes.byref(state)
    if library.inflateInit2_(reference, _RAW, library.zlibVersion(), ctypes.sizeof(state)) != _Z_OK:
        raise CorruptError("zlib cannot be called: its structures differ")
    try:
        final = _find_final(library, state)
    finally:
        library.inflateEnd(reference)
    if state.total_out != size or state.total_in != len(stream):
        raise CorruptError("a deflate stream does not hold what was compressed")
    blocks = bytearray(stream)
    blocks[final >> 3] &= ~(1 << (final & 7)) & 0xFF
    if state.data_type & _UNUSED < 3:
        blocks += b"\0"
    return bytes(blocks + _ALIGNED)


def _find_final(library: ctypes.CDLL, state: _ZStream) -> int:
    """The bit at which the final block begins. Afterwards, `state` is at the end of the stream."""
    begins = 0
    while True:
        code = library.inflate(ctypes.byref(state), _Z_BLOCK)
        if code not in (_Z_OK, _Z_STREAM_END):
            raise CorruptError(f"a deflate stream is damaged (zlib's code {code})")
        if state.data_type & _BOUNDARY:
            if state.data_type & _LAST:
                return begins
            begins = state.total_in * 8 - (state.data_type & _UNUSED)
        elif code == _Z_STREAM_END or not state.avail_in:
            raise CorruptError("a deflate stream has no final block")
