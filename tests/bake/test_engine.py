"""The parts of the language against Python's own: regular expressions, numbers, ordering of versions."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.bake.hcl import decimals, numbers
from polyarch.bake.hcl.numbers import BigFloat
from polyarch.bake.hcl.regex.machine import Regex

# Python's `re` and RE2 agree on these: what is repeated is never empty, and no group repeats within another.
_ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", r"\d", r"\w", "(?:ab|a)", "(a|b)", "(ab?)", "(?i:A)", "[a-c]"])
_REPEATED = st.tuples(_ATOMS, st.sampled_from(["", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{2,}"])).map(
    "".join
)
_PLACES = st.sampled_from(["", "", "", "^", r"\b", r"\B"])
_SEQUENCES = st.tuples(
    _PLACES, st.lists(_REPEATED, min_size=1, max_size=4).map("".join), st.sampled_from(["", "", "$"])
)
_PATTERNS = st.lists(_SEQUENCES.map("".join), min_size=1, max_size=3).map("|".join)


@given(_PATTERNS, st.text("abc1 é\n", min_size=1, max_size=12))
def test_a_pattern_finds_what_re_finds(pattern: str, text: str) -> None:
    # `$` is before a last newline, too, in Python; \d and \w are ASCII in RE2; \B never holds in an empty text.
    wanted = re.compile(pattern.replace("$", r"\Z"), re.ASCII).search(text)
    found = Regex(pattern).find(text)
    spans = None if wanted is None else [wanted.span(index) for index in range(wanted.re.groups + 1)]
    assert spans == (None if found is None else list(zip(found[::2], found[1::2], strict=True)))


_WHOLE = st.integers(-(10**40), 10**40)


def fraction(number: BigFloat) -> Fraction:
    value = Fraction(number.mantissa) * Fraction(2) ** number.exponent
    return -value if number.negative else value


@given(_WHOLE, _WHOLE)
def test_whole_numbers_are_exact(one: int, other: int) -> None:
    first, second = numbers.parse(str(one)), numbers.parse(str(other))
    assert fraction(first + second) == one + other
    assert fraction(first - second) == one - other
    assert fraction(first * second) == one * other
    assert (first < second) == (one < other)
    if other:
        # 512 bits are more than 154 digits.
        assert abs(fraction(first / second) - Fraction(one, other)) <= abs(Fraction(one, other)) / 10**154


@given(st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-(10**12), max_value=10**12))
def test_a_decimal_is_printed_as_it_was_written(value: object) -> None:
    text = format(value, "f").rstrip("0").rstrip(".")
    shown = decimals.plain(numbers.parse(text))
    assert shown in (text, f"-{text}") if text in ("0", "-0") else shown == text


@pytest.mark.parametrize("text", ["", ".", "1e", "1e+", "0x1", "1_000", "Inf", "NaN", "1e1000000", "é", "1 "])
def test_other_texts_are_no_numbers(text: str) -> None:
    with pytest.raises(numbers.NumberError):
        numbers.parse(text)
