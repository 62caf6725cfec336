"""ADD of local archives: recognized by content, unpacked as tar does, never outside of the destination."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builds.conftest import Worker
from tests.needs import need
from tests.program import run

Context = Callable[..., Path]


def tar(*members: tuple[str, dict[str, object], bytes]) -> bytes:
    """A tar of (name, fields of the header, content)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, fields, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


SIMPLE = tar(
    ("d/", {"type": tarfile.DIRTYPE, "mode": 0o750, "uid": 7, "gid": 8, "mtime": 1000}, b""),
    ("d/a", {"mode": 0o4711, "uid": 5, "gid": 6, "mtime": 2000}, b"text"),
    ("d/link", {"type": tarfile.SYMTYPE, "linkname": "a", "mode": 0o777, "mtime": 3000}, b""),
    ("d/hard", {"type": tarfile.LNKTYPE, "linkname": "d/a", "mode": 0o4711, "uid": 5, "gid": 6, "mtime": 2000}, b""),
)


def zstd(raw: bytes) -> bytes:
    need("zstd")
    return _through(["zstd", "-q", "-c"], raw)


def _through(command: list[str], raw: bytes) -> bytes:
    import subprocess

    return subprocess.run(command, input=raw, capture_output=True, check=True).stdout


def add(
    worker: Worker, context: Context, archive: bytes, line: str = "ADD archive /x/", **options: object
) -> list[str]:
    directory = context(f"FROM scratch\n{line}")
    (directory / "archive").write_bytes(archive)
    image = worker.images(directory, **options)["linux/amd64"]
    return [file.line(path, times=True) for path, file in image.files().items()]


@pytest.mark.parametrize(
    "compress",
    [
        bytes,
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zstd,
        lambda raw: gzip.compress(raw[:700]) + gzip.compress(raw[700:]),
    ],
    ids=["tar", "gzip", "bzip2", "xz", "zstd", "gzip in two members"],
)
def test_an_archive_of_any_compression_is_unpacked(
    worker: Worker, context: Context, compress: Callable[[bytes], bytes]
) -> None:
    assert add(worker, context, compress(SIMPLE)) == [
        "0755 0:0 x/ @0",
        "0750 7:8 x/d/ @1000",
        "4711 5:6 x/d/a = text @2000",
        "4711 5:6 x/d/hard == x/d/a @2000",
        "0777 0:0 x/d/link -> a @3000",
    ]


def test_an_archive_goes_into_a_directory_of_the_name_given(worker: Worker, context: Context) -> None:
    assert add(worker, context, SIMPLE, "ADD archive /x")[0] == "0755 0:0 x/ @0"


def test_an_archive_is_not_unpacked_when_that_is_not_wanted(worker: Worker, context: Context) -> None:
    found = add(worker, context, SIMPLE, "ADD --unpack=false archive /x")
    assert len(found) == 1
    assert found[0].startswith("0644 0:0 x = sha256:")


def test_an_empty_file_is_no_archive(worker: Worker, context: Context) -> None:
    assert [line.split(" @")[0] for line in add(worker, context, b"")] == ["0755 0:0 x/", "0644 0:0 x/archive"]


def test_a_compressed_file_that_is_no_tar_is_copied_as_it_is(worker: Worker, context: Context) -> None:
    found = add(worker, context, gzip.compress(b"just text", mtime=0))
    assert [line.split(" = ")[0].split(" @")[0] for line in found] == ["0755 0:0 x/", "0644 0:0 x/archive"]


def test_chown_is_for_all_members(worker: Worker, context: Context) -> None:
    found = add(worker, context, SIMPLE, "ADD --chown=1:2 archive /x/")
    assert {line.split()[1] for line in found} == {"1:2"}


def test_chown_and_chmod_are_not_for_directories_that_the_archive_does_not_list(
    worker: Worker, context: Context
) -> None:
    archive = tar(("deep/er/a", {"mode": 0o640, "uid": 5}, b"text"))
    found = [line.split(" @")[0] for line in add(worker, context, archive, "ADD --chown=1:2 --chmod=700 archive /x/")]
    assert found == ["0755 1:2 x/", "0755 0:0 x/deep/", "0755 0:0 x/deep/er/", "0640 1:2 x/deep/er/a = text"]


