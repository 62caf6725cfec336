"""Sets of letters: ranges, named classes, and Unicode's general categories."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache

_LAST = 0x10FFFF
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
PERL: dict[str, tuple[tuple[int, int], ...]] = {
    "d": ((0x30, 0x39),),
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
    "w": _WORD,
}
POSIX: dict[str, tuple[tuple[int, int], ...]] = {
    "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": ((0x30, 0x39),),
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": _WORD,
    "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
}
_CATEGORIES = frozenset(
    "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs".split()
)
# Scripts by the first word of the names of their letters, because Python does not know the scripts themselves.
_SCRIPTS = {
    "Han": "CJK ",
    **{
        name: f"{name.upper()} "
        for name in (
            "Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Hangul Hebrew "
            "Hiragana Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Oriya Sinhala Syriac Tamil Telugu "
            "Thaana Thai Tibetan"
        ).split()
    },
}
# Letters that are equal without regard to case, beyond pairs of a capital and a small one.
_FOLDS = {"k": "K\u212a", "s": "S\u017f", "\u212a": "kK", "\u017f": "sS", "K": "\u212a", "S": "\u017f"}


class CharSet:
    """A set of letters. With `folded`, case does not matter."""

    def __init__(self, ranges: Iterable[tuple[int, int]], *, negated: bool = False, folded: bool = False) -> None:
        merged = _merged(ranges)
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]
        self._negated = negated
        self._folded = folded

    def __contains__(self, letter: str) -> bool:
        found = self._has(letter)
        if not found and self._folded:
            found = any(map(self._has, folds(letter)))
        return found != self._negated

    def _has(self, letter: str) -> bool:
        code = ord(letter)
        index = bisect_right(self._starts, code) - 1
        return index >= 0 and code <= self._ends[index]


def folds(letter: str) -> str:
    """The letters that are equal to a letter without regard to case."""
    found = {one for one in (letter.lower(), letter.upper(), letter.title()) if len(one) == 1}
    return "".join({*found, *_FOLDS.get(letter, "")} - {letter})


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def inverted(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges of all other letters."""
    found: list[tuple[int, int]] = []
    following = 0
    for start, end in _merged(ranges):
        if start > following:
            found.append((following, start - 1))
        following = end + 1
    if following <= _LAST:
        found.append((following, _LAST))
    return found


@lru_cache(maxsize=16)
def category(name: str) -> Sequence[tuple[int, int]] | None:
    """The ranges of a general category or script of Unicode, or of all letters for `Any`; None for another name."""
    if name == "Any":
        return [(0, _LAST)]
    word = _SCRIPTS.get(name)
    if name not in _CATEGORIES and word is None:
        return None
    found: list[tuple[int, int]] = []
    for code in range(_LAST + 1):
        letter = chr(code)
        if unicodedata.name(letter, "").startswith(word) if word else unicodedata.category(letter).startswith(name):
            if found and found[-1][1] == code - 1:
                found[-1] = (found[-1][0], code)
            else:
                found.append((code, code))
    return found
