"""Where COPY places files: BuildKit's rules, on trees written as literals."""

import pytest

from polyarch.builder.perform.copy import modes, wildcards
from polyarch.builder.perform.copy.entry_table import Lookup
from polyarch.builder.perform.copy.files import FlatFiles
from polyarch.builder.perform.copy.placement import Empty, Placement
from polyarch.builder.perform.copy.rules import CopyRules
from polyarch.dockerfile import glob
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.layers.entry import Entry


def tree(*lines: str) -> FlatFiles:
    """A tree from lines: `dir/`, `file`, `link -> target`, `other = first` (a hard link); parents are made."""
    entries: dict[str, Entry] = {}
    for line in lines:
        name, _, rest = line.partition(" ")
        path = name.rstrip("/")
        parts = path.split("/")
        for count in range(1, len(parts)):
            parent = "/".join(parts[:count])
            entries.setdefault(parent, Entry(path=parent, kind="directory", mode=0o750, uid=5))
        if name.endswith("/"):
            entries[path] = Entry(path=path, kind="directory", mode=0o750, uid=5)
        elif rest.startswith("-> "):
            entries[path] = Entry(path=path, kind="symlink", mode=0o777, link=rest[3:])
        elif rest.startswith("= "):
            entries[path] = Entry(path=path, kind="hardlink", mode=0o640, link=rest[2:])
        else:
            entries[path] = Entry(path=path, kind="file", mode=0o640, uid=7, gid=8, size=3)
    return FlatFiles(entries.values(), lambda path: b"abc", lambda path: path)


def placed(
    source: FlatFiles, path: str, destination: str, base: Lookup | None = None, rules: CopyRules | None = None
) -> dict[str, str]:
    """What one copy puts into a layer: path → kind, or kind and link."""
    placement = Placement(base or Empty())
    placement.copy(source, 0, path, destination, rules or CopyRules())
    return {
        item.entry.path: item.entry.kind + (f" {item.entry.link}" if item.entry.link else "")
        for item in placement.items()
    }


COPIES = [
    # source tree, path, destination, base, what the layer holds
    (("a",), "a", "/b", (), {"b": "file"}),
    (("a",), "a", "/d/", (), {"d": "directory", "d/a": "file"}),
    (("a",), "a", "/d", ("d/",), {"d": "directory", "d/a": "file"}),
    (("a",), "a", "/x/y/z", (), {"x": "directory", "x/y": "directory", "x/y/z": "file"}),
    (("s/a", "s/t/b"), "s", "/d", (), {"d": "directory", "d/a": "file", "d/t": "directory", "d/t/b": "file"}),
    (("s/a",), "s", "/d/", (), {"d": "directory", "d/a": "file"}),
    (("a",), "", "/", (), {"a": "file"}),
    (
        ("a",),
        "a",
        "/lib/a",
        ("usr/lib/", "lib -> usr/lib"),
        {"usr": "directory", "usr/lib": "directory", "usr/lib/a": "file"},
    ),
    (("a",), "a", "/etc/l", ("etc/l -> real", "etc/real"), {"etc": "directory", "etc/real": "file"}),
    (("real", "l -> real"), "l", "/d/", (), {"d": "directory", "d/l": "file"}),
    (("s/l -> ../a", "a"), "s", "/d", (), {"d": "directory", "d/l": "symlink ../a"}),
    (("s/a", "s/b = s/a"), "s", "/d", (), {"d": "directory", "d/a": "file", "d/b": "hardlink d/a"}),
    (("a", "b = a"), "b", "/c", (), {"c": "file"}),
]


