"""Independent zstd blocks that join into one frame (RFC 8878), with the same bytes on every processor.

The multi-threaded compression of zstd works like this: each job starts with fresh tables and refers to nothing before
it (with an overlap of 0), not even to the last offsets of the previous job. So the result of the second job does not
depend on the first, and can follow any other. Here, the first job is one byte, which is discarded.
"""

import threading
from typing import Any

from polyarch.errors import UsageError

_MAGIC = b"\x28\xb5\x2f\xfd"
# The maximum distance of references, as a power of two and as in the frame header (RFC 8878, section 3.1.1.1.2).
_WINDOW_LOG = 21
_WINDOW = bytes(((_WINDOW_LOG - 10) << 3,))
# Frame header descriptors: without content size; with one of 8 bytes.
_UNSIZED, _SIZED = b"\x00", b"\xc0"
# An empty raw block, the last of its frame.
END = b"\x01\x00\x00"
_OVERLAP_NONE = 1


def library() -> Any:
    """The zstd module: the standard library's from Python 3.14 on, its backport before."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    return zstd


def start(size: int | None = None) -> bytes:
    """The header of a frame with `size` bytes of content; None if the size is not known."""
    if size is None:
        return _MAGIC + _UNSIZED + _WINDOW
    return _MAGIC + _SIZED + _WINDOW + size.to_bytes(8, "little")


class BlockCompressor:
    """Compresses blocks as zstd blocks, none of which is the last of a frame. May be called from any thread.

    Each thread has a compressor of its own, which ends with the thread or with this object.
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._local = threading.local()

    def __call__(self, block: bytes) -> bytes:
        """The compressed bytes of a block."""
        if not block:
            return b""
        compressor = self._local.__dict__.pop("compressor", None) or _compressor(self._level)
        data = bytes(compressor.compress(block, compressor.FLUSH_BLOCK))
        # Its frame never ends: the next block is another job. After an error, it is not used again.
        self._local.compressor = compressor
        return data


def inflated(data: bytes, size: int) -> bytes | None:
    """The content of blocks of a `BlockCompressor`; None if they are damaged, or do not have `size` bytes."""
    zstd = library()
    try:
        content = bytes(zstd.decompress(start(size) + data + END))
    except zstd.ZstdError:
        return None
    return content if len(content) == size else None


def _compressor(level: int) -> Any:
    """A compressor in a frame whose first job is done."""
    zstd = library()
    parameter = zstd.CompressionParameter
    if parameter.nb_workers.bounds()[1] < 1:
        raise UsageError(
            "this Python's zstd library was built without threads, which zstd layers need",
            "use gzip, or another build of Python",
        )
    compressor = zstd.ZstdCompressor(
        options={
            parameter.compression_level: level,
            parameter.nb_workers: 1,
            parameter.overlap_log: _OVERLAP_NONE,
            parameter.window_log: _WINDOW_LOG,
            parameter.job_size: 2 << 20,
        }
    )
    compressor.compress(b"\0", compressor.FLUSH_BLOCK)
    return compressor
