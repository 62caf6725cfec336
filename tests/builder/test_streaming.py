"""Uploading a layer while it is packed or while other platforms are built, and uploads that fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.builder.export.streaming import EarlyLayers, RegistryUploads, StreamedBlob, no_upload
from polyarch.builder.request.output import Export, Output
from polyarch.builder.vertices import VertexId
from polyarch.contents.layer import Layer
from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store import Store
from scripts.local_registry import LocalRegistry

CONTENT = b"a layer " * 300_000
DIGEST = digests.of(CONTENT)
BLOB = Descriptor(media_type="application/octet-stream", digest=DIGEST, size=len(CONTENT))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def client() -> Iterator[Registry]:
    with Registry(Hosts(), Credentials(None), "polyarch-test", sleep=lambda seconds: None) as opened:
        yield opened


def write(blob: StreamedBlob) -> None:
    for start in range(0, len(CONTENT), 100_000):
        blob.write(CONTENT[start : start + 100_000])


def test_it_is_in_the_store_and_in_the_registry(registry: LocalRegistry, store: Store, client: Registry) -> None:
    repository = client.repository(references.parse(f"{registry.address}/app"))
    with StreamedBlob(store, repository.upload) as blob:
        write(blob)
        blob.keep(DIGEST)
    assert store.has_blob(BLOB)
    assert registry.blob_path(DIGEST).read_bytes() == CONTENT
    before = len(registry.requests())
    assert repository.has_blob(BLOB), "what was sent is not asked for"
    assert len(registry.requests()) == before


def test_a_small_one_is_left_to_the_copier_which_sends_several_at_once(
    registry: LocalRegistry, store: Store, client: Registry
) -> None:
    repository = client.repository(references.parse(f"{registry.address}/app"))
    before = len(registry.requests())
    with StreamedBlob(store, repository.upload) as blob:
        blob.write(b"sma")
        blob.write(b"ll")
        blob.keep(digests.of(b"small"))
    assert store.blob_path(digests.of(b"small")).read_bytes() == b"small"
    assert len(registry.requests()) == before


def test_one_that_is_given_up_is_nowhere(registry: LocalRegistry, store: Store, client: Registry) -> None:
    repository = client.repository(references.parse(f"{registry.address}/app"))
    with StreamedBlob(store, repository.upload) as blob:
        write(blob)
    assert not store.has_blob(BLOB)
    assert not registry.blob_path(DIGEST).exists()
    assert any(line.startswith("DELETE") for line in registry.requests())


def test_a_registry_that_is_not_there_does_no_harm(store: Store, client: Registry) -> None:
    repository = client.repository(references.parse("127.0.0.1:1/app"))
    with StreamedBlob(store, repository.upload) as blob:
        write(blob)
        blob.keep(DIGEST)
    assert store.has_blob(BLOB)


def test_a_registry_that_goes_away_in_the_middle_does_no_harm(
    registry: LocalRegistry, store: Store, client: Registry
) -> None:
    repository = client.repository(references.parse(f"{registry.address}/app"))
    with StreamedBlob(store, repository.upload) as blob:
        blob.write(CONTENT[:1_500_000])
        registry.stop()
        blob.write(CONTENT[1_500_000:])
        blob.keep(DIGEST)
    assert store.has_blob(BLOB)


def test_without_a_registry_it_is_in_the_store(store: Store) -> None:
    with StreamedBlob(store, no_upload) as blob:
        write(blob)
        blob.keep(DIGEST)
    assert store.has_blob(BLOB)


class _Early:
    """The layers of two platforms: one has two new layers on a cached one, the other has one."""

    def __init__(self, store: Store, client: Registry, address: str) -> None:
        export = Export(names=(references.parse(f"{address}/app"),), outputs=(Output(kind="registry"),))
        self._store = store
        self.packed: list[str] = []
        self.stopped = False
        images = [[VertexId(name) for name in ("cached", "first", "second")], [VertexId("other")]]
        uploads = RegistryUploads(client, export)
        self.layers = EarlyLayers(images, self._pack, store, uploads, lambda: self.stopped)
        self.layers.expect(map(VertexId, ("first", "second", "other")))

    def _pack(self, layer: Layer) -> Layer:
        self.packed.append(layer.snapshot)
        if layer.snapshot == "damaged":
            raise CorruptError("it is damaged")
        content = layer.snapshot.encode()
        self._store.put_bytes("application/octet-stream", content)
        blob = Descriptor(media_type="application/octet-stream", digest=digests.of(content), size=len(content))
        return Layer(diff_id=blob.digest, blob=blob)

    def made(self, vertex: str, snapshot: str = "") -> None:
        self.layers.made(VertexId(vertex), Layer(snapshot=snapshot or vertex))


@pytest.fixture
def early(registry: LocalRegistry, store: Store, client: Registry) -> Iterator[_Early]:
    made = _Early(store, client, registry.address)
    yield made
    made.layers.close()


def test_the_new_layers_of_a_platform_are_sent_before_those_of_others_are_made(
    registry: LocalRegistry, early: _Early
) -> None:
    early.made("second")
    assert early.packed == []
    early.made("first")
    early.layers.close()
    assert early.packed == ["first", "second"]
    for name in early.packed:
        assert registry.blob_path(digests.of(name.encode())).read_bytes() == name.encode()
    early.made("other")
    early.layers.close()
    assert early.packed == ["first", "second"], "the last platform is not early"


def test_what_cannot_be_packed_early_is_left_to_the_export(registry: LocalRegistry, early: _Early) -> None:
    early.made("first")
    early.made("second", "damaged")
    early.layers.close()
    assert early.packed == ["first", "damaged"]
    assert not registry.blob_path(digests.of(b"first")).exists()


def test_a_cancelled_build_sends_nothing_early(registry: LocalRegistry, early: _Early) -> None:
    early.stopped = True
    early.made("first")
    early.made("second")
    early.layers.close()
    assert not registry.blob_path(digests.of(b"first")).exists()
