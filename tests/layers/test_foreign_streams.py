"""Gzip and zstd layers that somebody else made: read as containerd reads them, or refused with a reason."""

import gzip
import io
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.layers import compression, deflate_blocks, final_block, zstd_blocks
from polyarch.layers.compression import Compression, decompress
from polyarch.layers.listing import scan
from tests.layers.making import directory, file, packed, tar

TAR = tar(directory("d"), file("d/f", b"text " * 5000), file("g", random.Random(1).randbytes(300_000)))


@pytest.fixture(params=["isal", "zlib"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries that inflate gzip: zlib does where isal has no wheel."""
    if request.param == "zlib":
        monkeypatch.setattr(compression, "_inflater", compression._ZlibInflater)


def member(
    content: bytes, *, flags: int = 0, header: bytes = b"", crc: int | None = None, size: int | None = None
) -> bytes:
    """A gzip member (RFC 1952) with any flags and header fields, and any trailer."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    checksum = zlib.crc32(content) if crc is None else crc
    length = len(content) & 0xFFFFFFFF if size is None else size
    head = b"\x1f\x8b\x08" + bytes((flags,)) + bytes(5) + b"\xff" + header
    body = packer.compress(content) + packer.flush()
    return head + body + checksum.to_bytes(4, "little") + length.to_bytes(4, "little")


def extra(size: int) -> bytes:
    return size.to_bytes(2, "little") + random.Random(2).randbytes(size)


READ: dict[str, bytes] = {
    "many members": b"".join(member(TAR[at : at + 1000]) for at in range(0, len(TAR), 1000)),
    "an empty member in front": member(b"") + member(TAR),
    "an empty member behind": member(TAR) + member(b""),
    "an extra field of 65,535 bytes": member(TAR, flags=4, header=extra(65_535)),
    "such a field in the last of two": member(TAR[:512]) + member(TAR[512:], flags=4, header=extra(65_535)),
    "a name and a comment": member(TAR, flags=8 | 16, header=b"layer.tar\0" + b"c" * 70_000 + b"\0"),
    "zeros behind": member(TAR) + bytes(70_000),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "trailing garbage": (member(TAR) + b"garbage", "unexpected bytes after its end"),
    "a wrong size": (member(TAR, size=len(TAR) + 1), "damaged"),
    "a wrong size in the first of two": (member(TAR[:512], size=0) + member(TAR[512:]), "damaged"),
    "a wrong checksum": (member(TAR, crc=1), "damaged"),
    "half a trailer": (member(TAR)[:-4], "cut off"),
    "half an extra field": (member(TAR, flags=4, header=extra(65_535))[:30_000], "cut off"),
    "no final block": (deflate_blocks.START + deflate_blocks.compress(TAR, 1), "cut off"),
}


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("name", READ)
def test_an_unusual_layer_is_read_whole(name: str) -> None:
    assert gzip.decompress(READ[name]) == TAR
    assert decompress(io.BytesIO(READ[name])).read() == TAR
    assert [entry.path for entry in scan(io.BytesIO(READ[name]))[1].entries] == ["d", "d/f", "g"]


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_layer_is_refused_with_a_reason(name: str) -> None:
    raw, reason = REFUSED[name]
    with pytest.raises(CorruptError, match=reason):
        scan(io.BytesIO(raw))


@pytest.mark.parametrize("level", [0, 1, 2, 6, 12])
@given(data=st.data())
def test_blocks_of_any_content_join_into_one_member(level: int, data: st.DataObject) -> None:
    piece = st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(1, 9000))
    contents = data.draw(st.lists(piece, max_size=5))
    whole = b"".join(contents)
    blocks = [deflate_blocks.compress(content, level) for content in contents]
    stream = deflate_blocks.START + b"".join(blocks) + deflate_blocks.end(zlib.crc32(whole), len(whole))
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(stream) == whole
    assert inflater.eof
    assert not inflater.unused_data
    for block, content in zip(blocks, contents, strict=True):
        assert deflate_blocks.inflated(block, len(content)) == content


@pytest.mark.parametrize("level", [1, 3])
@given(data=st.data())
def test_blocks_of_any_content_join_into_one_frame(level: int, data: st.DataObject) -> None:
    piece = st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(1, 9000))
    contents = data.draw(st.lists(piece, max_size=4))
    whole = b"".join(contents)
    compress = zstd_blocks.BlockCompressor(level)
    blocks = [compress(content) for content in contents]
    again = zstd_blocks.BlockCompressor(level)
    assert [again(content) for content in reversed(contents)] == blocks[::-1], "a block depends on those before it"
    for size in (None, len(whole)):
        stream = zstd_blocks.start(size) + b"".join(blocks) + zstd_blocks.END
        assert zstd_blocks.library().decompress(stream) == whole


def test_a_piece_that_needs_more_than_one_block_is_halved() -> None:
    # Short matches everywhere: more than 8,192 of them in 64 KiB.
    source = random.Random(7)
    words = [bytes(source.choices(b"abcdefgh", k=5)) for _ in range(300)]
    content = b"".join(source.choice(words) for _ in range(60_000))
    assert deflate_blocks.inflated(deflate_blocks.compress(content, 1), len(content)) == content


@pytest.mark.parametrize(
    "stream",
    [b"", b"\x07", deflate_blocks.compress(b"x" * 99, 1), zlib.compress(b"x" * 99)],
    ids=["nothing", "a reserved block type", "no final block", "zlib's header"],
)
def test_a_stream_without_a_proper_final_block_is_refused(stream: bytes) -> None:
    with pytest.raises(CorruptError):
        final_block.reopened(stream, 99)


def test_a_zstd_frame_begins_with_the_size_if_that_is_known() -> None:
    from polyarch.layers.pack import pack, tar_size

    items = [directory("d"), file("d/f", b"text " * 5000), file("n" * 200, b"x")]
    output = io.BytesIO()
    made = pack(items, output, Compression("zstd"), size=tar_size(entry for entry, _ in items))
    plain = tar(*items)
    assert zstd_blocks.library().get_frame_info(output.getvalue()).decompressed_size == len(plain)
    assert made.diff_id == packed(items, "zstd")[0].diff_id
    with pytest.raises(CorruptError, match=f"{len(plain)} bytes where 5 were expected"):
        pack(items, io.BytesIO(), Compression("zstd"), size=5)


@pytest.mark.parametrize("make", [lambda: Compression("gzip", 0), lambda: Compression("gzip", 6)])
def test_a_layer_of_another_level_is_one_member_too(make: Callable[[], Compression]) -> None:
    from polyarch.layers.pack import pack

    output = io.BytesIO()
    pack([file("f", b"text " * 500_000)], output, make())
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(output.getvalue()) == tar(file("f", b"text " * 500_000))
    assert inflater.unused_data == b""
