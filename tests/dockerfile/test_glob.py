"""COPY's wildcards, as Go's filepath.Match."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.dockerfile import glob
from polyarch.dockerfile.source import DockerfileError

CASES = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*", "a/b", False),
    ("*c", "abc", True),
    ("a*", "ab/c", False),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a**b", "axb", True),
    ("a**b", "a/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
    ("a?b", "axb", True),
    ("a?b", "a/b", False),
    ("a?b", "a\nb", True),
    ("?", "世", True),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[e-g]", "abc", False),
    ("ab[^c]", "abc", False),
    ("ab[^e-g]", "abc", True),
    ("[!a]", "b", False),
    ("[!a]", "!", True),
    ("[!a]", "a", True),
    ("[z-a]", "m", False),
    ("[^z-a]", "m", True),
    ("[\\]a]", "]", True),
    ("[\\-]", "-", True),
    ("[x\\-]", "-", True),
    ("[x\\-]", "z", False),
    ("a\\*b", "a*b", True),
    ("a\\*b", "axb", False),
    ("a.b", "axb", False),
    ("(a|b)+", "(a|b)+", True),
    ("", "", True),
    ("", "a", False),
    ("*.*", "a.b", True),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), CASES)
def test_a_pattern_matches_as_in_go(pattern: str, name: str, expected: bool) -> None:
    assert glob.match(pattern, name) is expected


@pytest.mark.parametrize(
    "pattern", ["[", "[]", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", "a\\", "[a\\"]
)
def test_a_bad_pattern_is_an_error_and_never_a_name(pattern: str) -> None:
    with pytest.raises(DockerfileError, match="syntax error in pattern"):
        glob.match(pattern, "a")


@pytest.mark.parametrize(
    ("path", "expected"), [("a*", True), ("a?", True), ("[a]", True), ("a\\*", False), ("a\\\\*", True), ("a", False)]
)
def test_a_path_is_a_pattern_where_it_has_a_wildcard_that_is_not_escaped(path: str, expected: bool) -> None:
    assert glob.has_wildcards(path) is expected


@given(st.text(alphabet=st.sampled_from(list("ab*?[]^-\\/!\n"))), st.text(alphabet=st.sampled_from(list("ab/-^"))))
def test_any_pattern_matches_or_is_a_dockerfile_error(pattern: str, name: str) -> None:
    try:
        glob.match(pattern, name)
    except DockerfileError:
        return


@given(st.text().filter(lambda text: "\\" not in text))
def test_an_escaped_name_matches_itself_alone(name: str) -> None:
    pattern = "".join(f"\\{character}" for character in name)
    assert glob.match(pattern, name)
    assert not glob.match(pattern, name + "x")
