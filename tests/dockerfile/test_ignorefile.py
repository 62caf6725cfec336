"""Ignore files: which paths match, on their own and along a walk."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.dockerfile import ignorefile
from polyarch.dockerfile.ignorefile import Matcher, Pattern, State
from polyarch.dockerfile.source import DockerfileError

ROWS = [
    line
    for line in (Path(__file__).parent / "tables" / "ignore.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def walked(matcher: Matcher, path: str) -> bool:
    """What a walk that goes everywhere says of `path`."""
    state: State | None = None
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        state = matcher.enter("/".join(parts[:end]), state)
    assert state is not None
    return state.matched


def reached(matcher: Matcher, path: str) -> bool:
    """Whether a walk that skips what it may skip meets `path` and keeps it."""
    state: State | None = None
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        above = "/".join(parts[:end])
        if state is not None and matcher.skips("/".join(parts[: end - 1]), state):
            return False
        state = matcher.enter(above, state)
    assert state is not None
    return not state.matched


@pytest.mark.parametrize("row", ROWS)
def test_a_path_matches_as_the_table_says(row: str) -> None:
    texts, path, expected = row.rsplit(" | ", 2)
    matcher = Matcher(ignorefile.parse("\n".join(texts.split(" "))))
    assert matcher.matches(path) == (expected == "match")


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("a/b/c/d !a/b")])
def test_a_walk_says_the_same(row: str) -> None:
    texts, path, expected = row.rsplit(" | ", 2)
    matcher = Matcher(ignorefile.parse("\n".join(texts.split(" "))))
    assert walked(matcher, path) == (expected == "match")
    assert reached(matcher, path) == (expected == "keep")


def test_a_walk_forgets_what_is_taken_back_above_a_match_as_moby_does() -> None:
    matcher = Matcher(ignorefile.parse("a/b\n!a\n"))
    assert not matcher.matches("a/b")
    assert walked(matcher, "a/b")


def test_a_walk_that_begins_below_the_root_knows_what_is_above() -> None:
    matcher = Matcher(ignorefile.parse("a"))
    assert matcher.enter("a/b/c").matched


def test_a_comment_begins_in_the_first_column_only() -> None:
    assert ignorefile.parse("\ufeff# a\n #b\n\n  c  \r\n! d\n/\n//e\n!/f/\n") == (
        Pattern("#b"),
        Pattern("c"),
        Pattern("d", exclusion=True),
        Pattern("/"),
        Pattern("e"),
        Pattern("f", exclusion=True),
    )


@pytest.mark.parametrize(
    ("texts", "directory", "skipped"),
    [
        ("node_modules", "node_modules", True),
        ("node_modules", "src", False),
        ("node_modules\n!node_modules/keep", "node_modules", False),
        ("node_modules\n!src", "node_modules", True),
        ("*\n!src", "docs", True),
        ("*\n!src/a/b", "src", False),
        ("*\n!src/a/b", "src/x", True),
        ("*\n!*/keep", "docs", False),
        ("*\n!**/keep", "docs/a", False),
        ("*\n!src\nsrc/x", "src/x", True),
    ],
)
def test_a_directory_is_skipped_where_nothing_below_can_be_taken_back(
    texts: str, directory: str, skipped: bool
) -> None:
    matcher = Matcher(ignorefile.parse(texts))
    state: State | None = None
    parts = directory.split("/")
    for end in range(1, len(parts) + 1):
        state = matcher.enter("/".join(parts[:end]), state)
    assert state is not None
    assert matcher.skips(directory, state) == skipped


@pytest.mark.parametrize("text", ["[", "[]", "[]a]", "[a", "a\\", "[-a]", "[a-]", "!", "! ", "![", "\\q"])
def test_a_pattern_that_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        Matcher(ignorefile.parse(text))


PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["", "!"]), st.lists(st.sampled_from(["a", "b", "*", "**", "?", "/", "[ab]"]), min_size=1)
    )
    .map(lambda parts: parts[0] + "".join(parts[1]))
    .filter(lambda text: text.strip("!/")),
    max_size=5,
)
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "aa"]), min_size=1, max_size=4).map("/".join)


@given(PATTERNS, PATHS)
def test_skipping_never_loses_a_path_that_a_whole_walk_keeps(texts: list[str], path: str) -> None:
    matcher = Matcher(ignorefile.parse("\n".join(texts)))
    assert reached(matcher, path) == (not walked(matcher, path))


@given(st.text(alphabet=st.sampled_from(list("ab*?[]^-\\!/. #\n(){}$|+é"))))
def test_any_ignore_file_is_read_or_is_a_dockerfile_error(text: str) -> None:
    try:
        Matcher(ignorefile.parse(text)).matches("a/b")
    except DockerfileError:
        return
