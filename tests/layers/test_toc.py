"""A layer's table of contents: a blob of its own; in the old form, in the layer itself."""

import gzip
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.layers import toc
from polyarch.layers.entry import Item
from polyarch.layers.listing import ListedEntry, Listing, scan
from polyarch.oci import digest as digests
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import TablePlace
from polyarch.oci.media_types import OCI_LAYER_GZIP
from tests.layers.making import directory, file, hardlink, packed, tar

# The size in bytes from which on a layer has a table.
LEAST = 2 << 20
LAYER = Descriptor(media_type=OCI_LAYER_GZIP, digest=Digest("sha256:" + "1" * 64), size=9)


def _layer(count: int = 3000) -> list[Item]:
    """A layer of 3 MiB whose names do not compress: its table is large."""
    source = random.Random(1)
    return [
        directory("etc"),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
        *(file(f"{source.randbytes(24).hex()}", source.randbytes(1000)) for _ in range(count)),
    ]


def _read(table: bytes, offset: int | None = None, layer: Descriptor = LAYER) -> Listing:
    return toc.read(table, TablePlace(size=len(table), digest=digests.of(table), offset=offset), layer)


def member(piece: bytes) -> bytes:
    """A gzip member (RFC 1952) of nothing, with a piece of a table in its extra field "PA"."""
    field = b"PA" + len(piece).to_bytes(2, "little") + piece
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff" + len(field).to_bytes(2, "little")
    return head + field + b"\x03\x00" + bytes(8)


def old_form(items: list[Item]) -> tuple[Descriptor, bytes]:
    """A layer as Polyarch made them before: members of 1 MiB, the table behind them."""
    content = tar(*items)
    blob = b"".join(gzip.compress(content[at : at + (1 << 20)], 1, mtime=0) for at in range(0, len(content), 1 << 20))
    raw = gzip.compress(scan(io.BytesIO(content))[1].encode(), mtime=0)
    table = b"".join(member(raw[at : at + 65_000]) for at in range(0, len(raw), 65_000))
    place = TablePlace(size=len(table), digest=digests.of(table), offset=len(blob))
    blob += table
    annotations = {layer_table.ANNOTATION: str(place)}
    return Descriptor(OCI_LAYER_GZIP, digests.of(blob), len(blob), annotations=annotations), blob


def test_the_empty_members_of_the_tests_are_those_that_a_table_is_read_from() -> None:
    raw = gzip.compress(Listing(entries=(), size=1).encode())
    table = member(raw[:20]) + member(raw[20:])
    assert gzip.decompress(table) == b""
    assert _read(table, offset=1).entries == ()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_it_is_the_listing_of_the_layer_and_where_it_can_be_entered(kind: str) -> None:
    made, _ = packed(_layer(), kind)
    found = toc.read(made.toc, layer_table.find(made.descriptor()) or pytest.fail("no table"), made.descriptor())
    assert found == made.listing
    assert len(found.blocks) == len(found.checksums) == 5
    assert found.blob == made.digest


def test_the_descriptor_names_it() -> None:
    made, _ = packed(_layer())
    place = layer_table.find(made.descriptor())
    assert place == TablePlace(size=len(made.toc), digest=digests.of(made.toc))
    table, offset = place.within(made.descriptor())
    assert (table.digest, table.size, offset) == (digests.of(made.toc), len(made.toc), 0)


def test_that_of_a_layer_in_the_old_form_is_read_where_it_lies() -> None:
    layer, blob = old_form(_layer())
    place = layer_table.find(layer)
    assert place is not None
    assert place.within(layer) == (layer, place.offset)
    assert place.size > 65_536, "it lies in more members than one"
    found = toc.read(blob[place.offset :], place, layer)
    assert found.entries == scan(io.BytesIO(blob))[1].entries == packed(_layer())[0].listing.entries


def test_that_of_another_layer_is_refused() -> None:
    made, _ = packed(_layer())
    with pytest.raises(CorruptError, match=f"of the layer {made.digest}, not of {LAYER.digest}"):
        _read(made.toc)