def test_an_absolute_link_of_an_archive_means_the_destination(worker: Worker, context: Context) -> None:
    archive = tar(
        ("out", {"type": tarfile.SYMTYPE, "linkname": "/etc", "mode": 0o777}, b""),
        ("out/passwd", {"mode": 0o644}, b"x"),
    )
    found = [line.split(" @")[0] for line in add(worker, context, archive)]
    assert found == ["0755 0:0 x/", "0755 0:0 x/etc/", "0644 0:0 x/etc/passwd = x", "0777 0:0 x/out -> /etc"]


def test_copy_does_not_unpack(worker: Worker, context: Context) -> None:
    assert len(add(worker, context, SIMPLE, "COPY archive /x")) == 1


def test_later_members_win_and_types_change(worker: Worker, context: Context) -> None:
    archive = tar(
        ("a", {"mode": 0o600}, b"one"),
        ("a", {"mode": 0o644}, b"two"),
        ("b/", {"type": tarfile.DIRTYPE, "mode": 0o755}, b""),
        ("b/in", {}, b"gone"),
        ("b", {"mode": 0o644}, b"file"),
    )
    assert add(worker, context, archive) == ["0755 0:0 x/ @0", "0644 0:0 x/a = two @0", "0644 0:0 x/b = file @0"]


def test_members_through_a_link_of_the_archive_stay_below_the_destination(worker: Worker, context: Context) -> None:
    archive = tar(
        ("out", {"type": tarfile.SYMTYPE, "linkname": "../../../etc", "mode": 0o777}, b""),
        ("out/passwd", {"mode": 0o644}, b"x"),
    )
    found = [line.split(" @")[0] for line in add(worker, context, archive)]
    assert found == ["0755 0:0 x/", "0755 0:0 x/etc/", "0644 0:0 x/etc/passwd = x", "0777 0:0 x/out -> ../../../etc"]


def test_a_name_that_leads_upwards_is_refused(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nADD archive /x/")
    (directory / "archive").write_bytes(tar(("a", {}, b""), ("../../evil", {}, b"x")))
    outcome = worker.build(directory)
    assert "'../../evil'" in outcome["error"]
    assert "Dockerfile:2" in outcome["error"]


def test_an_archive_that_ends_early_is_refused(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nADD archive /x/")
    (directory / "archive").write_bytes(tar(("a", {}, bytes(5000)))[:2048])
    assert "error" in worker.build(directory)


def test_absolute_names_and_dots_are_below_the_destination(worker: Worker, context: Context) -> None:
    archive = tar(("/abs", {"mode": 0o644}, b"1"), ("./dot", {"mode": 0o644}, b"2"))
    assert add(worker, context, archive) == ["0755 0:0 x/ @0", "0644 0:0 x/abs = 1 @0", "0644 0:0 x/dot = 2 @0"]


def test_a_sparse_archive_has_its_holes_as_zeros(worker: Worker, context: Context, tmp_path: Path) -> None:
    sparse = tmp_path / "files" / "sparse"
    sparse.parent.mkdir()
    with sparse.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    archive = run(["tar", "--sparse", "-cf", tmp_path / "s.tar", "-C", sparse.parent, "sparse"])
    assert archive.status == 0
    directory = context("FROM scratch\nADD archive /")
    (directory / "archive").write_bytes((tmp_path / "s.tar").read_bytes())
    content = worker.images(directory)["linux/amd64"].files()["sparse"].content
    assert content == bytes(1 << 20) + b"end"


def test_an_archive_that_changes_is_unpacked_again(worker: Worker, context: Context) -> None:
    directory = context("FROM scratch\nADD archive /")
    for text in (b"one", b"two"):
        (directory / "archive").write_bytes(tar(("a", {}, text)))
        assert worker.images(directory)["linux/amd64"].files()["a"].content == text


def link(name: str, target: str, **fields: object) -> tuple[str, dict[str, object], bytes]:
    return name, {"type": tarfile.LNKTYPE, "linkname": target, "mode": 0o644, **fields}, b""


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("z", {}, b"x"), link("a", "z")], ["a = x", "z == x/a"]),
        ([("a", {}, b"x"), link("b", "a"), link("c", "b")], ["a = x", "b == x/a", "c == x/a"]),
        ([("c", {}, b"x"), link("b", "c"), link("a", "b")], ["a = x", "b == x/a", "c == x/a"]),
        ([("e/z", {}, b"x"), link("d/a", "/e/z")], ["d/a = x", "e/z == x/d/a"]),
        ([("z", {}, b"1"), link("a", "z"), ("z", {}, b"2"), link("m", "a")], ["a = 1", "m == x/a", "z = 2"]),
        ([("a", {}, b"x"), link("a", "a")], ["a = x"]),
    ],
)
def test_a_hard_link_of_an_archive_may_have_any_name(
    worker: Worker, context: Context, members: list[tuple[str, dict[str, object], bytes]], expected: list[str]
) -> None:
    found = [line.split(" ", 2)[2].split(" @")[0] for line in add(worker, context, tar(*members))]
    assert [line.removeprefix("x/") for line in found if not line.split()[0].endswith("/")] == expected


