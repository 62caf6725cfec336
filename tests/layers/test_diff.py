"""Changesets of a real overlay's upper directory, and unpacked layers mounted by the kernel."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyarch.errors import NotFoundError, PolyarchError, UnsupportedError
from polyarch.layers.diff import changes
from polyarch.layers.diskform import OVERLAY, PLAIN
from polyarch.layers.entry import Entry, Item, order
from polyarch.layers.tree import Tree
from tests.layers.making import directory, file, hardlink, listing, packed, symlink, tree, unpack
from tests.needs import missing, need_root


@contextmanager
def _overlay(where: Path, *lowers: Path) -> Iterator[tuple[Path, Path]]:
    """A mounted overlay and its upper directory; `lowers` lowest first."""
    need_root()
    paths = [where / name for name in ("upper", "work", "merged")]
    for path in paths:
        path.mkdir()
    upper, work, merged = paths
    stack = ":".join(str(path) for path in reversed(lowers))
    options = f"userxattr,lowerdir={stack},upperdir={upper},workdir={work}"
    result = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, merged], capture_output=True, text=True, check=False
    )
    if result.returncode:
        missing(f"this file system carries no overlay: {result.stderr}")
    try:
        yield merged, upper
    finally:
        subprocess.run(["umount", merged], check=True)


def _changes(upper: Path, **more: object) -> dict[str, Entry]:
    return {entry.path: entry for entry, _ in changes(str(upper), **more)}  # type: ignore[arg-type]


def test_what_a_process_did_comes_out_as_a_changeset(tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    unpack(lower, directory("d"), file("d/a", b"1"), file("d/b", b"2"), directory("e"), file("e/x"), file("f", b"3"))
    with _overlay(tmp_path, lower) as (merged, upper):
        (merged / "d/a").unlink()
        (merged / "d/b").write_text("changed")
        subprocess.run(["rm", "-r", merged / "e"], check=True)
        (merged / "e").mkdir()
        (merged / "e/new").write_text("new")
        (merged / "f").unlink()
        (merged / "f").symlink_to("d/b")
        os.setxattr(merged / "d/b", "user.note", b"kept")
        os.link(merged / "e/new", merged / "e/same")
        os.mkfifo(merged / "pipe")
        (merged / "su").write_text("x")
        (merged / "su").chmod(0o4755)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(merged / "s"))
    found = _changes(upper)
    assert {path: entry.kind for path, entry in found.items()} == {
        "d": "directory",
        "d/.wh.a": "file",
        "d/b": "file",
        "e": "directory",
        "e/.wh..wh..opq": "file",
        "e/new": "file",
        "e/same": "hardlink",
        "f": "symlink",
        "pipe": "fifo",
        "su": "file",
    }
    assert list(found) == sorted(found, key=order)
    assert found["d/b"].xattrs == (("user.note", b"kept"),)
    assert found["e"].xattrs == ()
    assert found["e/same"].link == "e/new"
    assert found["su"].mode == 0o4755
    made, _ = packed(changes(str(upper)))
    flat = Tree([listing(directory("d"), file("d/a"), directory("e"), file("e/x")), made.listing])
    assert flat.children("d") == ["d/b"]
    assert flat.children("e") == ["e/new", "e/same"]


def test_mount_points_that_were_made_for_a_process_are_left_out(tmp_path: Path) -> None:
    unpack(tmp_path / "u", directory("run"), directory("run/secrets"), file("run/secrets/x"), file("run/y"), file("z"))
    assert list(_changes(tmp_path / "u", without=("/run/secrets", "z"))) == ["run", "run/y"]


def test_a_plain_directory_comes_as_it_is(tmp_path: Path) -> None:
    unpack(tmp_path / "u", directory("d", mode=0o1777), file("d/x", b"1"), symlink("l", "d"), hardlink("h", "d/x"))
    found = _changes(tmp_path / "u", form=PLAIN)
    assert [(path, entry.kind) for path, entry in found.items()] == [
        ("d", "directory"),
        ("d/x", "file"),
        ("h", "hardlink"),
        ("l", "symlink"),
    ]
    assert found["d"].mode == 0o1777


@pytest.mark.parametrize("name", ["user.overlay.redirect", "user.overlay.metacopy"])
def test_an_upper_directory_whose_content_is_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", name, b"/elsewhere")
    with pytest.raises(UnsupportedError, match=name):
        _changes(tmp_path)
    (tmp_path / "f").write_text("x")
    os.removexattr(tmp_path / "d", name)
    os.setxattr(tmp_path / "f", name, b"/elsewhere")
    with pytest.raises(UnsupportedError, match=name):
        _changes(tmp_path)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="gone is not a directory"):
        _changes(tmp_path / "gone")


_NAMES = st.sampled_from(["a", "b", "a/b", "a/c", "a/b/c", "l/x"])
_ANY = st.one_of(
    st.builds(directory, _NAMES),
    st.builds(
        file,
        _NAMES | st.sampled_from([".wh.a", "a/.wh.b", "a/.wh..wh..opq", ".wh.l", ".wh..wh..opq"]),
        st.just(b"content"),
    ),
    st.builds(symlink, st.sampled_from(["a", "b", "l"]), st.sampled_from(["a", "/b", "../..", "b"])),
    st.builds(hardlink, _NAMES, _NAMES),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(layers=st.lists(st.lists(_ANY, min_size=1, max_size=5), min_size=2, max_size=3))
def test_the_kernels_overlay_of_unpacked_layers_is_what_the_tree_says(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[Item]]
) -> None:
    where = tmp_path_factory.mktemp("stack")
    try:
        lowers = []
        for index, items in enumerate(layers):
            below = tree(*layers[:index])
            if listing(*items).hides_all:
                lowers.clear()
            lowers.append(where / str(index))
            unpack(lowers[-1], *items, form=OVERLAY, parent=_look(below), fetch=_fetch(below))
    except PolyarchError:
        with pytest.raises(PolyarchError):
            tree(*layers)
        return
    expected = {node.entry.path: node.entry.kind for node in tree(*layers).walk() if node.entry.path}
    with _overlay(where, *lowers) as (merged, _):
        found = _changes(merged, form=PLAIN)
        kinds = {path: "file" if entry.kind == "hardlink" else entry.kind for path, entry in found.items()}
        # A second name of a symbolic link is told as a hard link too.
        links = {path for path in found if (merged / path).is_symlink()}
        assert {path: "symlink" if path in links else kind for path, kind in kinds.items()} == expected


def _look(below: Tree):  # type: ignore[no-untyped-def]
    def look(path: str) -> Entry | None:
        node = below.lookup(path)
        return node.entry if node else None

    return look


def _fetch(below: Tree):  # type: ignore[no-untyped-def]
    def fetch(path: str) -> Item | None:
        node = below.lookup(path)
        return (node.entry, b"content" if node.entry.kind == "file" else None) if node else None

    return fetch
