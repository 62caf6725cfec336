"""Values as YAML text, as go-yaml writes it with an indent of two."""

import re
from collections.abc import Iterator
from functools import cmp_to_key
from typing import Any

from polyarch.compose import gotext, scalars
from polyarch.compose.forms import Single

_INDICATORS = "#,[]{}&*!|>'\"%@`"
_ESCAPES = {
    "\0": "\\0",
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
    '"': '\\"',
    "\\": "\\\\",
    "\x85": "\\N",
    "\u2028": "\\L",
    "\u2029": "\\P",
    "\ufeff": "\\uFEFF",
}
# What go-yaml writes as it is. Line separators are escaped, because a reader would take them for the end of a line.
_PRINTABLE = re.compile("[\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_LONGEST_KEY = 128
_BREAKS = "\n\x85\u2028\u2029"


class Ordered(dict[str, Any]):
    """A mapping that is written in its own order. Others are sorted."""


def text_of(value: Any) -> str:
    """A document. Strings are plain if they can be, else in quotes, or literal if they have several lines."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, indent: int) -> Iterator[str]:
    margin = " " * indent
    if isinstance(value, dict) and value:
        for key in value if isinstance(value, Ordered) else sorted(value, key=cmp_to_key(compared)):
            head = f"{margin}{scalar(key, indent, is_key=True)}:"
            if any(letter in _BREAKS for letter in key) or len(key.encode()) > _LONGEST_KEY:
                yield f"{margin}? {scalar(key, indent + 2)}"
                head = f"{margin}:"
            yield from _after(head, value[key], indent + 2)
    elif isinstance(value, list) and value:
        for one in value:
            yield from _entry(one, indent)
    else:
        yield margin + _leaf(value, indent)


def _after(head: str, value: Any, indent: int) -> Iterator[str]:
    """The lines of a value after its key."""
    if isinstance(value, dict | list) and value:
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_leaf(value, indent)}"


def _entry(value: Any, indent: int) -> Iterator[str]:
    """The lines of an entry of a list. Its first line has the dash."""
    lines = _lines(value, indent + 2)
    yield " " * indent + "- " + next(lines)[indent + 2 :]
    yield from lines


def _leaf(value: Any, indent: int) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    if isinstance(value, str):
        return scalar(value, indent)
    if isinstance(value, float):
        text = gotext.number(value, single=isinstance(value, Single))
        return {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}.get(text, text)
    return "null" if value is None else gotext.number(value)


def scalar(text: str, indent: int, *, is_key: bool = False) -> str:
    """A string in one of YAML's styles."""
    shape = _StringShape(text)
    if "\n" in text:
        return _literal(text, indent) if shape.literal and not is_key else _double(text)
    if scalars.needs_quotes(text):
        return _double(text)
    if shape.plain and text:
        return text
    return "'" + text.replace("'", "''") + "'" if shape.single else _double(text)


class _StringShape:
    """Which styles can write a text."""

    def __init__(self, text: str) -> None:
        special = any(_PRINTABLE.fullmatch(letter) is None and letter != "\t" for letter in text)
        breaks = any(letter in _BREAKS for letter in text)
        space_before_break = any(f" {letter}" in text for letter in _BREAKS)
        break_before_space = any(f"{letter} " in text for letter in _BREAKS)
        around = text[:1] in (" ", *_BREAKS) or text[-1:] in (" ", *_BREAKS)
        tab = "\t" in text
        self.single = not (break_before_space or space_before_break or tab or special)
        self.literal = not (text[-1:] == " " or space_before_break or special)
        self.plain = self.single and not (around or breaks or _has_indicator(text))


def _has_indicator(text: str) -> bool:
    """Whether a letter of the text means something in a block of YAML."""
    if text.startswith(("---", "...")):
        return True
    for index, letter in enumerate(text):
        before = text[index - 1] if index else " "
        after = text[index + 1] if index + 1 < len(text) else " "
        blank_after = after in " \t\n\r\x85\u2028\u2029"
        if index == 0 and (letter in _INDICATORS or (letter in "-?:" and blank_after)):
            return True
        if index and ((letter == ":" and blank_after) or (letter == "#" and before in " \t")):
            return True
    return False


def _literal(text: str, indent: int) -> str:
    """A block after `|`, with a mark for the line breaks at its end."""
    hint = "2" if text[0] in (" ", *_BREAKS) else ""
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    chomp = "-" if ends == 0 else "+" if ends > 1 or not body else ""
    lines = [f"{' ' * indent}{line}" if line else "" for line in text.removesuffix("\n").split("\n")]
    return f"|{hint}{chomp}\n" + "\n".join(lines)


def _double(text: str) -> str:
    found = []
    for letter in text:
        if letter in _ESCAPES:
            found.append(_ESCAPES[letter])
        elif _PRINTABLE.fullmatch(letter):
            found.append(letter)
        else:
            code = ord(letter)
            found.append(f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}" if code < 65536 else f"\\U{code:08X}")
    return '"' + "".join(found) + '"'


def compared(left: str, right: str) -> int:
    """The order of keys of go-yaml: numbers in them by their value, letters after everything else."""
    digits = False
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one == other:
            digits = one.isdecimal()
            continue
        letters = one.isalpha(), other.isalpha()
        if all(letters):
            return -1 if one < other else 1
        if any(letters):
            # After a digit the letter comes first.
            return -1 if letters[0] == digits else 1
        return _numbers(left, right, index)
    return (len(left) > len(right)) - (len(left) < len(right))


def _numbers(left: str, right: str, index: int) -> int:
    """The order from the first difference on, where neither text has a letter."""
    # After another digit than 0, a 0 counts.
    start = 1 if "0" in (left[index], right[index]) and re.search(r"[1-9]\d*$", left[:index]) else 0
    pairs = []
    for text in (left, right):
        digits = re.match(r"\d*", text[index:])
        found = digits[0] if digits else ""
        pairs.append((int(f"{start}{found}"), len(found), text[index]))
    return -1 if pairs[0] < pairs[1] else 1
