"""Archives: skopeo and podman read ours, and we read theirs."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import CorruptError, NotFoundError
from polyarch.layers.compression import Compression
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.store.store import Store
from polyarch.transfer import archive
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer.archive import ArchiveWriter, OciArchive
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.tarball import Compressing, Members, TarWriter
from tests.needs import need
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM64, image, multi_platform, tar
from tests.transfer.archives import NAME, members, no_spool, saved, skopeo


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
