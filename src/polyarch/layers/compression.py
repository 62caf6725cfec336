"""How a layer's tar is compressed: the choice as a value, one block at a time, and back from any form.

A block is compressed alone, as one gzip member or zstd frame, so its bytes depend on its content only: not on the
number of workers, nor on the sizes of writes. Of the fast compressors only libdeflate and zstd give the same bytes on
every processor (igzip does not), so those two write; igzip may read.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from polyarch.errors import CorruptError, UsageError
from polyarch.oci import media_types
from polyarch.oci.place import Readable

Kind = Literal["none", "gzip", "zstd"]

_LEVELS = {"none": (0, 0, 0), "gzip": (1, 12, 1), "zstd": (1, 22, 3)}
_MEDIA_TYPES = {
    "none": media_types.OCI_LAYER,
    "gzip": media_types.OCI_LAYER_GZIP,
    "zstd": media_types.OCI_LAYER_ZSTD,
}
_INPUT = 128 << 10
_OUTPUT = 1 << 20
# How far apart remembered blocks are: a stream of tiny members must not fill the memory with offsets.
_APART = 64 << 10

# What a gzip member begins with that holds stored blocks: deflate, no flags, no time, no extra flags, no system.
_STORED_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_MAX = 0xFFFF
# What a layer may unpack to unless somebody allows more: a bomb ends here, and no image that anybody uses does.
LARGEST = 100 << 30
RAISE_THE_LIMIT = "if you trust where it comes from, allow more with POLYARCH_MAX_LAYER_SIZE (as 200GiB)"
_PROBE = 4 << 10
_LONG_PROBE = 64 << 10


class Compression(msgspec.Struct, frozen=True):
    """A way to compress a layer; `level` None is the default of the kind (gzip 1 of 12, zstd 3 of 22).

    Raises UsageError for a level that the kind does not have.
    """

    kind: Kind = "gzip"
    level: int | None = None

    def __post_init__(self) -> None:
        low, high, _ = _LEVELS[self.kind]
        if self.level is not None and self.kind != "none" and not low <= self.level <= high:
            raise UsageError(f"{self.kind} has no level {self.level}", f"its levels are {low} to {high}")

    @property
    def effective_level(self) -> int:
        """The level that is used."""
        default = _LEVELS[self.kind][2]
        return default if self.level is None or self.kind == "none" else self.level

    def media_type(self) -> str:
        """The OCI media type of such a layer."""
        return _MEDIA_TYPES[self.kind]

    def tag(self) -> str:
        """What names the bytes that this makes of a tar: part of cache keys, changed when the bytes change."""
        if self.kind == "none":
            return "none"
        return f"{self.kind}-{self.effective_level}-blocks1" + ("-toc1" if self.kind == "gzip" else "")

    def compressor(self) -> Callable[[bytes], bytes]:
        """What makes one block's bytes. It keeps no state and may be called from any thread."""
        level = self.effective_level
        if self.kind == "gzip":
            from deflate import gzip_compress

            return lambda block: _stored(block) if _is_incompressible(block) else bytes(gzip_compress(block, level))
        if self.kind == "zstd":
            compress = _zstd().compress
            return lambda block: bytes(compress(block, level))
        return lambda block: block


def _is_incompressible(block: bytes) -> bool:
    """Whether a block is better stored, judged on samples: libdeflate does 113 MB/s on random bytes, a copy thousands.

    The samples are deflated and only lengths are compared, so every processor answers the same. Four short pieces find
    nearly all compressible blocks; the long one finds what repeats at a distance. A short block is not worth a guess:
    libdeflate itself stores what does not shrink.
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
    """A gzip member of stored deflate blocks (RFC 1951, section 3.2.4)."""
    from deflate import crc32

    size = len(block)
    parts = [_STORED_HEADER]
    for start in range(0, size, _STORED_MAX):
        length = min(_STORED_MAX, size - start)
        last = start + length == size
        parts += (
            bytes((last,)),
            length.to_bytes(2, "little"),
            (length ^ 0xFFFF).to_bytes(2, "little"),
            block[start : start + length],
        )
    parts += (crc32(block).to_bytes(4, "little"), (size & 0xFFFFFFFF).to_bytes(4, "little"))
    return b"".join(parts)


def inflated(member: bytes, size: int) -> bytes | None:
    """What a gzip member holds; None where it is damaged, or has not `size` bytes of content."""
    from deflate import DeflateError, gzip_decompress

    try:
        content = bytes(gzip_decompress(member, size))
    except (DeflateError, ValueError):
        return None
    return content if len(content) == size else None


def _zstd() -> Any:
    """The zstd module: the standard library's from Python 3.14 on, its backport before."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    return zstd


