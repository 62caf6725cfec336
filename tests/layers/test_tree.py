"""The flattened image, from listings alone."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.errors import ConflictError, CorruptError
from polyarch.layers import listing as listings
from polyarch.layers import whiteouts
from polyarch.layers.listing import Listing
from polyarch.layers.resolve import resolve
from polyarch.layers.tree import Tree
from tests.layers.making import directory, file, hardlink, listing, symlink, tar, tree

BASE = [
    directory("etc"),
    file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
    directory("usr"),
    directory("usr/lib"),
    file("usr/lib/os-release", b"ID=debian\n"),
    symlink("etc/os-release", "../usr/lib/os-release"),
    symlink("lib", "usr/lib"),
    directory("opt"),
    file("opt/a", b"a"),
    file("opt/b", b"b"),
]


def _paths(*layers: list) -> list[str]:
    return [node.entry.path for node in tree(*layers).walk() if node.entry.path]


def test_a_walk_gives_each_directory_before_what_is_in_it_and_names_in_order() -> None:
    layer = [directory("a"), file("a/z"), file("a-b"), directory("b"), file("b/x"), file("a/y")]
    assert _paths(layer) == ["a", "a/y", "a/z", "a-b", "b", "b/x"]
    assert tree(layer).children("a") == ["a/y", "a/z"]
    assert tree(layer).children("") == ["a", "a-b", "b"]


def test_a_whiteout_deletes_of_the_layers_below() -> None:
    assert _paths(BASE, [file("opt/.wh.a")])[-4:] == ["opt/b", "usr", "usr/lib", "usr/lib/os-release"]
    assert "opt" not in _paths(BASE, [file(".wh.opt")])
    assert tree(BASE, [file(".wh.opt")]).lookup("opt/b") is None


def test_a_whiteout_says_nothing_of_its_own_layer_wherever_it_stands() -> None:
    for layer in ([file("opt/.wh.a"), file("opt/a", b"new")], [file("opt/a", b"new"), file("opt/.wh.a")]):
        node = tree(BASE, layer).lookup("opt/a")
        assert node is not None
        assert (node.layer, node.entry.size) == (1, 3)


def test_an_opaque_directory_keeps_what_its_own_layer_has_only() -> None:
    for layer in ([file("opt/.wh..wh..opq"), file("opt/c")], [file("opt/c"), file("opt/.wh..wh..opq")]):
        assert tree(BASE, layer).children("opt") == ["opt/c"]
    assert _paths(BASE, [file(".wh..wh..opq"), file("only")]) == ["only"]


def test_a_directory_becomes_a_file_and_a_directory_again() -> None:
    assert tree(BASE, [file("opt", b"now a file")], [directory("opt"), file("opt/c")]).children("opt") == ["opt/c"]
    assert tree([directory("d"), file("d/x"), file("d", b"f"), directory("d"), file("d/y")]).children("d") == ["d/y"]


def test_a_directory_that_is_listed_again_keeps_what_is_in_it() -> None:
    made = tree(BASE, [directory("opt", mode=0o700, uid=5)])
    node = made.lookup("opt")
    assert node is not None
    assert (node.entry.mode, node.entry.uid) == (0o700, 5)
    assert made.children("opt") == ["opt/a", "opt/b"]


def test_an_entry_below_a_link_of_a_lower_layer_lands_where_the_link_leads() -> None:
    made = tree(BASE, [file("lib/new", b"x")])
    node = made.lookup("usr/lib/new")
    assert node is not None
    assert node.source.path == "lib/new"
    assert made.lookup("lib").entry.kind == "symlink"  # type: ignore[union-attr]


def test_a_directory_that_is_listed_replaces_a_link() -> None:
    made = tree(BASE, [directory("lib"), file("lib/new")])
    assert made.children("lib") == ["lib/new"]
    assert made.lookup("usr/lib/new") is None


def test_parents_that_no_layer_lists_are_there() -> None:
    node = tree([file("a/b/c")]).lookup("a/b")
    assert node is not None
    assert (node.entry.kind, node.entry.mode, node.layer) == ("directory", 0o755, -1)
    assert listing(file("a/b/c"), directory("a"), file("d/.wh.x")).implicit_parents() == ("a/b", "d")


def test_a_hard_link_is_a_file_with_the_bytes_of_its_target_even_when_that_is_gone() -> None:
    made = tree([file("a", b"bytes", mode=0o755, uid=7)], [hardlink("b", "a")], [file(".wh.a")])
    node = made.lookup("b")
    assert node is not None
    assert (node.entry.path, node.entry.kind, node.entry.uid, node.entry.size) == ("b", "file", 7, 5)
    assert (node.layer, node.source.path) == (0, "a")
    assert made.lookup("a") is None


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ([file("a"), file("a/b")], "not a directory"),
        ([hardlink("a", "b")], "not a file of the image"),
        ([directory("b"), hardlink("a", "b")], "not a file of the image"),
        ([file(".")], "root"),
    ],
)
def test_a_layer_that_contradicts_itself_is_corrupt(layer: list, words: str) -> None:
    with pytest.raises(CorruptError, match=words):
        tree(layer)


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("lib/x.so", "usr/lib/x.so"),
        ("etc/os-release", "usr/lib/os-release"),
        ("lib", "usr/lib"),
        ("nowhere/at/all", "nowhere/at/all"),
        ("opt/../../../etc", "etc"),
        ("./opt/./a/", "opt/a"),
        ("out/passwd", "etc/passwd"),
        ("up/etc/passwd", "etc/passwd"),
        ("", ""),
    ],
)
def test_links_are_followed_inside_the_image(path: str, leads_to: str) -> None:
    made = tree(BASE, [symlink("out", "/etc"), symlink("up", "../../..")])
    assert made.resolve(path) == leads_to


def test_the_last_link_is_followed_only_where_asked_for() -> None:
    assert tree(BASE).resolve("lib", follow_last=False) == "lib"
    assert tree(BASE).resolve("lib/x", follow_last=False) == "usr/lib/x"


def test_links_in_a_circle_are_an_error() -> None:
    with pytest.raises(ConflictError, match="more than 40 symbolic links"):
        tree([symlink("a", "b"), symlink("b", "a")]).resolve("a/x")
    assert resolve("a", lambda _: None) == "a"


def test_a_listing_survives_its_encoding() -> None:
    made = listing(*BASE, file("odd\udcff\n", b"x", xattrs=(("user.a", b"\0\xff"),)), directory(""))
    assert listings.decode(made.encode()) == made
    empty = listing()
    assert listings.decode(empty.encode()) == empty


@pytest.mark.parametrize("raw", [b"", b"junk", b"\x90", b"\xc0", listing().encode().replace(b"\x01", b"\x02", 1)])
def test_what_is_no_listing_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptError):
        listings.decode(raw)


def test_a_scan_cleans_names_and_refuses_those_that_lead_upwards() -> None:
    _, made = listings.scan(io.BytesIO(tar(file("./a//b"), hardlink("/c", "./a/b"))))
    assert [(entry.path, entry.link) for entry in made.entries] == [("a/b", ""), ("c", "a/b")]


def test_deep_replacements_cost_no_more_than_what_they_replace() -> None:
    layer = []
    for number in range(3000):
        layer += [directory(f"d{number}"), file(f"d{number}/x"), file(f"d{number}")]
    assert len(_paths(layer)) == 3000


_PATHS = st.sampled_from(["a", "a/b", "a/b/c", "a/d", "e", "e/f"])
_LAYER = st.lists(
    st.one_of(
        _PATHS.map(directory),
        _PATHS.map(file),
        _PATHS.map(lambda path: (whiteouts.whiteout(path), b"")),
        st.sampled_from(["a", "a/b", "e"]).map(lambda path: file(f"{path}/.wh..wh..opq")),
    ),
    max_size=6,
).map(lambda items: listing(*items))


@given(st.lists(_LAYER, min_size=1, max_size=12))
def test_each_of_many_layers_sees_only_those_below_it(layers: list[Listing]) -> None:
    def seen(one: Tree) -> dict[str, tuple[str, int]]:
        return {node.entry.path: (node.entry.kind, node.layer) for node in one.walk()}

    trees, before, model = [Tree()], [], {"": ("directory", -1)}
    try:
        for number, layer in enumerate(layers):
            model = _applied(model, layer, number)
            trees.append(trees[-1].with_layer(layer))
            before.append(model)
    except CorruptError:
        pass  # a file stands below a file
    assert [seen(one) for one in trees[1:]] == before[: len(trees) - 1]
    for one in trees:
        assert one.select(lambda node: "b" in node.entry.path) == [
            node for node in one.walk() if "b" in node.entry.path
        ]
    for one, expected in zip(trees[1:], before, strict=False):
        assert all(one.children(path) == _children(expected, path) for path in ("", "a", "a/b", "e"))


def _children(model: dict[str, tuple[str, int]], directory: str) -> list[str]:
    return sorted(path for path in model if path and path.rpartition("/")[0] == directory)


def _applied(model: dict[str, tuple[str, int]], layer: Listing, number: int) -> dict[str, tuple[str, int]]:
    """What a plain dict of paths is after a layer."""
    model = dict(model)

    def below(path: str) -> list[str]:
        return [other for other in model if other.startswith(path + "/")]

    def parents(path: str) -> None:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            found = model.setdefault("/".join(parts[:count]), ("directory", -1))
            if found[0] != "directory":
                raise CorruptError("below a file")

    def prune(path: str) -> None:
        for other in sorted([path, *below(path)] if path else list(model), key=len, reverse=True):
            if other and other in model and model[other][1] != number and not _children(model, other):
                del model[other]

    for entry in layer.entries:
        name = entry.path.rpartition("/")[2]
        if name == whiteouts.OPAQUE:
            parents(entry.path)
            for child in _children(model, entry.path.rpartition("/")[0]):
                prune(child)
        elif name.startswith(whiteouts.PREFIX):
            path = whiteouts.deleted(entry.path)
            parents(path)
            prune(path)
        else:
            parents(entry.path)
            if entry.kind != "directory":
                for other in below(entry.path):
                    del model[other]
            model[entry.path] = (entry.kind, number)
    return model
