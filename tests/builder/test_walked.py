"""The column store of a context's files returns what the walk found."""

import os
from pathlib import Path

import msgspec
import pytest

from polyarch.builder.contexts.walked import Walked
from polyarch.layers.entry import LocalFile
from polyarch.layers.walk import walk

NAMES = ["b", "a", "a.b", "a-", "é", os.fsdecode(b"\xff"), "\U0001f600", "dir/x", "dir/deep/y", "dir-z"]


def walked(directory: Path, digests: dict[str, int] | None = None, young: int = 1 << 62) -> Walked:
    def digest(path: str) -> str:
        if digests is not None:
            digests[path] = digests.get(path, 0) + 1
        return "ab" * 32

    files = Walked(str(directory), digest, young)
    for found in walk(str(directory)):
        files.add(found)
    files.finish()
    return files


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * number)
    (tmp_path / "dir/link").symlink_to("x")
    os.link(tmp_path / "dir/x", tmp_path / "dir/second")
    return tmp_path


def test_entries_are_those_of_the_walk_as_roots(directory: Path) -> None:
    files = walked(directory)
    for found in walk(str(directory)):
        entry = msgspec.structs.replace(found.entry, uid=0, gid=0)
        if entry.kind != "hardlink":
            assert files.entry(entry.path) == entry
        else:
            assert files.entry(entry.path) == msgspec.structs.replace(files.entry(entry.link), path=entry.path)
    assert sorted(files) == sorted(found.entry.path for found in walk(str(directory)))
    assert files.names("") == tuple(sorted(os.listdir(directory)))
    assert files.names("dir/deep") == ("y",)
    assert (files.entry("none"), files.entry("dir/deep/none"), files.names("none")) == (None, None, ())


def test_only_names_of_one_file_have_an_inode(directory: Path) -> None:
    files = walked(directory)
    assert files.inode("dir/x") == files.inode("dir/second") != ""
    assert files.inode("a") == ""
    first, second = files.content("dir/x"), files.content("dir/second")
    assert isinstance(first, LocalFile)
    assert isinstance(second, LocalFile)
    assert first.path == second.path


def test_what_is_remembered_is_believed_of_files_that_are_the_same(directory: Path) -> None:
    before = walked(directory)
    for path in ("a", "é", os.fsdecode(b"\xff"), "dir/deep/y"):
        before.fingerprint(path)
    (directory / "a").write_text("changed")
    asked: dict[str, int] = {}
    after = walked(directory, asked)
    after.recall(before.remember())
    for path in NAMES:
        assert after.fingerprint(path) == "ab" * 32
    # dir/second is the first name of dir/x.
    expected = ["a", "a-", "a.b", "b", "\U0001f600", "dir/second", "dir-z"]
    assert sorted(asked) == sorted(f"{directory}/{name}" for name in expected)


def test_a_file_as_young_as_the_command_is_not_remembered(directory: Path) -> None:
    files = walked(directory, young=0)
    files.fingerprint("a")
    assert (list(files.remember()), files.learned) == ([], False)
