"""The values that a template works on, as Go sees them, and the errors of a template.

A value is plain JSON: a mapping, a list or tuple, a string, an int, a float, a bool or None. A string may hold single
bytes of a character that was cut, as surrogates (`surrogateescape`), because Go's strings are bytes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from polyarch.errors import UsageError

Kind = Literal["nil", "bool", "int", "float64", "string", "list", "map"]


class Missing:
    """What a field that is not there yields. Its own fields are missing, too, where those of nil are an error."""


MISSING = Missing()


class Titles(dict[str, str]):
    """A row for the header of a table: every field is a title. Fields without one are named after the field."""

    def __missing__(self, name: str) -> str:
        import re

        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper()


class Struct(dict[str, Any]):
    """A document with fields that Go leaves out of JSON if they are empty strings (`omitempty`), but knows."""

    def __init__(self, document: Mapping[str, Any], omitted: Iterable[str]) -> None:
        super().__init__(document)
        self.omitted = frozenset(omitted) - document.keys()


def parse_error(message: str, hint: str | None = None) -> UsageError:
    """The error for a template that cannot be read."""
    return UsageError(
        f"the template of --format does not parse: {message}",
        hint or "a template reads as Go's, for example '{{.ID}} {{json .Platforms}}'; or say --format json",
    )


def run_error(message: str, hint: str | None = None) -> UsageError:
    """The error for a template that asks for what a value does not give."""
    return UsageError(f"--format: {message}", hint)


def kind(value: Any) -> Kind:
    """The kind of a value. Raises UsageError for what is not a template's value."""
    match value:
        case None | Missing():
            return "nil"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case list() | tuple():
            return "list"
        case Mapping():
            return "map"
    raise run_error(f"a value of type {type(value).__name__} cannot be shown")


def described(value: Any) -> str:
    """The kind of a value, for a message: `an int`."""
    found = kind(value)
    return "nil" if found == "nil" else f"an {found}" if found == "int" else f"a {found}"


def is_true(value: Any) -> bool:
    """Whether `if` takes a value for true: not false, zero, nil or empty."""
    return value is not MISSING and bool(value)


def raw(text: str) -> bytes:
    """A string as the bytes that it is for Go."""
    return text.encode("utf-8", "surrogateescape")


def text_of(content: bytes) -> str:
    """The string of these bytes."""
    return content.decode("utf-8", "surrogateescape")


def field(value: Any, name: str, *, is_root: bool) -> Any:
    """The field of a value, by its name or else without regard to case. MISSING if a mapping does not have it.

    A field that `is_root`'s value, a row or a document, does not have is an error that lists those it has: Go knows
    the fields of a struct, and so do we.
    """
    if value is MISSING:
        return MISSING
    if value is None:
        raise run_error(f"nil has no field {name!r}")
    if isinstance(value, Titles):
        return value[name]
    if not isinstance(value, Mapping):
        raise run_error(f"{described(value)} has no field {name!r}")
    if name in value:
        return value[name]
    if isinstance(value, Struct) and name in value.omitted:
        return ""
    # OCI's JSON has keys such as `os.version`, which a template can only write as a Go field.
    lowered = {str(key).lower().replace(".", ""): key for key in value}
    if name.lower() in lowered:
        return value[lowered[name.lower()]]
    if is_root:
        names = [*map(str, value), *(sorted(value.omitted) if isinstance(value, Struct) else ())]
        raise run_error(f"there is no field {name!r}", f"there are {', '.join(names)}")
    return MISSING
