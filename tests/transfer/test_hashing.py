"""Every byte that is copied is hashed once, and none is kept unless its digest is right."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Source, Target
from polyarch.oci.verify import VerifyingReader
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer.archive import ArchiveWriter, open_path
from polyarch.transfer.layout import OciLayout, blob_path
from scripts.local_registry import LocalRegistry
from tests.registry.faults import serving
from tests.registry.test_blobs import ranged
from tests.transfer.archives import NAME, no_spool, saved

SIZE = 3 << 20
CONTENT = os.urandom(SIZE)
LAYER = Descriptor(media_type=media_types.OCI_LAYER, digest=digests.of(CONTENT), size=SIZE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def client() -> Iterator[Registry]:
    with Registry(Hosts(), Credentials(None), "polyarch/test") as opened:
        yield opened


def fill(target: Target, name: str) -> None:
    """An image of one large layer."""
    config = Descriptor(media_type=media_types.OCI_CONFIG, digest=digests.of(b"{}"), size=2)
    target.write_blob(config, io.BytesIO(b"{}"))
    target.write_blob(LAYER, io.BytesIO(CONTENT))
    manifest = manifests.create(config, [LAYER])
    target.write_manifest(manifest.descriptor(), manifest.raw, name)


class From(NamedTuple):
    """A source with the image, the image's name there, and the file that has the layer's bytes."""

    place: Source
    name: str
    file: Path


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[From]:
    kind: str = request.param
    if kind == "store":
        store: Store = request.getfixturevalue("store")
        fill(store, NAME)
        yield From(store, NAME, store.blob_path(LAYER.digest))
    elif kind == "registry":
        registry: LocalRegistry = request.getfixturevalue("registry")
        repository = request.getfixturevalue("client").repository(references.parse(f"{registry.address}/source"))
        fill(repository, "1")
        yield From(repository, "1", registry.blob_path(LAYER.digest))
    else:
        layout = OciLayout.create(tmp_path / "source")
        fill(layout, NAME)
        if kind == "layout":
            yield From(layout, NAME, tmp_path / "source" / blob_path(LAYER.digest))
        else:
            file = saved(layout, tmp_path / "source.tar")
            with open_path(file, no_spool) as archive:
                yield From(archive, NAME, file)


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "store":
        store: Store = request.getfixturevalue("store")
        return store
    if request.param == "registry":
        registry: LocalRegistry = request.getfixturevalue("second_registry")
        client: Registry = request.getfixturevalue("client")
        return client.repository(references.parse(f"{registry.address}/target"))
    if request.param == "archive":
        return ArchiveWriter(io.BytesIO())
    return OciLayout.create(tmp_path / "target")


WAYS = [
    ("registry", "store"),
    ("layout", "store"),
    ("archive", "store"),
    ("store", "registry"),
    ("store", "layout"),
    ("store", "archive"),
    ("registry", "layout"),
    ("layout", "registry"),
]
between = pytest.mark.parametrize(("source", "target"), WAYS, indirect=True, ids=["-to-".join(way) for way in WAYS])


@contextlib.contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the bytes that any hash of hashlib is given."""
    hashed = [0]

    def counting(make: Any) -> Any:
        class Counting:
            def __init__(self, *arguments: Any) -> None:
                hashed[0] += sum(len(part) for part in arguments if isinstance(part, bytes))
                self._hash = make(*arguments)
                self.hexdigest = self._hash.hexdigest

            def update(self, data: bytes) -> None:
                hashed[0] += len(data)
                self._hash.update(data)

        return Counting

    with monkeypatch.context() as patched:
        for name in ("new", "sha256"):
            patched.setattr(hashlib, name, counting(getattr(hashlib, name)))
        yield hashed


@pytest.mark.integration
@between
def test_each_byte_is_hashed_once_on_its_way(source: From, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as hashed:
        sent = copier.send(source.place, source.name, target, [NAME if isinstance(target, Store | OciLayout) else "1"])
    assert sent.moved > SIZE
    assert hashed[0] // SIZE == 1
    assert hashed[0] % SIZE < 10_000  # the config and the manifest


# The size of an archive's member is in its header: another one is a damaged archive.
DAMAGES = [(*way, damage) for way in WAYS for damage in ("changed", "shortened", "lengthened")]
DAMAGES = [damage for damage in DAMAGES if damage[0] != "archive" or damage[2] == "changed"]


@pytest.mark.integration
@pytest.mark.parametrize(("source", "target", "damage"), DAMAGES, indirect=["source", "target"])
def test_damaged_bytes_are_refused_and_not_kept(source: From, target: Target, damage: str, tmp_path: Path) -> None:
    raw = source.file.read_bytes()
    at = raw.index(CONTENT[-1000:]) + 999
    change = {"changed": bytes([raw[at] ^ 1]), "shortened": b"", "lengthened": raw[at : at + 1] * 2}[damage]
    source.file.chmod(0o600)
    source.file.write_bytes(raw[:at] + change + raw[at + 1 :])
    with pytest.raises(PolyarchError):
        copier.send(source.place, source.name, target, ["1"])
    assert not target.has_blob(LAYER)
    large = {file for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size > SIZE // 2}
    # What a registry has of an upload that it refused is its own business.
    kept = {file for file in large if "_uploads" not in file.parts}
    assert kept <= {source.file, tmp_path / "source" / blob_path(LAYER.digest)}


def test_a_download_that_is_resumed_is_hashed_once(
    client: Registry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(ranged(CONTENT, [400_000, 100_000])) as server:
        repository = client.repository(references.parse(f"{server.address}/app"))
        with counted(monkeypatch) as hashed, repository.open_blob(LAYER) as reader:
            store.write_blob(LAYER, reader)
    assert len([asked for asked in server.asked if "blobs" in asked.path]) == 3
    assert hashed[0] == SIZE


def test_a_reader_that_verifies_something_else_or_was_read_from_is_not_believed(store: Store) -> None:
    other = Descriptor(media_type=LAYER.media_type, digest=digests.of(b"other"), size=5)
    with pytest.raises(CorruptError):
        store.write_blob(LAYER, VerifyingReader(io.BytesIO(b"other"), other))
    begun = VerifyingReader(io.BytesIO(CONTENT), LAYER)
    begun.read(1)
    with pytest.raises(CorruptError):
        store.write_blob(LAYER, begun)
    assert not store.has_blob(LAYER)
