"""Archives that `docker save` wrote."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.transfer import archive
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.docker_archive import DockerArchive
from polyarch.transfer.layout import OciLayout
from tests.oci import schemas
from tests.oci.examples import tar
from tests.transfer.archives import no_spool

LAYER = tar({"a": "b"})


def docker_archive(path: Path, layer: bytes, more: Mapping[str, bytes] | None = None, *, prefix: str = "") -> Path:
    """An archive of an image x:1 whose one layer, LAYER, is compressed to `layer`."""
    rootfs = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(LAYER).hexdigest()]}
    saved = [{"Config": f"{prefix}c.json", "RepoTags": ["x:1"], "Layers": [f"{prefix}l.tar"]}]
    files = {
        "l.tar": layer,
        "c.json": json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode(),
        "manifest.json": json.dumps(saved).encode(),
    }
    with tarfile.open(path, "w") as output:
        for name, raw in (files | dict(more or {})).items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            output.addfile(info, io.BytesIO(raw))
    return path


class TestDocker:
    """Docker's own archive, as `docker save` wrote it before version 25."""

    @pytest.fixture
    def legacy(self, tmp_path: Path) -> Path:
        """Two images, the second with a layer that is a link to the first's, as docker wrote shared layers."""
        one, two = tar({"etc/one": "1"}), tar({"etc/two": "2"})
        ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in (one, two)]
        config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}}
        alone = config | {"rootfs": {"type": "layers", "diff_ids": ids[:1]}}
        files = {
            "aa/layer.tar": one,
            "bb/layer.tar": two,
            "config.json": json.dumps(config).encode(),
            "alone.json": json.dumps(alone).encode(),
            "manifest.json": json.dumps(
                [
                    {
                        "Config": "config.json",
                        "RepoTags": ["app:1", "app:latest"],
                        "Layers": ["aa/layer.tar", "bb/layer.tar"],
                    },
                    {"Config": "alone.json", "RepoTags": None, "Layers": ["cc/layer.tar"]},
                ]
            ).encode(),
        }
        path = tmp_path / "docker.tar"
        with tarfile.open(path, "w") as output:
            for name, raw in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                output.addfile(info, io.BytesIO(raw))
            link = tarfile.TarInfo("cc/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, "../aa/layer.tar"
            output.addfile(link)
        return path

    @pytest.fixture
    def opened(self, legacy: Path) -> Iterator[DockerArchive]:
        with archive.open_path(legacy, no_spool) as found:
            assert isinstance(found, DockerArchive)
            yield found

    def test_its_images_have_oci_manifests_and_their_diff_ids_as_layers(
        self, opened: DockerArchive, tmp_path: Path
    ) -> None:
        assert opened.tags() == ("app:1", "app:latest")
        target = OciLayout.create(tmp_path / "target")
        copied = copier.copy(opened, "app", target, ["app"])
        schemas.validate(target.read_manifest(copied), media_types.OCI_MANIFEST)
        manifest = graphs.read_node(target, copied).document
        assert [layer.media_type for layer in manifest.layers] == [media_types.OCI_LAYER] * 2  # type: ignore[union-attr]
        assert opened.resolve("docker.io/library/app:1") == copied

    def test_an_image_without_a_name_goes_by_its_id(self, opened: DockerArchive, tmp_path: Path) -> None:
        nameless = next(found for found in opened.images() if not found.name)
        target = OciLayout.create(tmp_path / "target")
        assert copier.copy(opened, nameless.descriptor.digest, target, ["alone"]) == nameless.descriptor

    def test_a_layer_that_is_not_its_diff_id_is_refused(self, legacy: Path, tmp_path: Path) -> None:
        spoilt = legacy.read_bytes().replace(b"etc/two", b"etc/tow")
        legacy.write_bytes(spoilt)
        with archive.open_path(legacy, no_spool) as found, pytest.raises(CorruptError):
            copier.copy(found, "app:1", OciLayout.create(tmp_path / "target"), ["app"])

    def test_an_unknown_name_lists_the_names(self, opened: DockerArchive) -> None:
        with pytest.raises(NotFoundError) as caught:
            opened.resolve("other")
        assert "app:1, app:latest" in (caught.value.hint or "")

    def test_layers_that_were_compressed_are_known_by_what_they_are(self, tmp_path: Path) -> None:
        packed = gzip.compress(LAYER, mtime=0)
        with archive.open_path(docker_archive(tmp_path / "kaniko.tar", packed), no_spool) as found:
            manifest = graphs.read_node(found, found.resolve("x:1")).document
            assert manifest.layers[0].digest == digests.of(packed)  # type: ignore[union-attr]
            assert manifest.layers[0].media_type == media_types.OCI_LAYER_GZIP  # type: ignore[union-attr]

    @pytest.mark.parametrize("compress", [lzma.compress, bz2.compress])
    def test_a_layer_in_a_form_that_oci_has_no_name_for_is_taken_uncompressed(
        self, compress: Callable[[bytes], bytes], tmp_path: Path
    ) -> None:
        target = OciLayout.create(tmp_path / "target")
        path = docker_archive(tmp_path / "packed.tar", compress(LAYER))
        with archive.open_path(path, no_spool) as found:
            manifest = graphs.read_node(found, copier.copy(found, "x:1", target, ["x"])).document
        (layer,) = manifest.layers  # type: ignore[union-attr]
        assert (layer.media_type, layer.size) == (media_types.OCI_LAYER, len(LAYER))
        with target.open_blob(layer) as content:
            assert content.read() == LAYER
        docker_archive(path, compress(LAYER)[:-9])
        with archive.open_path(path, no_spool) as found, pytest.raises(CorruptError, match="cut off"):
            found.resolve("x:1")

    def test_paths_may_begin_with_a_dot(self, tmp_path: Path) -> None:
        with archive.open_path(docker_archive(tmp_path / "dot.tar", LAYER, prefix="./"), no_spool) as found:
            target = OciLayout.create(tmp_path / "target")
            manifest = graphs.read_node(target, copier.copy(found, "x:1", target, ["x"])).document
        with target.open_blob(manifest.layers[0]) as content:  # type: ignore[union-attr]
            assert content.read() == LAYER

    @pytest.mark.parametrize("manifests", [b"null", b"[]"])
    def test_an_index_that_names_no_image_gives_way_to_manifest_json(self, tmp_path: Path, manifests: bytes) -> None:
        index = b'{"schemaVersion":2,"manifests":%s}' % manifests
        path = docker_archive(tmp_path / "both.tar", LAYER, {"index.json": index})
        with archive.open_path(path, no_spool) as found:
            assert found.tags() == ("x:1",)
