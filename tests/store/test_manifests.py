"""Writing manifests, reading them, and resolving digests."""

import pytest

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.store import Store
from tests.store.images import describe, image, index, write


def test_a_manifest_keeps_its_bytes(store: Store) -> None:
    made = image(store, b"layer")
    assert store.has_manifest(made.descriptor())
    assert store.read_manifest(made.descriptor()) == made.raw
    assert store.load(made.descriptor()) == made


def test_a_digest_of_a_manifest_resolves_and_one_of_a_layer_does_not(store: Store) -> None:
    made = image(store, b"layer")
    assert store.resolve(made.digest) == made.descriptor()
    with pytest.raises(NotFoundError):
        store.resolve(made.layers[0].digest)
    with pytest.raises(NotFoundError):
        store.resolve(made.config.digest)
    with pytest.raises(NotFoundError):
        store.resolve(digests.of(b"absent"))


def test_a_manifest_that_is_none_is_not_written(store: Store) -> None:
    raw = b'{"schemaVersion": 2}'
    with pytest.raises(CorruptError):
        store.write_manifest(describe(raw, media_types.OCI_MANIFEST), raw)
    assert not store.has_manifest(describe(raw))


def test_a_corrupt_manifest_is_found_when_it_is_read_and_mended_when_it_is_written(store: Store) -> None:
    made = image(store, b"layer")
    store.blob_path(made.digest).write_bytes(made.raw.replace(b"schemaVersion", b"schemaversion"))
    with pytest.raises(CorruptError):
        store.read_manifest(made.descriptor())
    store.write_manifest(made.descriptor(), made.raw)
    assert store.read_manifest(made.descriptor()) == made.raw


def test_what_a_lazy_image_lacks_is_told_parents_first(store: Store) -> None:
    here = image(store, b"here")
    config = write(store, b"{}", media_types.OCI_CONFIG)
    lazy = manifests.create(config, [describe(b"not here"), here.layers[0]])
    store.write_manifest(lazy.descriptor(), lazy.raw)
    unknown = manifests.create(config, [describe(b"nor this")]).descriptor()
    both = indexes.create([here.descriptor(), lazy.descriptor(), unknown])
    store.write_manifest(both.descriptor(), both.raw)
    assert store.missing(both.descriptor()) == (unknown, lazy.layers[0])
    assert store.missing(here.descriptor()) == ()


def test_all_manifests_are_listed_tagged_or_not(store: Store) -> None:
    made = index(store, b"one", b"two", name="docker.io/library/x:1")
    other = image(store, b"three")
    assert {document.digest for document in store.manifests()} == {
        made.digest,
        other.digest,
        *(entry.digest for entry in made.manifests),
    }