@pytest.mark.parametrize(("items", "kind"), [([file("a", b"a")], "gzip"), (_layer(), "none")])
def test_small_and_uncompressed_layers_have_none(items: list[Item], kind: str) -> None:
    made, _ = packed(items, kind)
    assert made.toc == b""
    assert not made.descriptor().annotations


def test_a_layer_has_one_from_two_mebibytes_on() -> None:
    listing = Listing(entries=(), size=1).encode()
    assert toc.encode(listing, LEAST)
    assert toc.encode(listing, LEAST - 1) == b""


def test_a_table_that_is_large_beside_its_layer_is_left_out() -> None:
    source = random.Random(2)
    made, _ = packed([file(source.randbytes(100).hex()) for _ in range(20_000)])
    assert made.size > LEAST
    assert made.toc == b""


def test_a_byte_that_is_another_is_noticed() -> None:
    made, _ = packed(_layer())
    place = layer_table.find(made.descriptor())
    assert place is not None
    for at in range(0, len(made.toc), len(made.toc) // 40):
        damaged = bytearray(made.toc)
        damaged[at] ^= 0x10
        with pytest.raises(CorruptError, match="not what its manifest says"):
            toc.read(bytes(damaged), place, made.descriptor())
    with pytest.raises(CorruptError, match="not what its manifest says"):
        toc.read(made.toc[:-1], place, made.descriptor())


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
@pytest.mark.parametrize("offset", [None, 1])
def test_one_with_the_right_digest_that_is_none_is_refused(table: bytes, offset: int | None) -> None:
    with pytest.raises(CorruptError):
        _read(table, offset)


@pytest.mark.parametrize("offset", [None, 1])
def test_one_that_inflates_without_end_is_refused(offset: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toc, "LARGEST", 1 << 20)
    bomb = gzip.compress(bytes(2 << 20))
    with pytest.raises(CorruptError, match="more than the 1048576 bytes"):
        _read(bomb if offset is None else member(bomb), offset)


@pytest.mark.parametrize("entry", [file("../up"), file("/top"), file("a//b"), hardlink("a", "../b")])
def test_a_name_that_no_listing_has_is_refused(entry: Item) -> None:
    bad = ListedEntry(path=entry[0].path, kind=entry[0].kind, mode=0o644, link=entry[0].link)
    table = toc.encode(Listing(entries=(bad,), size=1).encode(), LEAST)
    with pytest.raises(CorruptError, match=r"out of the image|no listing has"):
        _read(table)


def test_checksums_that_are_not_one_for_each_block_are_refused() -> None:
    odd = Listing(entries=(), size=1, blocks=((10, 0), (99, 70_000)), blob=LAYER.digest, stream="gzip", checksums=(1,))
    with pytest.raises(CorruptError, match="1 checksums of 2 blocks"):
        _read(toc.encode(odd.encode(), LEAST))


def test_every_cut_of_a_table_is_an_error() -> None:
    listing = Listing(entries=packed(_layer(50))[0].listing.entries, size=1).encode()
    for whole, offset in ((toc.encode(listing, LEAST), None), (member(gzip.compress(listing)), 1)):
        for end in range(0, len(whole), 97):
            with pytest.raises(CorruptError):
                _read(whole[:end], offset)


@given(st.none() | st.integers(1, 10**17), st.integers(1, 1 << 24), st.binary(min_size=0, max_size=8))
def test_a_place_is_read_as_it_is_written(offset: int | None, size: int, content: bytes) -> None:
    place = TablePlace(offset=offset, size=size, digest=digests.of(content))
    assert layer_table.parse(str(place)) == place


@given(st.text(max_size=90))
@pytest.mark.parametrize("ending", ["", f" sha256:{'0' * 64}"])
def test_any_other_text_names_no_place(ending: str, text: str) -> None:
    place = layer_table.parse(text + ending)
    assert place is None or str(place) == text + ending


@pytest.mark.parametrize("text", ["", "1+2", f"0+5 sha256:{'0' * 64}", f"1+99999999 sha256:{'0' * 64}", "1+2 md5:0"])
def test_a_place_that_cannot_be_is_none(text: str) -> None:
    assert layer_table.parse(text) is None
