"""Removing directory trees, without following symbolic links."""

import os
import sys
from pathlib import Path

import pytest

from polyarch.store.trees import remove_tree, tree_size
from tests.people import Person


def test_a_tree_is_removed_and_a_symlink_in_it_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/link").symlink_to(outside)
    (tree / "a/up").symlink_to("..")
    os.mkfifo(tree / "a/fifo")
    assert remove_tree(str(tree)) == ()
    assert not tree.exists()
    assert (outside / "file").exists()


def test_a_symlink_in_the_place_of_a_tree_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    assert remove_tree(str(tmp_path / "link")) == (str(tmp_path / "link"),)
    assert (tmp_path / "target").exists()


def test_a_tree_that_is_not_there_counts_as_removed(tmp_path: Path) -> None:
    assert remove_tree(str(tmp_path / "absent")) == ()


def test_directories_deeper_than_descriptors_and_path_names_go(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=here)
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert remove_tree(str(tree)) == ()
    assert not tree.exists()


def test_names_that_are_not_text_go(tmp_path: Path) -> None:
    tree = os.fsencode(tmp_path / "tree")
    os.mkdir(tree)
    with open(tree + b"/\xff\xfe", "wb"):
        pass
    assert remove_tree(os.fsdecode(tree)) == ()


def test_directories_without_permissions_go_for_a_user_without_root(unprivileged: Person) -> None:
    tree = unprivileged.directory / "tree"
    script = (
        "mkdir -p $0/a/b/c && touch $0/a/b/file $0/a/b/c/file && chmod 0 $0/a/b/c && chmod 0500 $0/a/b && chmod 0 $0/a"
    )
    unprivileged.run("sh", "-c", script, str(tree))
    code = f"from polyarch.store import remove_tree; print(remove_tree({str(tree)!r}))"
    assert unprivileged.run(sys.executable, "-c", code).stdout.strip() == "()"
    assert not tree.exists()


def test_what_cannot_be_removed_is_named(unprivileged: Person) -> None:
    tree = unprivileged.directory / "tree"
    unprivileged.run("mkdir", "-p", str(tree / "mine"))
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of another user")
    (tree / "mine/theirs").mkdir(mode=0o700)
    (tree / "mine/theirs/file").touch()
    code = f"from polyarch.store import remove_tree; print(remove_tree({str(tree)!r}))"
    assert unprivileged.run(sys.executable, "-c", code).stdout.strip() != "()"
    assert (tree / "mine/theirs/file").exists()


def test_the_size_of_a_tree_counts_a_hard_link_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    before = tree_size(str(tmp_path))
    os.link(tmp_path / "one", tmp_path / "two")
    assert tree_size(str(tmp_path)) == before >= 100_000
