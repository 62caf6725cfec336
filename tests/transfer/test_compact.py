"""Compressing the plain tar layers of docker's archives when they enter a store."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import CorruptError
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.store.store import Store
from polyarch.transfer import archive
from polyarch.transfer import copy as copier
from polyarch.transfer.compressed import Compacted
from polyarch.transfer.docker_archive import DockerArchive
from tests.oci.examples import AMD64, tar

_LAYER = tar({"etc/text": "the same words again and again\n" * 5000})
_SHA256 = digests.of(_LAYER)
_SHA512 = Digest("sha512:" + hashlib.sha512(_LAYER).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


def _docker_archive(path: Path, layer: bytes = _LAYER, diff_id: Digest = _SHA256) -> DockerArchive:
    config = configs.empty(AMD64).with_layers((diff_id,), ()).encode()
    manifest = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["one/layer.tar"]}]
    with tarfile.open(path, "w") as made:
        for name, content in (
            ("config.json", config),
            ("one/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    opened = archive.open_path(path, lambda: pytest.fail("a plain archive is read in place"))
    assert isinstance(opened, DockerArchive)
    return opened


def test_layers_are_compressed_and_the_image_stays_the_one_it_was(store: Store, tmp_path: Path) -> None:
    with _docker_archive(tmp_path / "docker.tar") as opened:
        source = Compacted(opened, store)
        (named,) = source.images()
        assert source.resolve("app:1") == source.resolve(named.descriptor.digest) == named.descriptor
        copier.copy(source, "app:1", store, ["docker.io/library/app:1"])
        original = opened.read_manifest(opened.resolve("app:1"))
    manifest = store.load(store.resolve("docker.io/library/app:1"))
    assert isinstance(manifest, Manifest)
    (layer,) = manifest.layers
    assert layer.media_type == media_types.OCI_LAYER_GZIP
    assert layer.size < len(_LAYER) / 10
    with store.open_blob(layer) as reader:
        assert gzip.decompress(reader.read()) == _LAYER
    assert manifest.config.digest == json.loads(original)["config"]["digest"], (
        "docker's image id is the config's digest"
    )


def test_a_second_time_nothing_is_compressed_and_the_digest_is_the_same(store: Store, tmp_path: Path) -> None:
    with _docker_archive(tmp_path / "docker.tar") as opened:
        first = Compacted(opened, store).resolve("app:1")
    with _docker_archive(tmp_path / "docker.tar") as again:
        source = Compacted(again, store)
        again.open_blob = lambda descriptor: pytest.fail("it is in the store")  # type: ignore[method-assign]
        assert source.resolve("app:1") == first


def test_a_diff_id_may_be_of_the_other_registered_algorithm(store: Store, tmp_path: Path) -> None:
    with _docker_archive(tmp_path / "docker.tar", diff_id=_SHA512) as opened:
        copier.copy(Compacted(opened, store), "app:1", store, ["docker.io/library/app:1"])
    manifest = store.load(store.resolve("docker.io/library/app:1"))
    assert isinstance(manifest, Manifest)
    with store.open_blob(manifest.layers[0]) as reader:
        assert gzip.decompress(reader.read()) == _LAYER


@pytest.mark.parametrize("diff_id", [_SHA256, _SHA512])
def test_a_layer_that_is_not_its_diff_id_is_refused_and_not_kept(store: Store, tmp_path: Path, diff_id: Digest) -> None:
    with (
        _docker_archive(tmp_path / "docker.tar", _LAYER.replace(b"words", b"woods", 1), diff_id) as opened,
        pytest.raises(CorruptError, match=r"docker\.tar"),
    ):
        Compacted(opened, store).resolve("app:1")
    assert store.find_by_prefix("") == []
