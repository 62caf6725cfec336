"""Archives and layouts: what we write, skopeo and podman read; what docker wrote, we read."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import ConflictError, CorruptError, NotFoundError
from polyarch.layers.compression import Compression
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.document import Index
from polyarch.store.store import Store
from polyarch.transfer import archive, names
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.archive import ArchiveWriter, OciArchive
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.docker_archive import DockerArchive
from polyarch.transfer.layout import OciLayout, open_layout
from polyarch.transfer.tarball import Compressing, Members, TarWriter
from tests.needs import need
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM64, image, multi_platform, tar

NAME = "docker.io/team/app:1.0"


@pytest.fixture
def source(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "source")


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[], BinaryIO]:
    return lambda: (tmp_path / "spool").open("w+b")


def no_spool() -> BinaryIO:
    raise AssertionError("this archive can be read in place")


def saved(source: OciLayout, path: Path, *, docker: bool = False, preferred: platforms.Platform | None = None) -> Path:
    """An archive of all images of `source`, each under its name."""
    with path.open("wb") as file:
        writer = ArchiveWriter(file, docker=docker, preferred=preferred)
        for name in source.tags():
            copier.copy(source, name, writer, [name])
        writer.finish()
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened if info.isfile()}  # type: ignore[union-attr]


def skopeo(*words: str | Path) -> Any:
    need("skopeo")
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) if "inspect" in words else done.stdout


class TestWriting:
    """An archive as a stream."""

    def test_it_is_an_oci_layout_that_validates(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, NAME)
        content = members(saved(source, tmp_path / "out.tar"))
        schemas.validate(content["oci-layout"], "oci-layout")
        schemas.validate(content["index.json"], media_types.OCI_INDEX)
        for path, raw in content.items():
            if path.startswith("blobs/"):
                assert path == f"blobs/sha256/{hashlib.sha256(raw).hexdigest()}"
                if raw.startswith(b"{") and b"schemaVersion" in raw:
                    schemas.validate(raw, json.loads(raw)["mediaType"])
                elif raw.startswith(b"{"):
                    schemas.validate(raw, media_types.OCI_CONFIG)

    def test_the_same_images_give_the_same_bytes(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, NAME)
        image(source, AMD64, name="other:1")
        one = saved(source, tmp_path / "one.tar", docker=True).read_bytes()
        assert saved(source, tmp_path / "two.tar", docker=True).read_bytes() == one

    def test_what_two_images_share_is_there_once(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, "docker.io/team/app:1")
        multi_platform(source, "docker.io/team/app:2")
        with tarfile.open(saved(source, tmp_path / "out.tar")) as opened:
            assert len(opened.getnames()) == len(set(opened.getnames()))

    def test_for_docker_each_name_has_the_image_of_the_preferred_platform(
        self, source: OciLayout, tmp_path: Path
    ) -> None:
        multi_platform(source, NAME)
        content = members(saved(source, tmp_path / "out.tar", docker=True, preferred=ARM64))
        (entry,) = json.loads(content["manifest.json"])
        assert entry["RepoTags"] == ["docker.io/team/app:1.0"]
        assert json.loads(content[entry["Config"]])["architecture"] == "arm64"
        diff_ids = json.loads(content[entry["Config"]])["rootfs"]["diff_ids"]
        layers = [gzip.decompress(content[path]) for path in entry["Layers"]]
        assert ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers] == diff_ids

    def test_skopeo_reads_it_as_oci_and_as_docker(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, NAME)
        path = saved(source, tmp_path / "out.tar", docker=True, preferred=ARM64)
        arm = skopeo("--override-arch", "arm64", "inspect", f"oci-archive:{path}:1.0")
        assert arm["Architecture"] == "arm64"
        assert (
            skopeo("inspect", "--raw", f"oci-archive:{path}:1.0")["manifests"][0]["platform"]["architecture"] == "amd64"
        )
        assert skopeo("inspect", f"docker-archive:{path}")["Architecture"] == "arm64"
        skopeo("copy", f"docker-archive:{path}", f"oci:{tmp_path / 'copied'}:x")

    def test_podman_loads_it(self, source: OciLayout, tmp_path: Path) -> None:
        need("podman")
        image(source, AMD64, name=NAME)
        path = saved(source, tmp_path / "out.tar", docker=True)
        # podman wants a short path for its sockets.
        with tempfile.TemporaryDirectory(dir="/tmp") as run:
            podman = ["podman", "--root", tmp_path / "root", "--runroot", run, "--storage-driver", "vfs"]
            done = subprocess.run([*podman, "load", "-i", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "team/app:1.0" in done.stdout


class TestReading:
    """OCI archives in place, or through a spool."""

    def test_what_was_saved_is_read_in_place(self, source: OciLayout, tmp_path: Path) -> None:
        root = multi_platform(source, NAME)
        with archive.open_path(saved(source, tmp_path / "out.tar", docker=True), no_spool) as opened:
            assert isinstance(opened, OciArchive)
            assert opened.tags() == (NAME,)
            for name in (NAME, "team/app:1.0", "1.0", "", root.digest):
                assert opened.resolve(name).digest == root.digest
            target = OciLayout.create(tmp_path / "target")
            copier.copy(opened, "", target, ["app"])
            assert graphs.missing(graphs.read(target, root), target) == ()
            child = documents.load(target.read_manifest(root)).decode()["manifests"][1]["digest"]
            assert opened.resolve(child).media_type == media_types.OCI_MANIFEST

    def test_a_compressed_archive_and_a_pipe_are_spooled(
        self, source: OciLayout, tmp_path: Path, spool: Callable[[], BinaryIO]
    ) -> None:
        root = multi_platform(source, NAME)
        path = saved(source, tmp_path / "out.tar")
        packed = tmp_path / "out.tar.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        with archive.open_path(packed, spool) as opened:
            assert opened.resolve(NAME).digest == root.digest
        with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            with archive.open_archive(process.stdout, spool, "standard input") as opened:
                assert opened.resolve(NAME).digest == root.digest

    @pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
    def test_an_archive_can_be_written_compressed(
        self, source: OciLayout, tmp_path: Path, spool: Callable[[], BinaryIO], kind: Literal["gzip", "zstd", "none"]
    ) -> None:
        root = image(source, AMD64, {"big": "0123456789" * 300_000}, name=NAME)
        path = tmp_path / "out"
        with path.open("wb") as file:
            output = Compressing(file, Compression(kind))
            writer = ArchiveWriter(output, docker=True)
            copier.copy(source, NAME, writer, [NAME])
            writer.finish()
            output.finish()
        with archive.open_path(path, spool) as opened:
            copied = copier.copy(opened, NAME, OciLayout.create(tmp_path / "target"), ["x"])
        assert copied.digest == root.digest
        if kind == "gzip":
            with tarfile.open(path, "r:gz") as opened_by_python:
                assert opened_by_python.getnames()[0] == "oci-layout"

    def test_what_skopeo_wrote_is_read(self, source: OciLayout, tmp_path: Path) -> None:
        image(source, AMD64, name="1.0")
        for kind in ("oci-archive", "docker-archive"):
            path = tmp_path / f"{kind}.tar"
            skopeo("copy", f"oci:{tmp_path / 'source'}:1.0", f"{kind}:{path}:team/app:1.0")
            with archive.open_path(path, no_spool) as opened:
                target = OciLayout.create(tmp_path / kind)
                copied = copier.copy(opened, "team/app:1.0", target, ["app"])
                assert graphs.missing(graphs.read(target, copied), target) == ()
                schemas.validate(target.read_manifest(copied), copied.media_type)

    @pytest.mark.parametrize(
        ("member", "reason"),
        [("../index.json", "outside of it"), ("/etc/passwd", "outside of it"), ("a/../../b", "outside of it")],
    )
    def test_a_member_that_leads_out_is_refused(self, tmp_path: Path, member: str, reason: str) -> None:
        path = tmp_path / "evil.tar"
        path.write_bytes(tar({"index.json": "{}", member: "x"}))
        with pytest.raises(CorruptError, match=reason):
            archive.open_path(path, no_spool)

    def test_an_archive_that_was_cut_is_refused(self, source: OciLayout, tmp_path: Path) -> None:
        image(source, AMD64, {"big": "0123456789" * 5000}, name=NAME)
        raw = saved(source, tmp_path / "out.tar").read_bytes()
        path = tmp_path / "cut.tar"
        for length in (700, len(raw) // 4, raw.rindex(b"index.json"), raw.rindex(b"index.json") + 600):
            path.write_bytes(raw[:length])
            with pytest.raises((CorruptError, NotFoundError)), archive.open_path(path, no_spool) as opened:
                copier.copy(opened, "", OciLayout.create(tmp_path / "target"), ["x"])

    @pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, tar({"etc/passwd": "root"})])
    def test_what_is_no_archive_of_images_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(CorruptError, match=r"not a tar archive|not an archive of images"):
            archive.open_path(path, no_spool)

    def test_an_absurd_index_is_refused_unread(self, tmp_path: Path) -> None:
        path = tmp_path / "absurd.tar"
        path.write_bytes(tar({"oci-layout": "{}", "index.json": " " * (5 << 20)}))
        with archive.open_path(path, no_spool) as opened, pytest.raises(CorruptError, match="5242880 bytes"):
            opened.resolve("x")

    def test_an_unknown_name_is_an_error_that_lists_what_is_there(self, source: OciLayout, tmp_path: Path) -> None:
        image(source, AMD64, name=NAME)
        with (
            archive.open_path(saved(source, tmp_path / "out.tar"), no_spool) as opened,
            pytest.raises(NotFoundError) as caught,
        ):
            opened.resolve("team/other:1")
        assert NAME in (caught.value.hint or "")


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
            copier.copy(found, "x:1", OciLayout.create(tmp_path / "target"), ["x"])

    @pytest.mark.parametrize("manifests", [b"null", b"[]"])
    def test_an_index_that_names_no_image_gives_way_to_manifest_json(self, tmp_path: Path, manifests: bytes) -> None:
        index = b'{"schemaVersion":2,"manifests":%s}' % manifests
        path = docker_archive(tmp_path / "both.tar", LAYER, {"index.json": index})
        with archive.open_path(path, no_spool) as found:
            assert found.tags() == ("x:1",)


class TestLayouts:
    """A layout directory."""

    def test_skopeo_reads_each_platform(self, source: OciLayout, tmp_path: Path) -> None:
        multi_platform(source, "1.0")
        for architecture in ("amd64", "arm64"):
            found = skopeo("--override-arch", architecture, "inspect", f"oci:{tmp_path / 'source'}:1.0")
            assert found["Architecture"] == architecture

    def test_an_index_json_that_lists_the_platforms_of_one_image_is_that_image(
        self, source: OciLayout, tmp_path: Path
    ) -> None:
        made = indexes.create([image(source, AMD64), image(source, ARM64)])
        (tmp_path / "source" / "index.json").write_bytes(made.raw)
        assert [found.descriptor for found in source.images()] == [made.descriptor()]
        target = OciLayout.create(tmp_path / "target")
        assert copier.copy(source, "", target, ["app"]).digest == made.digest
        assert graphs.missing(graphs.read(target, made.descriptor()), target) == ()

    def test_a_name_given_again_moves(self, source: OciLayout) -> None:
        image(source, AMD64, name="x")
        second = image(source, ARM64, name="x")
        assert source.resolve("x").digest == second.digest
        assert len(source.images()) == 1

    def test_an_image_without_a_name_is_at_the_top_once(self, source: OciLayout) -> None:
        descriptor = image(source, AMD64, name="")
        image(source, AMD64, name="")
        assert source.resolve("").digest == descriptor.digest
        assert [found.name for found in source.images()] == [""]

    def test_a_directory_of_other_things_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter").touch()
        with pytest.raises(ConflictError, match="neither"):
            OciLayout.create(tmp_path / "home")
        with pytest.raises(NotFoundError, match="not an OCI image layout"):
            open_layout(tmp_path / "home")

    def test_a_blob_that_fails_leaves_nothing(self, source: OciLayout, tmp_path: Path) -> None:
        descriptor = image(source, AMD64)
        with pytest.raises(CorruptError):
            source.write_blob(descriptor.__class__("a/b", digests.of(b"x"), 1), io.BytesIO(b"y"))
        assert not [path.name for path in (tmp_path / "source").rglob(".*")]

    def test_a_range_is_the_middle_of_a_blob(self, source: OciLayout) -> None:
        descriptor = image(source, AMD64)
        assert source.read_range(descriptor, 2, 5) == source.read_manifest(descriptor)[2:7]


references = st.sampled_from(["a", "b:1", "x.y/c:2", "docker.io/library/d:3", "latest", ""])


@given(st.lists(st.tuples(references, st.sampled_from("pqr")), max_size=8))
def test_a_name_always_means_what_it_was_given_last(given_names: list[tuple[str, str]]) -> None:
    index = indexes.create()
    expected: dict[str, str] = {}
    for name, letter in given_names:
        descriptor = Descriptor(media_type=media_types.OCI_MANIFEST, digest=digests.of(letter.encode()), size=1)
        index = names.give(index, descriptor, name)
        if name:
            expected[name] = descriptor.digest
    for name, digest in expected.items():
        assert names.find(index, name, "here").digest == digest
    assert {found.name for found in names.entries(index)} >= {
        name if name in ("a", "latest") else str(names._reference(name)) for name in expected
    }


@given(st.lists(st.tuples(st.sampled_from(["", "a", "x/a:1", "x/b:1", "y:2"]), st.sampled_from("pqr")), max_size=12))
def test_names_given_one_after_the_other_are_those_given_each_to_an_index_of_its_own(
    given_names: list[tuple[str, str]],
) -> None:
    # Two entries of one name, as other programs write them, among what is there before.
    twice = {"mediaType": media_types.OCI_MANIFEST, "size": 1, "annotations": {REF_NAME: "a"}}
    entries = [{**twice, "digest": digests.of(letter)} for letter in (b"p", b"q")]
    before = documents.load(json.dumps({"schemaVersion": 2, "manifests": entries, "x": "kept"}).encode())
    assert isinstance(before, Index)
    naming, step = names.Naming(before), before
    for name, letter in given_names:
        descriptor = Descriptor(media_type=media_types.OCI_MANIFEST, digest=digests.of(letter.encode()), size=1)
        naming.give(descriptor, name)
        step = names.give(step, descriptor, name)
    made = naming.index()
    assert made.decode() == step.decode()
    assert made.decode()["x"] == "kept"
    own = [(entry.annotations.get(names.IMAGE_NAME), entry.annotations.get(REF_NAME)) for entry in made.manifests]
    given_twice = [words for words in own if words != (None, None) and own.count(words) > 1]
    assert given_twice in ([], [(None, "a"), (None, "a")])
    assert not given_twice or "a" not in dict(given_names)


def test_the_store_saves_and_loads_what_it_had(source: OciLayout, tmp_path: Path) -> None:
    root = multi_platform(source, NAME)
    with Store.open(tmp_path / "store") as store:
        copier.copy(source, NAME, store, [NAME])
        with (tmp_path / "out.tar").open("wb") as file:
            writer = ArchiveWriter(file)
            copier.copy(store, NAME, writer, [NAME], CopyOptions(platforms=(ARM64,), sparse=False))
            writer.finish()
    with Store.open(tmp_path / "fresh") as store, archive.open_path(tmp_path / "out.tar", no_spool) as opened:
        copied = copier.copy(opened, NAME, store, [NAME])
        assert copied != root
        assert store.missing(copied) == ()
        assert len(store.load(copied).manifests) == 1  # type: ignore[union-attr]


file_names = st.from_regex(r"[a-z]{1,5}(/[a-z0-9.]{1,3}x){0,3}|blobs/sha512/[0-9a-f]{128}", fullmatch=True)


@given(st.dictionaries(file_names, st.binary(max_size=2000), max_size=6))
def test_what_is_written_as_a_stream_is_read_in_place(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryFile() as file:
        writer = TarWriter(file)
        for name, raw in files.items():
            writer.add(name, len(raw), io.BytesIO(raw))
        writer.finish()
        assert file.tell() % 10240 == 0
        found = Members(file, "the archive")
        assert {name: found.read(name, 4096) for name in files} == files
        assert [found.size(name) for name in files] == [len(raw) for raw in files.values()]
        file.seek(0)
        with tarfile.open(fileobj=file) as opened:
            assert [info.name for info in opened if info.isfile()] == list(files)


def test_a_stream_of_the_wrong_length_is_refused() -> None:
    for size in (2, 4):
        with pytest.raises(CorruptError, match=f"the {size} bytes"):
            TarWriter(io.BytesIO()).add("x", size, io.BytesIO(b"abc"))


def test_links_that_go_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as output:
        for name, to in (("a", "b"), ("b", "a"), ("c", "../../etc/passwd")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, to
            output.addfile(link)
    with path.open("rb") as file:
        found = Members(file, "the archive")
        assert [found.find(name) for name in "abc"] == [None, None, None]
