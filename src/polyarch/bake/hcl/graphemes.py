"""Characters as a reader sees them: grapheme clusters, after Unicode's annex 29.

The tables are Python's: combining marks extend a character, emoji are joined, Hangul is composed, flags are pairs.
"""

import unicodedata
from collections.abc import Iterator

_JOINER = "\u200d"
_PREPENDED = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e")


def count(text: str) -> int:
    """The number of characters."""
    return len(text) if text.isascii() and "\r\n" not in text else sum(1 for _ in clusters(text))


def after(text: str, number: int) -> str:
    """The text without its first `number` characters."""
    if text.isascii() and "\r\n" not in text:
        return text[number:]
    return "".join(list(clusters(text))[number:])


def clusters(text: str) -> Iterator[str]:
    """The characters of a text."""
    start = 0
    for at in range(1, len(text)):
        if _is_boundary(text, start, at):
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _is_boundary(text: str, start: int, at: int) -> bool:
    """Whether a character ends before `at`; it begins at `start`."""
    before, letter = text[at - 1], text[at]
    if before == "\r" and letter == "\n":
        return False
    if _is_control(before) or _is_control(letter):
        return True
    if _extends(letter) or before in _PREPENDED:
        return False
    if before == _JOINER and _is_pictograph(letter):
        return not any(_is_pictograph(one) for one in text[start : at - 1])
    if _is_flag(before) and _is_flag(letter):
        return (at - start) % 2 == 0
    return not _is_one_syllable(before, letter)


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in "\u200b\ufeff"


def _extends(letter: str) -> bool:
    if letter.isascii():
        return False
    marks = unicodedata.category(letter) in ("Mn", "Me", "Mc")
    return marks or letter in "\u200c\u200d\uff9e\uff9f" or 0x1F3FB <= ord(letter) <= 0x1F3FF


def _is_pictograph(letter: str) -> bool:
    return unicodedata.category(letter) == "So" or letter in "\u00a9\u00ae\u203c\u2049\u3030\u303d"


def _is_flag(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF


def _is_one_syllable(before: str, letter: str) -> bool:
    """Whether two parts of Hangul belong to one syllable: L L, L V, L LV, LV V, V V, V T, T T."""
    one, two = _hangul(before), _hangul(letter)
    following = {"L": ("L", "V", "LV", "LVT"), "LV": ("V", "T"), "V": ("V", "T"), "LVT": ("T",), "T": ("T",)}
    return two in following.get(one, ())


def _hangul(letter: str) -> str:
    code = ord(letter)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    return ""
