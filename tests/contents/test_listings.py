"""Remembered listings: found again, read in part, and made again where a row is damaged."""

import pytest

from polyarch.contents import listings
from polyarch.contents.layer import Layer, LayerBlob
from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.store import Store, tables
from tests.images.layered import file
from tests.images.layered import layer as made_layer


@pytest.fixture
def layer(store: Store) -> LayerBlob:
    blob, diff_id = made_layer(store, [file("a", "1"), file("b", "2")], "gzip")
    return LayerBlob(digests.parse(diff_id), blob)


def test_a_listing_that_was_read_is_remembered(store: Store, layer: LayerBlob) -> None:
    assert not listings.is_known(store, layer.diff_id)
    with store.open_blob(layer.blob) as reader:
        listing = listings.read(layer, reader, store)
    assert listings.is_known(store, layer.diff_id)
    assert listings.find(store, layer.diff_id) == listing
    some = listings.find(store, layer.diff_id, lambda entry: entry.path == "b")
    assert some is not None
    assert [entry.path for entry in some.entries] == ["b"]
    blocks = listings.find_blocks(store, layer.diff_id)
    assert blocks is not None
    assert (blocks.entries, blocks.size) == ((), listing.size)


def test_without_a_store_nothing_is_remembered(store: Store, layer: LayerBlob) -> None:
    with store.open_blob(layer.blob) as reader:
        listings.read(layer, reader, None)
    assert not listings.is_known(store, layer.diff_id)


def test_a_blob_that_is_another_layer_is_an_error(store: Store, layer: LayerBlob) -> None:
    false = LayerBlob(digests.of(b"another"), layer.blob)
    with store.open_blob(layer.blob) as reader, pytest.raises(CorruptError, match="does not match the image's config"):
        listings.read(false, reader, store)
    assert not listings.is_known(store, false.diff_id)


@pytest.mark.parametrize("raw", [b"", b"nonsense", b"\x98\x63"])
def test_a_damaged_row_is_forgotten(store: Store, layer: LayerBlob, raw: bytes) -> None:
    for read in (listings.find, listings.find_blocks):
        store.cache.put(tables.LISTING.stored, layer.diff_id, raw)
        assert read(store, layer.diff_id) is None
        assert not listings.is_known(store, layer.diff_id)


def test_a_layer_without_a_blob_has_no_such_form() -> None:
    with pytest.raises(CorruptError, match="the layer key has no blob"):
        Layer(snapshot="key").as_blob()
