"""The functions of a template: those of Go's text/template, and docker's (docker/cli, templates.go)."""

import html
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import msgspec

from polyarch.render.templates.formatting import fixed, scientific, shortest, shown
from polyarch.render.templates.printf import sprint, sprintf, sprintln
from polyarch.render.templates.values import described, is_true, kind, raw, run_error, text_of

_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_MOST_PADDING = 1 << 20


class Function(NamedTuple):
    """A function, with the kinds of its parameters and of those that may follow (None: no more).

    `any` is every kind, and nil. The evaluation checks the arguments, so that a function sees only what it takes.
    """

    run: Callable[..., Any]
    parameters: tuple[str, ...] = ("any",)
    more: str | None = None


def json(value: Any) -> str:
    """A value as JSON, without escaping <, > and &. Keys keep their order, as the fields of a Go struct do."""
    try:
        encoded = msgspec.json.encode(_prepared(value)).decode()
    except UnicodeEncodeError:
        raise run_error("json: a string is not valid UTF-8") from None
    # Go escapes the two characters that end a line in JavaScript, but not in JSON.
    return encoded.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def pretty_json(value: Any) -> str:
    """A value as JSON, indented by four spaces."""
    return msgspec.json.format(json(value), indent=4)


def _prepared(value: Any) -> Any:
    """A value for msgspec, with floats as encoding/json writes them: 7 and not 7.0, an exponent from 1e21 on."""
    match kind(value):
        case "float64":
            if not math.isfinite(value):
                raise run_error(f"json: {shown(value)} is not a number in JSON")
            digits, power = shortest(value)
            large = value != 0 and not -6 <= power < 21
            text = scientific(digits, power).replace("e-0", "e-") if large else fixed(digits, power)
            return msgspec.Raw(f"{'-' if value < 0 else ''}{text}".encode())
        case "list":
            return [_prepared(item) for item in value]
        case "map":
            return {str(key): _prepared(item) for key, item in value.items()}
        case "nil":
            return None
    return value


def _join(values: Any, separator: str) -> str:
    match kind(values):
        case "nil":
            return ""
        case "list":
            return separator.join(map(shown, values))
        case "map":
            return separator.join(sorted(map(shown, values.values())))
    raise run_error(f"join: takes a list, not {described(values)}")


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _title(text: str) -> str:
    """Every first letter of a word in upper case; the others stay. Letters, digits and _ make words."""
    out = []
    previous = " "
    for character in text:
        separated = not (previous.isalnum() or previous == "_") and (previous.isascii() or previous.isspace())
        out.append(_upper(character) if separated else character)
        previous = character
    return "".join(out)


def _upper(text: str) -> str:
    # As Go has it, a letter without a single capital stays: ß.
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in text)


def _lower(text: str) -> str:
    return "".join(lower if len(lower := character.lower()) == 1 else "i" for character in text)


def _pad(text: str, before: int, after: int) -> str:
    if min(before, after) < 0:
        raise run_error("pad: a number of spaces is negative")
    if max(before, after) > _MOST_PADDING:
        raise run_error(f"pad: more than {_MOST_PADDING} spaces")
    return " " * before + text + " " * after if text else text


def _truncate(text: str, length: int) -> str:
    content = raw(text)
    if len(content) < length:
        return text
    if length < 0:
        raise run_error("truncate: the length is negative")
    return text_of(content[:length])


def _len(value: Any) -> int:
    match kind(value):
        case "string":
            return len(raw(value))
        case "list" | "map":
            return len(value)
    raise run_error(f"len: {described(value)} has no length")


def _position(function: str, index: Any, most: int) -> int:
    if kind(index) != "int":
        raise run_error(f"{function}: an index is an int, not {described(index)}")
    if not 0 <= index <= most:
        raise run_error(f"{function}: index {index} is out of range")
    return int(index)


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise run_error("index: nil has no items")
    for key in keys:
        match kind(value):
            case "map":
                if kind(key) != "string":
                    raise run_error(f"index: a key of a map is a string, not {described(key)}")
                value = value.get(key)
            case "list":
                value = value[_position("index", key, len(value) - 1)]
            case "string":
                content = raw(value)
                value = content[_position("index", key, len(content) - 1)]
            case _:
                raise run_error(f"index: {described(value)} has no items")
    return value


