"""The compression of layers: the choice as a value, compressing one block at a time, and decompressing any format.

A layer is one gzip member or one zstd frame, because many programs read only the first and report no error. Its
blocks are compressed alone, so their bytes depend on their content only: not on the number of workers, nor on the sizes
of writes. Of the fast compressors only libdeflate and zstd give the same bytes on every processor (igzip does not), so
those two write; igzip may read.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from polyarch.errors import CorruptError, UsageError
from polyarch.layers import deflate_blocks, zstd_blocks
from polyarch.oci import media_types
from polyarch.oci.place import Readable

Kind = Literal["none", "gzip", "zstd", "estargz"]

_LEVELS = {"none": (0, 0, 0), "gzip": (0, 12, 1), "zstd": (1, 22, 3), "estargz": (0, 12, 1)}
_MEDIA_TYPES = {
    "none": media_types.OCI_LAYER,
    "gzip": media_types.OCI_LAYER_GZIP,
    "zstd": media_types.OCI_LAYER_ZSTD,
    "estargz": media_types.OCI_LAYER_GZIP,
}
# The names of the forms of streams in cache keys. If the bytes of a form change, so must its name.
_FORMS = {"gzip": "member1", "zstd": "frame1", "estargz": "members1"}
_INPUT = 128 << 10
# Decompressed at a time. What comes of it fits into memory that was just freed: larger pieces would be returned to the
# system after use, which clears each page of the next one. igzip gets all that was read.
_FED = 32 << 10
_OUTPUT = 1 << 20
# igzip allocates at once what it may return. The memory of larger pieces would be returned to the system after use.
_INFLATED = 128 << 10
# The least distance of remembered blocks: a stream of tiny members must not fill the memory with offsets.
_APART = 64 << 10

# The default limit of what a layer may unpack to: it stops a bomb, and no real image reaches it.
LARGEST = 100 << 30
RAISE_THE_LIMIT = "if you trust where it comes from, allow more with POLYARCH_MAX_LAYER_SIZE (as 200GiB)"


class Framing(msgspec.Struct, frozen=True):
    """How blocks become a stream: what precedes the first block, what follows the last, and how a block is compressed.

    `end` takes the CRC-32 and the size of the whole content. `compress` may be called from any thread.
    """

    start: bytes
    compress: Callable[[bytes], bytes]
    end: Callable[[int, int], bytes]


class Compression(msgspec.Struct, frozen=True):
    """A way to compress a layer; `level` None is the default of the kind (gzip 1 of 0 to 12, zstd 3 of 1 to 22).

    "estargz" is gzip with a member for each file (`stargz.py`).

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
        """A name for the bytes that this makes of a tar: part of cache keys, changed when the bytes change."""
        if self.kind == "none":
            return "none"
        return f"{self.kind}-{self.effective_level}-{_FORMS[self.kind]}"

    def framing(self, size: int | None = None) -> Framing:
        """How a stream with `size` bytes of content is made; None if the size is not known.

        Raises UsageError if a library that this level needs is missing.
        """
        level = self.effective_level
        if self.kind == "gzip":
            if level > 1:
                from polyarch.layers.final_block import check_available

                check_available()
            return Framing(
                deflate_blocks.START, lambda block: deflate_blocks.compress(block, level), deflate_blocks.end
            )
        if self.kind == "estargz":
            return Framing(b"", lambda block: deflate_blocks.member(block, level), lambda crc, size: b"")
        if self.kind == "zstd":
            start = zstd_blocks.start(size)
            return Framing(start, zstd_blocks.BlockCompressor(level), lambda crc, size: zstd_blocks.END)
        return Framing(b"", lambda block: block, lambda crc, size: b"")


END_SIZES = {"gzip": deflate_blocks.END_SIZE, "zstd": len(zstd_blocks.END)}


def inflated(kind: str, block: bytes, size: int) -> bytes | None:
    """The content of a block that `Framing.compress` made; None if it is damaged, or does not have `size` bytes."""
    return deflate_blocks.inflated(block, size) if kind == "gzip" else zstd_blocks.inflated(block, size)