@pytest.mark.parametrize(("source", "path", "destination", "base", "expected"), COPIES)
def test_a_copy_is_placed_as_buildkit_places_it(
    source: tuple[str, ...], path: str, destination: str, base: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert placed(tree(*source), path, destination, tree(*base)) == expected


def test_a_directory_does_not_replace_what_is_none() -> None:
    with pytest.raises(PolyarchError, match="cannot copy to non-directory: /d/s"):
        placed(tree("x/s/a"), "x", "/d", tree("d/s -> elsewhere"))


def test_a_file_does_not_replace_a_directory() -> None:
    with pytest.raises(PolyarchError, match="cannot replace to directory /d/a with file"):
        placed(tree("s/a"), "s", "/d", tree("d/a/"))


def test_what_is_not_there_is_named_as_it_was_written() -> None:
    with pytest.raises(NotFoundError, match='"/gone": not found'):
        placed(tree("a"), "gone", "/b")


def test_directories_on_the_way_keep_what_the_base_says_of_them() -> None:
    placement = Placement(tree("srv/"))
    placement.copy(tree("a"), 0, "a", "/srv/new/a", CopyRules(owner=(1, 2), time=9))
    entries = {item.entry.path: item.entry for item in placement.items()}
    assert (entries["srv"].mode, entries["srv"].uid) == (0o750, 5)
    assert (entries["srv/new"].mode, entries["srv/new"].uid, entries["srv/new"].mtime) == (0o755, 1, 9)
    assert (entries["srv/new/a"].mode, entries["srv/new/a"].uid, entries["srv/new/a"].gid) == (0o640, 1, 2)


def test_the_metadata_of_a_directory_that_is_there_stays_at_the_top_and_is_overwritten_below() -> None:
    base = FlatFiles(
        [Entry(path="d", kind="directory", mode=0o700), Entry(path="d/t", kind="directory", mode=0o700)],
        lambda path: b"",
        lambda path: "",
    )
    placement = Placement(base)
    placement.copy(tree("s/t/a"), 0, "s", "/d", CopyRules())
    modes_of = {item.entry.path: item.entry.mode for item in placement.items()}
    assert (modes_of["d"], modes_of["d/t"]) == (0o700, 0o750)


def test_an_owner_is_kept_unless_one_is_given() -> None:
    placement = Placement(Empty())
    placement.copy(tree("a"), 0, "a", "/a", CopyRules())
    (item,) = placement.items()
    assert (item.entry.uid, item.entry.gid) == (7, 8)


def test_an_octal_mode_is_given_to_directories_made_on_the_way_a_symbolic_one_is_not() -> None:
    for text, parent, file in (("700", 0o700, 0o700), ("g+w", 0o755, 0o660)):
        placement = Placement(Empty())
        placement.copy(tree("a"), 0, "a", "/d/a", CopyRules(mode=modes.parse(text)))
        assert [item.entry.mode for item in placement.items()] == [parent, file]


def test_a_hard_link_whose_other_name_is_overwritten_becomes_a_file() -> None:
    placement = Placement(Empty())
    placement.copy(tree("s/a", "s/b = s/a"), 0, "s", "/d", CopyRules())
    placement.copy(tree("a"), 1, "a", "/d/a", CopyRules())
    found = {item.entry.path: item for item in placement.items()}
    assert (found["d/b"].entry.kind, found["d/b"].entry.size, found["d/b"].origin) == ("file", 3, (0, "s/a"))
    assert found["d/a"].origin == (1, "a")


def test_included_directories_come_only_with_what_is_in_them() -> None:
    rules = CopyRules(include=lambda path, directory: 2 if path.endswith(".md") else int(directory))
    assert placed(tree("a/x.md", "b/y.txt"), "", "/d/", rules=rules) == {
        "d": "directory",
        "d/a": "directory",
        "d/a/x.md": "file",
    }


PATTERNS = [
    ("*.txt", ("a.txt", "b.txt", "c", "d/e.txt"), ["a.txt", "b.txt"]),
    ("d/*", ("d/a", "d/b/c"), ["d/a", "d/b"]),
    ("*/x", ("a/x", "b/x", "c/y"), ["a/x", "b/x"]),
    ("l/*", ("real/a", "l -> real"), ["real/a"]),
    ("missing*", ("a",), []),
    ("a", ("b",), ["a"]),
    ("[!a]", ("a", "!", "b"), ["!", "a"]),
    ("[^a]", ("a", "b"), ["b"]),
]


@pytest.mark.parametrize(("pattern", "files", "expected"), PATTERNS)
def test_the_paths_that_a_source_names(pattern: str, files: tuple[str, ...], expected: list[str]) -> None:
    assert list(wildcards.matches(tree(*files), pattern, glob.match)) == expected


MODES = [
    ("755", 0o600, False, 0o755),
    ("4755", 0o600, False, 0o4755),
    ("u+x", 0o600, False, 0o700),
    ("go=rX", 0o700, False, 0o755),
    ("a-w", 0o666, False, 0o444),
    ("+X", 0o600, True, 0o711),
    ("+X", 0o600, False, 0o600),
    ("u=rwx,g=u", 0o600, False, 0o770),
    ("u+s,+t", 0o755, False, 0o5755),
    ("=r", 0o4777, False, 0o444),
]


@pytest.mark.parametrize(("text", "before", "directory", "after"), MODES)
def test_a_chmod_changes_a_mode_as_posix_says(text: str, before: int, directory: bool, after: int) -> None:
    assert oct(modes.parse(text).apply(before, directory=directory)) == oct(after)


@pytest.mark.parametrize("text", ["888", "10000", "u~x", "", "rwx"])
def test_a_mode_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PolyarchError, match="invalid chmod parameter"):
        modes.parse(text)


def deep(depth: int) -> FlatFiles:
    """Directories `d` in each other, and a file in the innermost."""
    names = ["/".join(["d"] * count) for count in range(1, depth + 1)]
    entries = [Entry(path=name, kind="directory", mode=0o755) for name in names]
    return FlatFiles([*entries, Entry(path=f"{names[-1]}/file", kind="file", mode=0o644)], str.encode, str)


def test_a_tree_may_be_thousands_of_directories_deep() -> None:
    placement = Placement(Empty())
    rules = CopyRules(include=lambda path, directory: 1 if directory else 2)
    placement.copy(deep(1500), 0, "d", "/to", rules)
    assert [placed.entry.path.count("/") for placed in placement.items()] == list(range(1501))


def test_a_pattern_may_have_thousands_of_parts() -> None:
    assert list(wildcards.matches(deep(1500), "*" + "/*" * 1500, glob.match)) == ["d/" * 1500 + "file"]
