"""An unpacked layer that is looked at path by path: as its listing says, and without reading the rest."""

import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyarch.contents.unpacked import UnpackedLayer, UnpackedTree
from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.layers.content import read_whole
from polyarch.layers.diskform import OPAQUE_VALUE, OPAQUE_XATTR
from polyarch.layers.tree import Flattened, Tree, TreeNode
from tests.layers.making import directory, file, hardlink, listing, symlink, tree

PATHS = ["a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/b", "a/a/a", "a/b/a", "a/b/b", "b/a/b", "a/b/b/a"]
KINDS = st.sampled_from(["file", "directory", "opaque", "symlink", "whiteout", "link", "fifo", "removed"])
LAYER = st.lists(st.tuples(st.sampled_from(PATHS), KINDS), max_size=12)


def write(root: Path, changes: list[tuple[str, str]]) -> None:
    """Make a directory as overlayfs leaves it. A change whose place is taken is left out."""
    root.mkdir()
    for path, kind in changes:
        here = root / path
        try:
            here.parent.mkdir(parents=True, exist_ok=True)
            if kind in ("directory", "opaque"):
                here.mkdir()
                if kind == "opaque":
                    os.setxattr(here, OPAQUE_XATTR, OPAQUE_VALUE)
            elif kind == "symlink":
                here.symlink_to("a/b")
            elif kind == "whiteout":
                os.mknod(here, 0o020000, os.makedev(0, 0))
            elif kind == "fifo":
                os.mkfifo(here)
            elif kind == "link":
                os.link(next(item for item in sorted(root.rglob("*")) if item.is_file()), here)
            elif kind == "removed":
                here.unlink()
            else:
                with here.open("x") as new:
                    new.write(path)
        except (OSError, StopIteration):
            continue


def on_top(roots: list[Path], below: Tree) -> tuple[Flattened, Tree]:
    """The layers at `roots` on top of a tree, looked at and listed."""
    looked: Flattened = below
    listed = below
    for root in roots:
        listed = listed.with_layer(UnpackedLayer(str(root)).listing)
        looked = UnpackedTree(UnpackedLayer(str(root)), looked, partial(Tree.with_layer, listed, NOTHING))
    return looked, listed


def seen(node: TreeNode | None) -> object:
    return node and (node.entry, node.source.path, node.layer)


BELOW = tree(
    [directory("a"), file("a/a", b"1"), directory("a/b"), file("a/b/b", b"22"), symlink("b", "a"), file("c", b"333")]
)
NOTHING = listing()
ABOVE = listing(file("a/.wh.a"), file("a/b", b"a file"), directory("b"), file("b/x", b"4444"), hardlink("b/y", "b/x"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LAYER, min_size=1, max_size=3), st.permutations(PATHS), st.booleans())
def test_what_is_looked_at_is_what_the_listings_say(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[tuple[str, str]]], order: list[str], above: bool
) -> None:
    roots = [tmp_path_factory.mktemp("layer") / "root" for _ in layers]
    for root, changes in zip(roots, layers, strict=True):
        write(root, changes)
    looked, listed = on_top(roots, BELOW)
    if above:
        try:
            listed = listed.with_layer(ABOVE)
        except PolyarchError as error:
            with pytest.raises(type(error)):
                Tree([ABOVE], looked)
            return
        looked = Tree([ABOVE], looked)
    for path in order:
        assert seen(looked.lookup(path)) == seen(listed.lookup(path))
        assert looked.children(path) == listed.children(path)
    assert [seen(node) for node in looked.walk()] == [seen(node) for node in listed.walk()]


def test_one_file_of_many_is_found_without_listing_the_others(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"f{number}").write_text(str(number))
    os.link(tmp_path / "f1", tmp_path / "g1")
    layer = UnpackedLayer(str(tmp_path))
    looked = UnpackedTree(layer, BELOW, lambda: BELOW.with_layer(layer.listing))
    node = looked.lookup("f7")
    assert node is not None
    content = layer.content(node.entry)
    assert content is not None
    assert read_whole(node.entry, content) == b"7"
    assert looked.resolve("b/b") == "a/b"
    assert not layer.is_listed
    # Which of its names is the first is only known from all.
    again = looked.lookup("g1")
    assert again is not None
    assert again.source.path == "f1"
    assert layer.is_listed


def test_no_path_leads_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    root = tmp_path / "root"
    write(root, [("a", "directory")])
    (root / "link").symlink_to("..")
    looked = UnpackedTree(UnpackedLayer(str(root)), BELOW, lambda: BELOW)
    for path in ("../secret", "a/../../secret", "link/secret", "a/./a", "a//a", "a\0"):
        assert looked.lookup(path) is None
        assert list(looked.names(path)) == []


def test_a_deep_or_long_path_is_left_to_the_listing(tmp_path: Path) -> None:
    names = ["d"] * 150
    (tmp_path / "/".join(names)).mkdir(parents=True)
    layer = UnpackedLayer(str(tmp_path))
    looked = UnpackedTree(layer, BELOW, lambda: BELOW.with_layer(layer.listing))
    assert looked.lookup("/".join(names)) is not None
    assert layer.is_listed


def test_what_is_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    os.setxattr(tmp_path / "moved", "user.overlay.redirect", b"/old")
    with pytest.raises(UnsupportedError, match=r"user\.overlay\.redirect"):
        UnpackedLayer(str(tmp_path)).see("moved")
