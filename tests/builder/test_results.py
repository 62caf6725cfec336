"""Results of steps in the local cache: in any form that is still in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.builder.cache import packed
from polyarch.builder.cache.results import LocalResults, StepResults
from polyarch.contents.layer import Layer
from polyarch.images.prune import prune
from polyarch.layers.compression import Compression
from polyarch.oci import digest as digests
from polyarch.store import Store, tables

GZIP = Compression()
NOTES = (("Rule", "a warning"),)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def results(store: Store) -> StepResults:
    return LocalResults(store)


def blob(store: Store) -> Layer:
    return Layer(diff_id=digests.of(b"tar"), blob=store.put_bytes("a/b", b"blob"), created="then")


def snapshot(store: Store, key: str) -> Layer:
    with store.snapshots.prepare(key) as made:
        made.commit(0)
    return Layer(snapshot=key, created="now", notes=NOTES)


def test_a_result_is_found_as_long_as_its_blob_is_there(store: Store, results: StepResults) -> None:
    layer = blob(store)
    assert results.find("key", GZIP) is None
    results.keep("key", layer)
    assert results.find("key", GZIP) == layer
    assert layer.blob is not None
    store.blob_path(layer.blob.digest).unlink()
    assert results.find("key", GZIP) is None


def test_a_directory_is_found_with_the_blob_that_it_was_packed_to(store: Store, results: StepResults) -> None:
    bare, whole = snapshot(store, "snap"), blob(store)
    results.keep("key", bare)
    assert results.find("key", GZIP) == bare
    packed.remember(store, bare, GZIP, whole)
    both = results.find("key", GZIP)
    assert both == Layer(diff_id=whole.diff_id, blob=whole.blob, snapshot="snap", created="now", notes=NOTES)
    assert results.find("key", Compression(kind="zstd")) == bare
    store.snapshots.remove("snap")
    only = results.find("key", GZIP)
    assert only is not None
    assert (only.snapshot, only.blob, only.notes) == ("", whole.blob, NOTES)


def test_a_row_that_cannot_be_read_is_no_result(store: Store, results: StepResults) -> None:
    store.cache.put(tables.RESULT.stored, "key", b'{"blob": 1}')
    assert results.find("key", GZIP) is None


def test_prune_keeps_what_results_need_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Store.open(root) as store:
        results = LocalResults(store)
        results.keep("blob", blob(store))
        results.keep("snapshot", snapshot(store, "snap"))
        snapshot(store, "garbage")
        garbage = store.put_bytes("a/b", b"garbage")
    with Store.open(root) as store:
        removed = {item.name for item in prune(store).removed}
        assert removed == {"garbage", garbage.digest}
        assert LocalResults(store).find("blob", GZIP) is not None
        assert LocalResults(store).find("snapshot", GZIP) is not None
