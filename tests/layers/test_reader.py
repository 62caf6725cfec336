"""Writing tar and reading it strictly, compared with tarfile, libarchive and GNU tar."""

import contextlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyarch.errors import CorruptError
from polyarch.layers import headers
from polyarch.layers.entry import Entry, clean
from polyarch.layers.reader import members
from tests.layers.making import directory, file, hardlink, read_back, symlink, tar
from tests.needs import missing

_PART = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff"),
    min_size=1,
    max_size=120,
).filter(lambda part: part not in (".", ".."))
_PATHS = st.lists(_PART, min_size=1, max_size=4).map("/".join)
_FIELDS = {
    "path": _PATHS,
    "mode": st.integers(0, 0o7777),
    "uid": st.integers(0, 2**32 - 2),
    "gid": st.integers(0, 2**32 - 2),
    "mtime": st.integers(-(2**40), 2**40),
}
_XATTRS = st.dictionaries(
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="="), min_size=1, max_size=20).map(
        "user.{}".format
    ),
    st.binary(max_size=40),
    max_size=2,
).map(lambda pairs: tuple(sorted(pairs.items())))
_DATA = st.binary(max_size=1200)


@st.composite
def _items(draw: st.DrawFn) -> tuple[Entry, bytes]:
    kind = draw(st.sampled_from(["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]))
    content = draw(_DATA) if kind == "file" else b""
    more = {}
    if kind in ("symlink", "hardlink"):
        more["link"] = draw(_PATHS)
    if kind in ("character", "block"):
        more = {"major": draw(st.integers(0, 4095)), "minor": draw(st.integers(0, 2**20 - 1))}
    fields = {name: draw(strategy) for name, strategy in _FIELDS.items()}
    return Entry(kind=kind, size=len(content), xattrs=draw(_XATTRS), **fields, **more), content


@settings(deadline=None, max_examples=150)
@given(st.lists(_items(), max_size=4))
def test_what_is_written_is_read_back_as_it_was(items: list[tuple[Entry, bytes]]) -> None:
    assert read_back(tar(*items)) == items


@settings(deadline=None, max_examples=100)
@given(st.lists(_items(), max_size=4))
def test_pythons_tarfile_reads_the_same(items: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar(*items)), errors="surrogateescape") as archive:
        found = archive.getmembers()
        assert [(m.name, m.mode, m.uid, m.gid, m.mtime, m.size) for m in found] == [
            (e.path.rstrip("/"), e.mode, e.uid, e.gid, e.mtime, e.size) for e, _ in items
        ]
        for member, (_, content) in zip(found, items, strict=True):
            if member.isfile():
                extracted = archive.extractfile(member)
                assert extracted is not None
                assert extracted.read() == content


def test_libarchive_reads_the_same() -> None:
    try:
        import libarchive
    except (ImportError, OSError, AttributeError) as error:
        missing(f"needs libarchive.so.13: {error}")
    items = [directory("d"), file("d/" + "n" * 150, b"x" * 700), symlink("l", "t" * 140), hardlink("h", "d/a")]
    with libarchive.memory_reader(tar(*items)) as archive:
        found = [(entry.pathname.rstrip("/"), entry.size if entry.isreg else 0) for entry in archive]
    assert found == [(entry.path, entry.size) for entry, _ in items]


def test_gnu_tar_unpacks_long_names_links_and_modes(tmp_path: Path) -> None:
    long = "/".join(["deep" * 20] * 4)
    raw = tar(
        *(directory("/".join(long.split("/")[:n])) for n in range(1, 5)),
        file(f"{long}/naïve", b"content", mode=0o4755),
        hardlink("again", f"{long}/naïve"),
        symlink("link", long),
    )
    subprocess.run(["tar", "-xpf", "-", "-C", tmp_path], input=raw, check=True)
    made = tmp_path / long / "naïve"
    assert made.read_bytes() == b"content"
    assert made.stat().st_mode & 0o7777 == 0o4755
    assert (tmp_path / "again").samefile(made)
    assert os.readlink(tmp_path / "link") == long


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_every_form_that_gnu_tar_writes_is_read(tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / "file").write_bytes(b"a" * 1000)
    (source / "link").symlink_to("d/file")
    if form not in ("v7", "ustar"):
        (source / ("n" * 200)).write_bytes(b"long")
    raw = subprocess.run(
        ["tar", "-C", source, f"--format={form}", "-cf", "-", "."], check=True, stdout=subprocess.PIPE
    ).stdout
    found = {clean(entry.path): (entry.kind, content) for entry, content in read_back(raw)}
    assert found[""] == ("directory", b"")
    assert found["d/file"] == ("file", b"a" * 1000)
    assert found["link"] == ("symlink", b"")
    assert ("n" * 200 in found) == (form not in ("v7", "ustar"))


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0", "gnu"])
def test_every_form_of_sparse_file_is_read(tmp_path: Path, version: str) -> None:
    made = tmp_path / "sparse"
    with made.open("wb") as writer:
        for place in range(30):
            writer.seek(place << 20)
            writer.write(b"piece %d" % place)
        writer.truncate(40 << 20)
    form = ["--format=gnu"] if version == "gnu" else ["--format=posix", f"--sparse-version={version}"]
    raw = subprocess.run(
        ["tar", "-C", tmp_path, "-S", *form, "-cf", "-", "sparse"], check=True, stdout=subprocess.PIPE
    ).stdout
    assert len(raw) < 1 << 20, "GNU tar did not write a sparse file"
    ((entry, content),) = read_back(raw)
    assert (entry.path, entry.size) == ("sparse", 40 << 20)
    assert content == made.read_bytes()


def _header(name: bytes = b"f", *, size: bytes = b"00000000000\0", flag: bytes = b"0", link: bytes = b"") -> bytes:
    """A header whose fields are ours to spoil, with a right checksum."""
    block = bytearray(name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0" + b" " * 8)
    block += flag + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


_GOOD = tar(file("first", b"x" * 600), file("second", b"y"))

DAMAGED = {
    "a header whose checksum is wrong": (_GOOD[:1536] + b"z" + _GOOD[1537:], "at byte 1536 .*checksum"),
    "a header that is cut off": (_GOOD[:1700], "cut off at byte 1700"),
    "data that is cut off": (_GOOD[:900], "cut off at byte 900"),
    "a negative size in base 256": (_header(size=b"\xff" * 12), "negative"),
    "a size that is no number": (_header(size=b"-0000000001\0"), "not a number"),
    "a size beyond all files": (_header(size=b"\xbf" + b"\xff" * 11), "too large"),
    "an unknown type": (_header(flag=b"M"), "type"),
    "no name": (_header(name=b""), "no name"),
    "a pax header of gigabytes": (_header(flag=b"x", size=b"17777777777\0"), "has a size of"),
    "a long name of gigabytes": (_header(flag=b"L", size=b"17777777777\0"), "has a size of"),
    "a pax record whose length lies": (
        _header(flag=b"x", size=b"00000000012\0") + b"99 path=a\n".ljust(512, b"\0") + _header(),
        "malformed",
    ),
    "a pax size below zero": (
        _header(flag=b"x", size=b"00000000013\0") + b"11 size=-1\n".ljust(512, b"\0") + _header(),
        "not possible",
    ),
    "a pax name with a NUL": (
        _header(flag=b"x", size=b"00000000014\0") + b"12 path=a\0b\n".ljust(512, b"\0") + _header(),
        "NUL",
    ),
    "an extended header for no entry": (
        _header(flag=b"x", size=b"00000000012\0") + b"10 path=a\n".ljust(512, b"\0") + bytes(1024),
        "without an entry",
    ),
    "one block of zeros in the middle": (bytes(512) + _header(), "continues after it"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_an_error_that_says_where(case: str) -> None:
    raw, words = DAMAGED[case]
    with pytest.raises(CorruptError, match=words):
        read_back(raw)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_damage_makes_anything_but_a_corrupt_error(data: st.DataObject) -> None:
    raw = bytearray(
        tar(directory("d"), file("d/" + "é" * 120, b"x" * 300, xattrs=(("user.a", b"b"),)), symlink("l", "t"))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CorruptError):
        read_back(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@given(st.binary(max_size=2000))
@example(b"5 a=\n")
def test_any_bytes_as_pax_records_give_records_or_a_corrupt_error(raw: bytes) -> None:
    with contextlib.suppress(CorruptError):
        assert isinstance(headers.decode_pax(raw, 0), dict)


def test_data_that_nobody_reads_is_passed_over() -> None:
    raw = tar(file("large", b"x" * 3_000_000), file("behind", b"here"))
    names = []
    for entry, content in members(io.BytesIO(raw)):
        names.append(entry.path)
        content.read(10)
    assert names == ["large", "behind"]


def test_an_archive_without_an_end_is_whole_at_an_entry() -> None:
    assert [entry.path for entry, _ in read_back(_GOOD[:-1024])] == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "path"), [("./a//b/", "a/b"), ("/etc/passwd", "etc/passwd"), (".", ""), ("a/./b", "a/b"), ("..a", "..a")]
)
def test_a_name_becomes_a_path_as_every_peer_reads_it(name: str, path: str) -> None:
    assert clean(name) == path


@pytest.mark.parametrize("name", ["..", "a/../b", "../etc/passwd", "/..", "a/.."])
def test_a_name_that_leads_upwards_is_refused(name: str) -> None:
    with pytest.raises(CorruptError, match="leads out of the image"):
        clean(name)
