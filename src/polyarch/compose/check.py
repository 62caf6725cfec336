"""Checks a project against `grammar.py`: unknown keys, wrong types, missing keys."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from polyarch.compose import grammar
from polyarch.compose.places import ComposeError, ComposePlaces, TreePath, near

_NAME = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)
_DURATION = re.compile(r"[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w))+|[-+]?0", re.ASCII)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "duration": str,
    "integer": (int, float),
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_SHOWN = {"duration": "string", "list": "list", "mapping": "mapping"}


class _Type(msgspec.Struct, frozen=True):
    """One alternative of a type. `inner` is that of entries; `words` and `pattern` limit a string."""

    kind: str
    inner: str = ""
    unique: bool = False
    words: tuple[str, ...] = ()
    pattern: str = ""
    low: int | None = None
    high: int | None = None
    name: str = ""

    def is_of(self, value: object) -> bool:
        """Whether a value is of this kind, whatever it contains."""
        if self.kind in ("list", "mapping", "keys"):
            return isinstance(value, list if self.kind == "list" else dict)
        if self.kind == "any":
            return True
        if isinstance(value, bool) and self.kind != "boolean":
            return False
        if self.kind == "integer" and isinstance(value, float) and not value.is_integer():
            return False
        return isinstance(value, _TYPES[self.kind])


@cache
def _parsed(text: str) -> tuple[_Type, ...]:
    """The alternatives of a type in words."""
    found: list[_Type] = []
    for part in _alternatives(text):
        if part[0] == "@":
            definition = grammar.DEFINITIONS[part[1:]]
            more = _parsed(definition) if isinstance(definition, str) else (_Type("keys", name=part[1:]),)
            found += more
        elif part[0] == "[":
            found.append(_Type("list", inner=part.rstrip("!")[1:-1], unique=part.endswith("!")))
        elif part[0] == "{":
            found.append(_Type("mapping", inner=part[1:-1]))
        elif part[0] == "=":
            found.append(_Type("string", words=tuple(part[1:].split(","))))
        elif part[0] == "~":
            found.append(_Type("string", pattern=part[1:]))
        elif part.endswith(")"):
            kind, _, limits = part[:-1].partition("(")
            low, _, high = limits.partition("..")
            found.append(_Type(kind, low=int(low), high=int(high) if high else None))
        else:
            found.append(_Type(part))
    return tuple(found)


def _alternatives(text: str) -> list[str]:
    if text.startswith("~"):
        return [text]
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += letter in "[{"
        depth -= letter in "]}"
        if letter == "|" and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


class Checker:
    """Checks values at paths. Without `complete`, keys may be missing, because another file can add them."""

    def __init__(self, places: ComposePlaces, *, complete: bool) -> None:
        self._places = places
        self._complete = complete

    def check(self, value: Any, kind: str = "@file", path: TreePath = ()) -> None:
        """Raise ComposeError for the first mistake."""
        alternatives = _parsed(kind)
        fitting = next((one for one in alternatives if one.is_of(value)), None)
        if fitting is None:
            wanted = sorted(
                {_SHOWN.get(one.kind, "mapping" if one.kind == "keys" else one.kind) for one in alternatives}
            )
            named = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
            raise self._error(path, f"it must be a {named}, but is {_described(value)}")
        match fitting.kind:
            case "list":
                self._check_list(value, fitting, path)
            case "mapping":
                self._check_mapping(value, fitting, path)
            case "keys":
                self._check_keys(value, fitting.name, path)
            case _:
                self._check_scalar(value, fitting, path)

    def _error(self, path: TreePath, reason: str, hint: str | None = None) -> ComposeError:
        return self._places.error(path, reason, hint)

    def _check_list(self, value: list[Any], kind: _Type, path: TreePath) -> None:
        for index, one in enumerate(value):
            self.check(one, kind.inner, (*path, index))
            if kind.unique and any(_same(one, other) for other in value[:index]):
                raise self._error((*path, index), f"{_described(one)} is in the list twice", "remove one of them")

    def _check_mapping(self, value: Mapping[str, Any], kind: _Type, path: TreePath) -> None:
        names = path[-1:] and path[-1] in grammar.NAMED_BY_USERS
        for key, one in value.items():
            if names and _NAME.fullmatch(key) is None:
                raise self._error(
                    (*path, key), f"{key!r} cannot be a name", "names have letters, digits, '.', '_' and '-'"
                )
            self.check(one, kind.inner, (*path, key))

    def _check_keys(self, value: Mapping[str, Any], name: str, path: TreePath) -> None:
        keys = grammar.DEFINITIONS[name]
        assert isinstance(keys, dict)
        known = {key.removesuffix("*"): kind for key, kind in keys.items()}
        for key, one in value.items():
            if key in known:
                self.check(one, known[key], (*path, key))
            elif not key.startswith("x-") or name in grammar.CLOSED:
                what = f"keys of {path[-1]}" if path and isinstance(path[-1], str) else "keys"
                raise self._error((*path, key), f"the key {key!r} is unknown", near(key, list(known), what))
        if self._complete:
            for key in keys:
                if key.endswith("*") and key[:-1] not in value:
                    raise self._error(path, f"the key {key[:-1]!r} is missing")

    def _check_scalar(self, value: Any, kind: _Type, path: TreePath) -> None:
        if kind.words and value not in kind.words:
            raise self._error(path, f"{value!r} is not allowed", near(str(value), kind.words, "allowed"))
        if kind.pattern and re.search(kind.pattern, value) is None:
            raise self._error(path, f"{value!r} is not allowed")
        if kind.kind == "duration" and _DURATION.fullmatch(value) is None:
            raise self._error(path, f"{value!r} is not a duration", "as in 1m30s")
        if kind.low is not None and value < kind.low:
            raise self._error(path, f"{value} is less than {kind.low}")
        if kind.high is not None and value > kind.high:
            raise self._error(path, f"{value} is more than {kind.high}")


def _same(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _described(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}" if len(value) < 60 else "a text"
        case list():
            return "a list"
        case _:
            return "a mapping"
