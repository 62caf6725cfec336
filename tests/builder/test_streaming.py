"""Uploading a layer while it is packed, and uploads that fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.builder.export.streaming import StreamedBlob, no_upload
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store import Store
from scripts.local_registry import LocalRegistry

CONTENT = b"a layer " * 200_000
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