def test_the_last_name_of_a_file_says_its_mode_owner_and_time(worker: Worker, context: Context) -> None:
    archive = tar(("z", {"mode": 0o600, "uid": 1, "mtime": 5}, b"x"), link("a", "z", mode=0o755, uid=2, gid=3, mtime=9))
    assert add(worker, context, archive)[1:] == ["0755 2:3 x/a = x @9", "0755 2:3 x/z == x/a @9"]


def test_a_hard_link_to_a_symlink_is_one(worker: Worker, context: Context) -> None:
    archive = tar(("s", {"type": tarfile.SYMTYPE, "linkname": "nowhere", "mode": 0o777}, b""), link("a", "s"))
    assert [line.split(" @")[0] for line in add(worker, context, archive)[1:]] == [
        "0777 0:0 x/a -> nowhere",
        "0777 0:0 x/s == x/a",
    ]


@pytest.mark.parametrize(
    "members",
    [
        [link("a", "z"), ("z", {}, b"x")],
        [link("a", "nothing")],
        [("d", {"type": tarfile.DIRTYPE, "mode": 0o755}, b""), link("a", "d")],
        [("d", {"type": tarfile.DIRTYPE, "mode": 0o755}, b""), ("d/f", {}, b"x"), link("d", "d/f")],
    ],
    ids=["the file comes later", "there is no file", "a directory", "it removes its file"],
)
def test_a_hard_link_of_an_archive_to_no_file_is_an_error(
    worker: Worker, context: Context, members: list[tuple[str, dict[str, object], bytes]]
) -> None:
    directory = context("FROM scratch\nADD archive /x/")
    (directory / "archive").write_bytes(tar(*members))
    assert "which is not an earlier file of the archive" in worker.build(directory)["error"]


def test_an_archive_whose_first_member_has_no_name_is_unpacked(worker: Worker, context: Context) -> None:
    # Of buildah's tests: add/dir-not-dir.
    assert add(worker, context, tar(("", {}, b""), ("f", {"mode": 0o644}, b"x"))) == [
        "0755 0:0 x/ @0",
        "0644 0:0 x/f = x @0",
    ]


def test_an_archive_with_a_member_of_an_unknown_kind_is_an_error_and_not_a_file(
    worker: Worker, context: Context
) -> None:
    directory = context("FROM scratch\nADD archive /x/")
    (directory / "archive").write_bytes(tar(("label", {"type": b"V"}, b""), ("f", {}, b"x")))
    assert "the type b'V'" in worker.build(directory)["error"]


def test_what_lies_in_the_image_gives_way_to_a_member_of_another_kind(worker: Worker, context: Context) -> None:
    # Of buildah's tests: add/not-dir-dir and add/populated-dir-not-dir, as BuildKit has them.
    directory = context("FROM scratch AS base\nCOPY x /\nFROM base\nADD archive /\n", "x/file = old\nx/dir/in = old")
    member = {"type": tarfile.DIRTYPE, "mode": 0o755}
    (directory / "archive").write_bytes(
        tar(("file/", member, b""), ("file/in", {"mode": 0o644}, b"new"), ("dir", {}, b""))
    )
    files = worker.images(directory)["linux/amd64"].files()
    assert sorted(files) == ["dir", "file", "file/in"]
    assert files["dir"].kind == "file"


def test_a_file_of_the_image_does_not_become_a_directory_that_the_archive_does_not_list(
    worker: Worker, context: Context
) -> None:
    directory = context("FROM scratch AS base\nCOPY x /\nFROM base\nADD archive /\n", "x/file = old")
    (directory / "archive").write_bytes(tar(("file/in", {}, b"new")))
    assert "/file: it is a file" in worker.build(directory)["error"]