class _Codec(Protocol):
    """The part that one compressed stream (gzip member, zstd frame …) is read with."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, size: int, /) -> bytes: ...


class _Gzip:
    """One gzip member. zlib and igzip hand back input that did not fit; the others keep it, so this keeps it too."""

    def __init__(self) -> None:
        self._object = _inflater()
        self._tail = b""

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data)

    def decompress(self, data: bytes, size: int, /) -> bytes:
        out: bytes = self._object.decompress(self._tail + data if self._tail else data, size)
        self._tail = self._object.unconsumed_tail
        return out


def _inflater() -> Any:
    try:
        from isal import isal_zlib as library
    except ImportError:  # no wheel for this processor
        import zlib as library  # type: ignore[no-redef]
    return library.decompressobj(wbits=31)


def _bzip2() -> _Codec:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Codec:
    import lzma

    # The limit that keeps a hostile header from asking for gigabytes; xz -9 needs 65 MiB to unpack.
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)


_FORMATS: tuple[tuple[bytes, str, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", lambda: _zstd().ZstdDecompressor()),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ", "xz", _xz),
)


def _format(start: bytes) -> tuple[str, Callable[[], Any]] | None:
    for magic, name, codec in _FORMATS:
        if start.startswith(magic):
            return name, codec
    # A skippable frame (RFC 8878, section 3.1.2): zstd:chunked ends with one, others may begin with one.
    if len(start) >= 4 and start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50:
        return "zstd", _FORMATS[1][2]
    return None


def sniff(start: bytes) -> str:
    """The compression that bytes beginning so have: "gzip", "zstd", "bzip2", "xz", or "none"."""
    found = _format(start)
    return found[0] if found else "none"


class Decompressed:
    """The content of a compressed stream, whatever its form; of a plain one, itself. See `decompress`.

    It owns nothing: the reader below is its caller's to close. `blocks` says where members begin, as (compressed,
    uncompressed) offsets, at most one in 64 KiB; it is empty for a plain stream.
    """

    def __init__(self, reader: Readable, limit: int | None = LARGEST) -> None:
        self._reader = reader
        self._limit = limit
        self._input = b""
        while len(self._input) < 6 and (more := reader.read(_INPUT)):
            self._input += more
        self._taken = len(self._input)
        found = _format(self._input)
        self.kind = found[0] if found else "none"
        self._new = found[1] if found else None
        self._codec: _Codec | None = None
        self._padding = False
        self.position = 0
        self.blocks: list[tuple[int, int]] = []

    def read(self, size: int = -1, /) -> bytes:
        """As of `place.Readable`. Raises CorruptError where the stream is damaged, cut off, or over the limit."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_OUTPUT), b""))
        if size == 0:
            return b""
        out = self._plain(size) if self._new is None else self._inflate(size, self._new)
        self.position += len(out)
        if self._limit is not None and self.position > self._limit:
            raise CorruptError(
                f"a {self.kind} stream holds more than the {self._limit} bytes that are allowed",
                RAISE_THE_LIMIT,
            )
        return out

    def _plain(self, size: int) -> bytes:
        if self._input:
            out, self._input = self._input[:size], self._input[size:]
            return out
        return self._reader.read(size)

    def _fill(self) -> bool:
        self._input = self._reader.read(_INPUT)
        self._taken += len(self._input)
        return bool(self._input)

    def _inflate(self, size: int, new: Callable[[], _Codec]) -> bytes:
        while True:
            if self._codec is None:
                if not self._begin(new):
                    return b""
                assert self._codec is not None
            codec = self._codec
            try:
                out = codec.decompress(self._input, size)
            except Exception as error:
                # Each library has an exception of its own here (zlib.error, IsalError, ZstdError, LZMAError, OSError).
                if isinstance(error, MemoryError):
                    raise
                raise CorruptError(f"a {self.kind} stream is damaged at byte {self._taken}: {error}") from error
            self._input = b""
            if codec.eof:
                self._input = codec.unused_data
                self._codec = None
            if out:
                return out
            if self._codec is not None and not self._fill():
                raise CorruptError(f"a {self.kind} stream is cut off after {self._taken} bytes")

    def _begin(self, new: Callable[[], _Codec]) -> bool:
        """Start the next member; False at the end of the stream."""
        while True:
            # gzip(1) and every peer read past zeros behind the last member: tapes and dd pad with them.
            if self.kind == "gzip" and self._taken > len(self._input):
                stripped = self._input.lstrip(b"\0")
                self._padding |= len(stripped) < len(self._input)
                self._input = stripped
            if self._input:
                break
            if not self._fill():
                return False
        at = self._taken - len(self._input)
        while len(self._input) < 6 and (more := self._reader.read(_INPUT)):
            self._taken += len(more)
            self._input += more
        found = _format(self._input)
        if self._padding or found is None or found[0] != self.kind:
            raise CorruptError(f"a {self.kind} stream has unexpected bytes after its end, at byte {at}")
        self._codec = new()
        if is_far(self.blocks, self.position):
            self.blocks.append((at, self.position))
        return True


def is_far(blocks: Sequence[tuple[int, int]], position: int) -> bool:
    """Whether a block that begins at the uncompressed `position` is worth remembering after these."""
    return not blocks or position - blocks[-1][1] >= _APART


def decompress(reader: Readable, limit: int | None = LARGEST) -> Decompressed:
    """The content of `reader`: gzip, zstd, bzip2 or xz by its first bytes, of several members or frames, else itself.

    `limit` is how many bytes of content are allowed, None any number. Raises CorruptError while it is read, where the
    stream is damaged, cut off, goes on with foreign bytes, or holds more than the limit.
    """
    return Decompressed(reader, limit)
