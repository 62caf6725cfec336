"""Reading compressed streams of all builders; damaged streams and bombs are refused."""

import bz2
import contextlib
import gzip
import io
import lzma
import subprocess
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.layers.compression import Compression, decompress, sniff


def _framed(compression: Compression, content: bytes) -> bytes:
    framing = compression.framing()
    return framing.start + framing.compress(content) + framing.end(zlib.crc32(content), len(content))


def _zstd(content: bytes) -> bytes:
    return _framed(Compression("zstd"), content)


CONTENT = b"some content that is long enough to be compressed " * 800


def _zstd_with_window(log: int) -> bytes:
    """Such as `zstd --long=LOG` writes: its window descriptor is the sixth byte (RFC 8878, section 3.1.1.1.2)."""
    frame = _zstd(CONTENT)
    return frame[:5] + bytes(((log - 10) << 3,)) + frame[6:]


_SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


class _Dripping:
    """A reader that gives a few bytes at a time, as a network does."""

    def __init__(self, raw: bytes, step: int) -> None:
        self._raw = io.BytesIO(raw)
        self._step = step

    def read(self, size: int = -1, /) -> bytes:
        return self._raw.read(self._step if size < 0 else min(size, self._step))


STREAMS: dict[str, tuple[str, bytes]] = {
    "gzip": ("gzip", gzip.compress(CONTENT)),
    "gzip of many members": (
        "gzip",
        b"".join(gzip.compress(CONTENT[n : n + 999]) for n in range(0, len(CONTENT), 999)),
    ),
    "gzip with zeros behind": ("gzip", gzip.compress(CONTENT) + bytes(5000)),
    "gzip with a name": ("gzip", subprocess.run(["gzip", "-c"], input=CONTENT, stdout=subprocess.PIPE).stdout),
    "zstd": ("zstd", _zstd(CONTENT)),
    "zstd of many frames": ("zstd", b"".join(_zstd(CONTENT[n : n + 999]) for n in range(0, len(CONTENT), 999))),
    "zstd with skippable frames": ("zstd", _SKIPPABLE + _zstd(CONTENT) + _SKIPPABLE),
    "zstd of a stream": ("zstd", subprocess.run(["zstd", "-c"], input=CONTENT, stdout=subprocess.PIPE).stdout),
    "zstd with a window of 512 MiB": ("zstd", _zstd_with_window(29)),
    "bzip2": ("bzip2", bz2.compress(CONTENT)),
    "xz": ("xz", lzma.compress(CONTENT)),
    "none": ("none", CONTENT),
}


@pytest.mark.parametrize("step", [1 << 20, 1000, 5])
@pytest.mark.parametrize("name", STREAMS)
def test_every_form_is_read_whatever_the_sizes_of_the_reads(name: str, step: int) -> None:
    kind, raw = STREAMS[name]
    stream = decompress(_Dripping(raw, step))
    assert stream.read() == CONTENT
    assert stream.kind == sniff(raw) == kind
    assert stream.read() == b""


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "none"])
def test_a_stream_that_is_cut_off_is_an_error(name: str) -> None:
    raw = STREAMS[name][1].rstrip(b"\0")
    with pytest.raises(CorruptError, match=r"cut off|damaged"):
        decompress(io.BytesIO(raw[: len(raw) // 2 + 3])).read()


def test_a_zstd_stream_that_asks_for_more_memory_than_other_tools_give_is_an_error() -> None:
    with pytest.raises(CorruptError, match="too much memory"):
        decompress(io.BytesIO(_zstd_with_window(30))).read()


@pytest.mark.parametrize("name", ["gzip", "gzip of many members", "bzip2", "xz"])
def test_a_spoilt_byte_is_an_error(name: str) -> None:
    raw = bytearray(STREAMS[name][1])
    raw[len(raw) // 2] ^= 0x10
    with pytest.raises(CorruptError):
        decompress(io.BytesIO(bytes(raw))).read()


@pytest.mark.parametrize(
    "tail",
    [b"junk", bytes(10) + b"x", bytes(10) + gzip.compress(b"x", mtime=0)],
    ids=["junk", "zeros and junk", "zeros and another stream"],
)
def test_foreign_bytes_behind_a_gzip_stream_are_an_error(tail: bytes) -> None:
    with pytest.raises(CorruptError, match="unexpected bytes"):
        decompress(io.BytesIO(gzip.compress(CONTENT) + tail)).read()


@pytest.mark.parametrize("make", [gzip.compress, _zstd, bz2.compress, lzma.compress, lambda raw: raw])
def test_a_bomb_is_an_error_at_its_limit_and_never_in_memory(make: Callable[[bytes], bytes]) -> None:
    bomb = make(bytes(16 << 20))
    stream = decompress(io.BytesIO(bomb), limit=1 << 20)
    with pytest.raises(CorruptError, match="1048576 bytes that are allowed"):
        assert all(len(chunk) <= 1 << 16 for chunk in iter(lambda: stream.read(1 << 16), b""))
    assert stream.position < 2 << 20


def test_a_stream_of_tiny_members_does_not_fill_the_memory_with_offsets() -> None:
    stream = decompress(io.BytesIO(gzip.compress(b"") * 5_000 + gzip.compress(b"x")))
    assert stream.read() == b"x"
    assert len(stream.blocks) == 1


@given(st.binary(max_size=200), st.sampled_from([b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"]))
def test_any_bytes_are_content_or_a_corrupt_error(raw: bytes, magic: bytes) -> None:
    with contextlib.suppress(CorruptError):
        decompress(io.BytesIO(magic + raw), 1 << 20).read()