def _slice(value: Any, *indexes: Any) -> Any:
    found = kind(value)
    if found not in ("string", "list"):
        raise run_error(f"slice: {described(value)} cannot be sliced")
    if len(indexes) > (3 if found == "list" else 2):
        raise run_error(f"slice: too many indexes for a {found}")
    content = raw(value) if found == "string" else value
    bounds = [_position("slice", index, len(content)) for index in indexes]
    if bounds != sorted(bounds):
        raise run_error(f"slice: the indexes {', '.join(map(str, bounds))} do not rise")
    first = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(content)
    part = content[first:end]
    return text_of(part) if isinstance(part, bytes) else part


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise run_error("eq: needs something to compare with")
    for other in others:
        one, two = kind(first), kind(other)
        if one != two and "nil" not in (one, two):
            raise run_error(f"{described(first)} and {described(other)} cannot be compared")
        if one == two and one in ("list", "map"):
            raise run_error(f"{described(first)} and {described(other)} cannot be compared")
        if one == two and first == other:
            return True
    return False


def _lt(first: Any, second: Any) -> bool:
    found = kind(first)
    if found != kind(second) or found not in ("int", "float64", "string"):
        raise run_error(f"{described(first)} and {described(second)} cannot be ordered")
    return bool(raw(first) < raw(second)) if found == "string" else bool(first < second)


def _le(first: Any, second: Any) -> bool:
    return _lt(first, second) or _eq(first, second)


def _text(*values: Any) -> str:
    """The values as html, js and urlquery read them."""
    return sprint(["<no value>" if value is None else value for value in values])


def _html(*values: Any) -> str:
    return html.escape(_text(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("\0", "\ufffd")


def _js(*values: Any) -> str:
    out = []
    for character in _text(*values):
        number = ord(character)
        if character in _JS:
            out.append(_JS[character])
        elif character.isprintable() or character == "\x7f" or 0xDC80 <= number < 0xDD00:
            out.append(character)
        else:
            out.append(f"\\u{number:04X}")
    return "".join(out)


def _urlquery(*values: Any) -> str:
    return quote_plus(raw(_text(*values)), safe="")


def _call(function: Any, *arguments: Any) -> Any:
    raise run_error("call: no value of Polyarch is a function")


def _short_circuit(*values: Any) -> Any:
    raise AssertionError("the evaluation decides and, or")


FUNCTIONS: Mapping[str, Function] = {
    "and": Function(_short_circuit, more="any"),
    "call": Function(_call, more="any"),
    "eq": Function(_eq, more="any"),
    "ge": Function(lambda first, second: not _lt(first, second), ("any", "any")),
    "gt": Function(lambda first, second: not _le(first, second), ("any", "any")),
    "html": Function(_html, (), "any"),
    "index": Function(_index, more="any"),
    "join": Function(_join, ("any", "string")),
    "js": Function(_js, (), "any"),
    "json": Function(json),
    "le": Function(_le, ("any", "any")),
    "len": Function(_len),
    "lower": Function(_lower, ("string",)),
    "lt": Function(_lt, ("any", "any")),
    "ne": Function(lambda first, second: not _eq(first, second), ("any", "any")),
    "not": Function(lambda value: not is_true(value)),
    "or": Function(_short_circuit, more="any"),
    "pad": Function(_pad, ("string", "int", "int")),
    "prettyjson": Function(pretty_json),
    "print": Function(lambda *values: sprint(values), (), "any"),
    "printf": Function(lambda form, *values: sprintf(form, values), ("string",), "any"),
    "println": Function(lambda *values: sprintln(values), (), "any"),
    "slice": Function(_slice, more="any"),
    "split": Function(_split, ("string", "string")),
    "title": Function(_title, ("string",)),
    "truncate": Function(_truncate, ("string", "int")),
    "upper": Function(_upper, ("string",)),
    "urlquery": Function(_urlquery, (), "any"),
}


def _same(title: str, *_: Any) -> str:
    return title


# In the header of a table these leave a title as it is (docker/cli, HeaderFunctions).
HEADER_FUNCTIONS: Mapping[str, Function] = {
    **FUNCTIONS,
    "join": Function(_same, ("string", "string")),
    "json": Function(_same, ("string",)),
    "lower": Function(_same, ("string",)),
    "prettyjson": Function(_same, ("string",)),
    "split": Function(_same, ("string", "string")),
    "title": Function(_same, ("string",)),
    "truncate": Function(_same, ("string", "int")),
    "upper": Function(_same, ("string",)),
}
