"""Verification of a store finds each kind of damage, and repair removes it."""

import os
from pathlib import Path

import pytest

from polyarch.oci import manifest as manifests
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store, StoreProblem
from tests.store.images import describe, image, index

X = "docker.io/library/x:1"
Y = "docker.io/library/y:1"


def blobs(store: Store) -> list[str]:
    return sorted(f"sha256:{path.name}" for path in (Path(store.layout.root) / "oci/blobs/sha256").iterdir())


def problems(store: Store) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(problem.kind, problem.subject, problem.tags) for problem in store.maintenance.verify()]


def test_a_whole_store_has_no_problems(store: Store) -> None:
    index(store, b"one", b"two", name=X)
    read: list[int] = []
    assert list(store.maintenance.verify(read.append)) == []
    assert sum(read) == store.maintenance.usage().blobs


@pytest.mark.parametrize("part", range(7))
def test_each_blob_that_is_spoilt_in_turn_is_found(store: Store, part: int) -> None:
    made = index(store, b"one", b"two", name=X)
    assert len(blobs(store)) == 7
    digest = blobs(store)[part]
    path = store.blob_path(digest)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    found = problems(store)
    assert ("corrupt", digest, ()) in found
    assert ("corrupt", digest, (X,)) in found
    assert {subject for _, subject, _ in found} == {digest}
    assert made.digest in blobs(store)


def test_each_blob_that_is_missing_in_turn_is_found_with_the_tags_that_need_it(store: Store) -> None:
    made = image(store, b"layer", X)
    store.tag(Y, made.descriptor())
    for descriptor in (made.layers[0], made.config, made.descriptor()):
        os.unlink(store.blob_path(descriptor.digest))
        assert ("absent", descriptor.digest, (X, Y)) in problems(store)


def test_a_size_that_two_places_disagree_on_is_found(store: Store) -> None:
    made = image(store, b"layer")
    claim = describe(b"layer and more")
    claim = Descriptor(claim.media_type, made.layers[0].digest, claim.size)
    wrong = manifests.create(made.config, [claim])
    store.write_manifest(wrong.descriptor(), wrong.raw, X)
    assert problems(store) == [("size", made.layers[0].digest, (X,))]


def test_an_entry_that_is_no_manifest_is_found(store: Store) -> None:
    made = image(store, b"layer")
    raw = b"[]"
    descriptor = store.put_bytes(made.media_type, raw)
    store.tag(X, descriptor)
    assert problems(store) == [("malformed", descriptor.digest, (X,))]


def test_a_file_that_is_no_blob_is_found_and_removed(store: Store, store_root: Path) -> None:
    stray = store_root / "oci/blobs/sha256/left-by-another-program"
    stray.touch()
    (found,) = store.maintenance.verify()
    assert (found.kind, found.subject) == ("stray", str(stray))
    assert store.maintenance.repair(found)
    assert not store.maintenance.repair(found)
    assert list(store.maintenance.verify()) == []


def test_a_damaged_index_is_found_and_repaired_to_images_without_names(store: Store, store_root: Path) -> None:
    made, other = index(store, b"one", b"two", name=X), image(store, b"three", Y)
    (store_root / "oci/index.json").write_text("{")
    (found,) = store.maintenance.verify()
    assert found.kind == "index"
    assert store.maintenance.repair(found)
    assert list(store.maintenance.verify()) == []
    assert {entry.digest for entry in store.kept()} == {made.digest, other.digest}
    assert (store_root / "oci/index.json.damaged").read_text() == "{"


def test_a_corrupt_blob_is_removed_so_that_it_can_be_made_again(store: Store) -> None:
    made = image(store, b"layer", X)
    store.blob_path(made.layers[0].digest).write_bytes(b"liver")
    first = next(iter(store.maintenance.verify()))
    assert first.kind == "corrupt"
    assert store.maintenance.repair(first)
    assert store.missing(made.descriptor()) == made.layers
    image(store, b"layer", X)
    assert problems(store) == []


def test_what_is_only_absent_cannot_be_removed(store: Store) -> None:
    assert not store.maintenance.repair(StoreProblem(kind="absent", subject=describe(b"x").digest, message=""))