class _Codec(Protocol):
    """Decompresses one gzip member, zstd frame or other compressed stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, size: int, /) -> bytes: ...


class _Gzip:
    """One gzip member, or one raw stream of deflate. igzip keeps the input that it did not use yet."""

    def __init__(self, *, raw: bool = False) -> None:
        self._object = _inflater(raw)
        # Whether all that the input gives has been returned.
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data)

    def decompress(self, data: bytes, size: int, /) -> bytes:
        size = min(size, _INFLATED)
        out: bytes = self._object.decompress(data, size)
        self.needs_input = len(out) < size
        return out


def _inflater(raw: bool) -> Any:
    try:
        from isal import igzip_lib
    except ImportError:  # no wheel for this processor
        return _ZlibInflater(raw)
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE if raw else igzip_lib.DECOMP_GZIP)


class _ZlibInflater:
    """The same with zlib, which returns the input that it did not use."""

    def __init__(self, raw: bool) -> None:
        import zlib

        self._object = zlib.decompressobj(-15 if raw else 31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, size: int, /) -> bytes:
        tail = self._object.unconsumed_tail
        return self._object.decompress(tail + data if tail else data, size)


def _zstd() -> _Codec:
    zstd = zstd_blocks.library()
    # The window of a frame is memory that its header asks for. Go's zstd, which docker and skopeo use, takes as much.
    codec: _Codec = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 29})
    return codec


def _bzip2() -> _Codec:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Codec:
    import lzma

    # The limit keeps a hostile header from requesting gigabytes. To unpack a file of `xz -9` takes 65 MiB.
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)


_FORMATS: tuple[tuple[bytes, str, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
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
    """The compression of a stream that starts with these bytes: "gzip", "zstd", "bzip2", "xz", or "none"."""
    found = _format(start)
    return found[0] if found else "none"


class Decompressed:
    """The content of a stream, compressed in any format or not at all. See `decompress`.

    It owns nothing: the caller closes the reader. `blocks` says where members begin, as (compressed,
    uncompressed) offsets, at most one in 64 KiB; it is empty for a plain stream.
    """

    def __init__(self, reader: Readable, limit: int | None = LARGEST, inside: str = "") -> None:
        self._reader = reader
        self._limit = limit
        self._inside = inside
        self._input = zstd_blocks.start() if inside == "zstd" else b""
        while len(self._input) < 6 and (more := reader.read(_INPUT)):
            self._input += more
        self._taken = len(self._input)
        # What has been read and not yet been input.
        self._arrived, self._used = b"", 0
        found = _format(self._input)
        self.kind = found[0] if found else "none"
        self._new = found[1] if found else None
        if inside == "gzip":
            self.kind, self._new = inside, lambda: _Gzip(raw=True)
        self._fed = _INPUT if self.kind == "gzip" else _FED
        self._codec: _Codec | None = None
        self._padding = False
        self._entered = False
        self.position = 0
        self.blocks: list[tuple[int, int]] = []

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises CorruptError if the stream is damaged, cut off, or over the limit."""
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

    def _next(self) -> bytes:
        """The next input, empty at the end."""
        if self._used == len(self._arrived):
            self._arrived, self._used = self._reader.read(_INPUT), 0
        start, self._used = self._used, min(self._used + self._fed, len(self._arrived))
        self._taken += self._used - start
        return self._arrived[start : self._used]

    def _fill(self) -> bool:
        self._input = self._next()
        return bool(self._input)

    def _inflate(self, size: int, new: Callable[[], _Codec]) -> bytes:
        while True:
            if self._codec is None:
                if not (self._enter(new) if self._inside else self._begin(new)):
                    return b""
                assert self._codec is not None
            codec = self._codec
            if not self._input and codec.needs_input and not self._fill():
                raise CorruptError(f"a {self.kind} stream is cut off after {self._taken} bytes")
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
                # What a member leaves is copied. Thousands of small ones follow each other in eStargz.
                self._fed = _FED
            if out:
                return out
            if self._codec is not None and not self._fill():
                raise CorruptError(f"a {self.kind} stream is cut off after {self._taken} bytes")

    def _enter(self, new: Callable[[], _Codec]) -> bool:
        """Start in the middle of a member or frame, whose end is the end of the stream."""
        if self._entered:
            return False
        self._entered = True
        self._codec = new()
        return True

    def _begin(self, new: Callable[[], _Codec]) -> bool:
        """Start the next member; False at the end of the stream."""
        while True:
            # gzip(1) and every peer ignore zeros after the last member, with which tapes and dd pad.
            if self.kind == "gzip" and self._taken > len(self._input):
                stripped = self._input.lstrip(b"\0")
                self._padding |= len(stripped) < len(self._input)
                self._input = stripped
            if self._input:
                break
            if not self._fill():
                return False
        at = self._taken - len(self._input)
        while len(self._input) < 6 and (more := self._next()):
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


def decompress(reader: Readable, limit: int | None = LARGEST, inside: str = "") -> Decompressed:
    """The content of `reader`: gzip, zstd, bzip2 or xz of one or more members or frames, or else not compressed.

    `limit` is the maximum number of bytes of content; None for no limit. Reading raises CorruptError if the stream is
    damaged, cut off, followed by other bytes, or longer than the limit.

    `inside` is "gzip" or "zstd" if `reader` begins with a block in the middle of such a stream (`Listing.stream`).
    """
    return Decompressed(reader, limit, inside)
