"""Expansion of words with variables, quotes and escapes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.dockerfile import words
from polyarch.dockerfile.source import DockerfileError

TABLES = Path(__file__).parent / "tables"
ENV = {"A": "alpha", "E": "", "P": "/usr/local/lib.tar.gz", "N": "one", "one": "won", "S": "two words", "D": "$0"}
ENV["B"] = "a\\b"


def rows(name: str) -> Iterator[str]:
    for line in (TABLES / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


@pytest.mark.parametrize("row", list(rows("words.txt")))
def test_a_word_expands_to_what_the_table_says(row: str) -> None:
    escape, text, expected = (part.strip(" ") for part in row.split(" | "))
    if expected == "<error>":
        with pytest.raises(DockerfileError):
            words.expand(text, ENV, escape)
    else:
        if expected == '" "':
            expected = " "
        assert words.expand(text, ENV, escape).text == expected


@pytest.mark.parametrize("row", list(rows("split.txt")))
def test_words_are_parted_by_space_that_is_not_quoted(row: str) -> None:
    text, _, rest = row.partition(" |")
    assert words.split(text, ENV) == tuple(word.strip() for word in rest.split("|") if word.strip())


def test_names_that_are_used_are_told_apart_from_those_that_are_not_there() -> None:
    expansion = words.expand("$A ${U:-$V} ${E+x} '$W'", ENV)
    assert expansion.matched == ("A", "E")
    assert expansion.unmatched == ("V", "U")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${U:?give it}", "U: give it"),
        ("${U?}", "U: is not allowed to be unset"),
        ("${E:?}", "E: is not allowed to be empty"),
        ("${A", "syntax error: missing '}'"),
        ("${A:-x", "syntax error: missing '}'"),
        ("${A/x", "syntax error: missing '/' in ${}"),
        ("${A/x/y", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${A:x}", "unsupported modifier (:x) in substitution"),
        ("${A=x}", "unsupported modifier (=) in substitution"),
        ("'x", "unexpected end of statement while looking for matching single-quote"),
        ('"x', "unexpected end of statement while looking for matching double-quote"),
    ],
)
def test_an_error_says_which_text_and_why(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        words.expand(text, ENV)
    assert caught.value.reason == f"failed to process {words.quoted(text)}: {reason}"


def test_quotes_in_a_document_are_text() -> None:
    rules = words.WordRules(quotes=False)
    assert words.expand_with('it\'s "$A" \\$A', ENV, rules).text == 'it\'s "alpha" $A'


def test_variables_nested_without_end_are_an_error_and_no_crash() -> None:
    with pytest.raises(DockerfileError, match="nested too deeply"):
        words.expand("${U:-" * 5000 + "}" * 5000, {})


@given(st.text(alphabet=st.sampled_from(list("$${}:-+?#%/\\'\"`*? ab1\n\té"))), st.sampled_from(["\\", "`"]))
def test_any_text_expands_or_is_a_dockerfile_error(text: str, escape: str) -> None:
    try:
        words.expand(text, {"a": "x*y", "b": ""}, escape)
    except DockerfileError:
        return


@given(st.text())
def test_what_is_in_single_quotes_stays(text: str) -> None:
    inner = text.replace("'", "")
    assert words.expand(f"'{inner}'", {"a": "b"}).text == inner


@given(st.text(alphabet="aZ0_./:@=,+-", min_size=1), st.text(alphabet="aZ0_./:@=,+-"), st.sampled_from(["\\", "`"]))
def test_a_text_without_special_characters_is_as_it_is_within_another(text: str, more: str, escape: str) -> None:
    found = words.expand(text, {}, escape)
    assert found == words.Expansion(text, (text,))
    assert words.expand(f"{text} {more}", {}, escape).words == (text, *([more] if more else []))
