"""Ignore files: which paths match, on their own and along a walk."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.dockerfile import ignorefile
from polyarch.dockerfile.ignorefile import Matcher, Pattern, State
from polyarch.dockerfile.ignoreindex import PatternIndex
from polyarch.dockerfile.source import DockerfileError

ROWS = [
    line
    for line in (Path(__file__).parent / "tables" / "ignore.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def walked(matcher: Matcher, path: str) -> bool:
    """What a walk of the whole tree says about `path`."""
    state: State | None = None
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        state = matcher.enter("/".join(parts[:end]), state)
    assert state is not None
    return state.matched


def reached(matcher: Matcher, path: str) -> bool:
    """Whether a walk that skips ignored directories reaches `path` and keeps it."""
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


class OneByOne:
    """The rules as moby/patternmatcher has them, every pattern asked of every path."""

    def __init__(self, texts: list[str]) -> None:
        self.patterns = [(pattern.exclusion, self.test(pattern.text)) for pattern in ignorefile.parse("\n".join(texts))]

    @classmethod
    def test(cls, pattern: str) -> Callable[[str], bool]:
        """Pattern.compile and Pattern.match: a regular expression, but for `**` and letters."""
        if pattern.startswith("**") and not re.search(r"[][*?^\\]", pattern[2:].removeprefix("/")):
            return lambda path: path.endswith(pattern[2:]) or f"/{path}" == pattern[2:]
        expression = re.compile(cls.expression(pattern), re.ASCII)
        return lambda path: expression.fullmatch(path) is not None

    @staticmethod
    def expression(pattern: str) -> str:
        """Pattern.compile without its shortcuts."""
        found, at = "", 0
        while at < len(pattern):
            character = pattern[at]
            at += 1
            if character == "*" and pattern[at : at + 1] == "*":
                at += 1
                at += pattern[at : at + 1] == "/"
                found += "(.*/)?" if at < len(pattern) else ".*"
            elif character == "*":
                found += "[^/]*"
            elif character == "?":
                found += "[^/]"
            elif character in ".+()|{}$":
                found += "\\" + character
            elif character == "\\":
                found += "\\" + pattern[at : at + 1]
                at += 1
            else:
                found += character
        return found

    def matches(self, path: str) -> bool:
        """MatchesOrParentMatches."""
        matched = False
        for exclusion, test in self.patterns:
            if exclusion == matched and any(test(one) for one in self.above(path)):
                matched = not exclusion
        return matched

    def walked(self, path: str) -> bool:
        """MatchesUsingParentResults, from the root down."""
        matched, above = False, [False] * len(self.patterns)
        for one in reversed(self.above(path)):
            matched, hits = False, []
            for (exclusion, test), inherited in zip(self.patterns, above, strict=True):
                hit = inherited or (exclusion == matched and test(one))
                hits.append(hit)
                matched = not exclusion if hit else matched
            above = hits
        return matched

    @staticmethod
    def above(path: str) -> list[str]:
        parts = path.split("/")
        return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


_PIECES = ["a", "b", "ab", "*", "**", "?", "/", "/", "[ab]", "[^b]", "[b/]", "\\*", "\\a", ".", "**/", "/**", "]", "+"]
WILD = st.lists(
    st.tuples(st.sampled_from(["", "", "!"]), st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8))
    .map(lambda parts: parts[0] + "".join(parts[1]))
    .filter(lambda text: text.strip("!/")),
    max_size=8,
)
NAMES = st.lists(st.sampled_from(["a", "b", "ab", "ba", "a.b", "abab", "*", "]", "a+"]), min_size=1, max_size=5)


@settings(max_examples=300)
@given(WILD, st.lists(NAMES.map("/".join), min_size=1, max_size=5))
def test_patterns_that_are_looked_up_say_the_same_as_patterns_asked_one_by_one(
    texts: list[str], paths: list[str]
) -> None:
    try:
        matcher = Matcher(ignorefile.parse("\n".join(texts)))
    except DockerfileError:
        return
    slowly = OneByOne(texts)
    for path in paths:
        assert matcher.matches(path) == slowly.matches(path), path
        assert walked(matcher, path) == slowly.walked(path), path
        assert reached(matcher, path) == (not slowly.walked(path)), path


def test_several_double_stars_behind_letters_may_stand_for_nothing() -> None:
    for pattern in ("a**/b", "a**/**/b", "x/a**/**/**/b"):
        path = pattern.replace("**/", "")
        assert Matcher(ignorefile.parse(pattern)).matches(path), pattern
        assert OneByOne([pattern]).matches(path), pattern


def test_a_path_asks_few_of_a_thousand_patterns() -> None:
    kinds = [
        "dir{0}/file{0}",
        "**/name{0}",
        "**/*.ext{0}",
        "dir{0}/**",
        "**/dir{0}/*.c",
        "**/d{0}/**",
        "*-{0}-*",
        "g{0}*/x",
    ]
    texts = [kind.format(number) for number in range(1000) for kind in kinds]
    index = PatternIndex(texts)
    for path in ("src/main.c", "dir7/file7", "a/b/c/d/e.ext3", "x/dir9/y.c", "g5a/x", "q-1-r"):
        assert len(index.candidates(path)) < 40, path
