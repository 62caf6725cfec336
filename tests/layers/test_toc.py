"""A layer's table of contents inside its blob: readable on its own, invisible to readers of the layer."""

import gzip
import io
import random
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.layers import toc
from polyarch.layers.compression import decompress
from polyarch.layers.entry import Item
from polyarch.layers.listing import ListedEntry, Listing, scan
from polyarch.oci import digest as digests
from tests.layers.making import directory, file, hardlink, packed, tar


def _layer(count: int = 3000) -> list[Item]:
    """A layer of 2 MiB whose names do not compress: its table has more than one member."""
    source = random.Random(1)
    return [
        directory("etc"),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
        *(file(f"{source.randbytes(24).hex()}", source.randbytes(600)) for _ in range(count)),
    ]


def member(piece: bytes) -> bytes:
    """A gzip member (RFC 1952) of nothing, with a piece of a table in its extra field "PA"."""
    field = b"PA" + len(piece).to_bytes(2, "little") + piece
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff" + len(field).to_bytes(2, "little")
    return head + field + b"\x03\x00" + bytes(8)


def test_the_empty_members_of_the_tests_are_those_that_a_table_is_read_from() -> None:
    raw = gzip.compress(Listing(entries=(), size=1).encode())
    table = member(raw[:20]) + member(raw[20:])
    assert gzip.decompress(table) == b""
    assert toc.read(table, toc.Place(0, len(table), digests.of(table))).entries == ()


def test_it_is_the_listing_without_what_only_the_blob_knows() -> None:
    made, raw = packed(_layer())
    assert made.toc is not None
    found = toc.read(raw[made.toc.offset :][: made.toc.size], made.toc)
    assert (found.entries, found.texts, found.size) == (made.listing.entries, made.listing.texts, made.listing.size)
    assert found.blob == ""
    assert made.toc.size > 65_536, "it lies in more members than one"
    assert made.toc.offset + made.toc.size == made.size


def test_the_descriptor_says_where_it_is() -> None:
    made, _ = packed(_layer())
    assert toc.parse(made.descriptor().annotations[toc.ANNOTATION]) == made.toc


@pytest.mark.parametrize(("items", "kind"), [([file("a", b"a")], "gzip"), (_layer(), "zstd"), (_layer(), "none")])
def test_small_layers_and_other_compressions_have_none(items: list[Item], kind: str) -> None:
    made, _ = packed(items, kind)
    assert made.toc is None
    assert not made.descriptor().annotations


def test_a_table_that_is_large_beside_its_layer_is_left_out() -> None:
    source = random.Random(2)
    made, _ = packed([file(source.randbytes(100).hex()) for _ in range(20_000)])
    assert made.size > 1 << 20
    assert made.toc is None


def test_whoever_reads_the_layer_does_not_see_it() -> None:
    made, raw = packed(_layer())
    plain = tar(*_layer())
    assert gzip.decompress(raw) == plain
    assert subprocess.run(["gzip", "-dc"], input=raw, stdout=subprocess.PIPE, check=True).stdout == plain
    assert decompress(io.BytesIO(raw)).read() == plain
    assert _by_zlib(raw) == plain
    assert scan(io.BytesIO(raw), made.digest) == (made.diff_id, made.listing)


def _by_zlib(raw: bytes) -> bytes:
    found = b""
    while raw:
        member = zlib.decompressobj(31)
        found += member.decompress(raw)
        raw = member.unused_data
    return found


def test_a_byte_that_is_another_is_noticed() -> None:
    made, raw = packed(_layer())
    assert made.toc is not None
    table = raw[made.toc.offset :][: made.toc.size]
    for at in range(0, len(table), len(table) // 40):
        damaged = bytearray(table)
        damaged[at] ^= 0x10
        with pytest.raises(CorruptError, match="not what its manifest says"):
            toc.read(bytes(damaged), made.toc)
    with pytest.raises(CorruptError, match="not what its manifest says"):
        toc.read(table[:-1], made.toc)


@pytest.mark.parametrize(
    "table",
    [
        b"x",
        b"\x1f\x8b\x08\x04" + bytes(40),
        member(b"")[:10] + b"\xff\xffPA\xff\xff" + bytes(70_000),
        gzip.compress(b"something else", mtime=0),
        member(b"no gzip in it"),
    ],
    ids=["text", "zeros", "a field that is too long", "a member that holds something", "no listing"],
)
def test_one_with_the_right_digest_that_is_none_is_refused(table: bytes) -> None:
    with pytest.raises(CorruptError):
        toc.read(table, toc.Place(0, len(table), digests.of(table)))


def test_one_that_inflates_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toc, "LARGEST", 1 << 20)
    table = member(gzip.compress(bytes(2 << 20)))
    with pytest.raises(CorruptError, match="more than the 1048576 bytes"):
        toc.read(table, toc.Place(0, len(table), digests.of(table)))


@pytest.mark.parametrize("entry", [file("../up"), file("/top"), file("a//b"), hardlink("a", "../b")])
def test_a_name_that_no_listing_has_is_refused(entry: Item) -> None:
    bad = ListedEntry(path=entry[0].path, kind=entry[0].kind, mode=0o644, link=entry[0].link)
    table = toc.encode(Listing(entries=(bad,), size=1).encode, 1 << 20)
    with pytest.raises(CorruptError, match=r"out of the image|no listing has"):
        toc.read(table, toc.Place(1, len(table), digests.of(table)))


def test_every_cut_of_a_table_is_an_error() -> None:
    whole = toc.encode(Listing(entries=packed(_layer(50))[0].listing.entries, size=1).encode, 1 << 20)
    for end in range(0, len(whole), 97):
        cut = whole[:end]
        with pytest.raises(CorruptError):
            toc.read(cut, toc.Place(0, end, digests.of(cut)))


@given(st.integers(1, 10**17), st.integers(1, 1 << 24), st.binary(min_size=0, max_size=8))
def test_a_place_is_read_as_it_is_written(offset: int, size: int, content: bytes) -> None:
    place = toc.Place(offset, size, digests.of(content))
    assert toc.parse(str(place)) == place


@given(st.text(max_size=90))
@pytest.mark.parametrize("ending", ["", f" sha256:{'0' * 64}"])
def test_any_other_text_names_no_place(ending: str, text: str) -> None:
    place = toc.parse(text + ending)
    assert place is None or str(place) == text + ending


@pytest.mark.parametrize("text", ["", "1+2", f"0+5 sha256:{'0' * 64}", f"1+99999999 sha256:{'0' * 64}", "1+2 md5:0"])
def test_a_place_that_cannot_be_is_none(text: str) -> None:
    assert toc.parse(text) is None
