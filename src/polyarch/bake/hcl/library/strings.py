"""Texts. A character is a grapheme cluster, as in cty."""

import re
from collections.abc import Callable, Sequence

from polyarch.bake.hcl import graphemes, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, repeated, whole
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
# White space as Go has it: unlike Python's, without U+001C to U+001F.
_SPACES = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace() and not "\x1c" <= letter <= "\x1f")
_NEWLINES = re.compile(r"(?:\r\n?|\n)*\Z")
# What is not a letter for a name of a target.
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


def _simple(name: str, change: Callable[[str], str]) -> None:
    @TABLE.define(f"{name} str:string")
    def call(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
        return values.text(change(given[0].data))


def _mapped(text: str, change: Callable[[str], str]) -> str:
    """Each letter changed by itself. Go has no letter that becomes two."""
    return "".join(new if len(new := change(letter)) == 1 else letter for letter in text)


def _lower(text: str) -> str:
    return _mapped(text.replace("\u0130", "i"), str.lower)


def _title(text: str) -> str:
    parts: list[str] = []
    before = " "
    for letter in text:
        parts.append(_mapped(letter, str.title) if _separates(before) else letter)
        before = letter
    return "".join(parts)


def _separates(letter: str) -> bool:
    if letter.isascii():
        return not (letter.isalnum() or letter == "_")
    return letter in _SPACES


_simple("upper", lambda text: _mapped(text, str.upper))
_simple("lower", _lower)
_simple("title", _title)
_simple("chomp", lambda text: _NEWLINES.sub("", text, count=1))
_simple("trimspace", lambda text: text.strip(_SPACES))
_simple("reverse", lambda text: "".join(reversed(list(graphemes.clusters(text)))))
_simple("sanitize", lambda text: _UNSAFE.sub("_", text))


@TABLE.define("strlen str:string")
def _strlen(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.integer(graphemes.count(given[0].data))


@TABLE.define("substr str:string offset:number length:number")
def _substr(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    text, offset, length = given[0].data, whole(given[1], "offset"), whole(given[2], "length")
    found = list(graphemes.clusters(text))
    if offset < 0:
        offset += len(found)
    elif length == 0:
        return values.text("")
    rest = found[max(0, offset) :]
    # A length of 0 after a negative offset does not limit anything, as in cty.
    return values.text("".join(rest if length <= 0 else rest[:length]))


@TABLE.define("join separator:string *lists:strings")
def _join(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if len(given) < 2:
        raise FunctionError("it takes at least one list")
    parts = [one for each in given[1:] for one in each.data]
    if any(one.is_null for one in parts):
        raise FunctionError("an element of the list is null")
    total = sum(len(one.data) for one in parts) + len(given[0].data) * max(0, len(parts) - 1)
    repeated(" ", total)
    return values.text(given[0].data.join([one.data for one in parts]))


@TABLE.define("split separator:string str:string")
def _split(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    separator, text = given[0].data, given[1].data
    parts = text.split(separator) if separator else list(text)
    return values.list_of(types.STRING, [values.text(part) for part in parts])


@TABLE.define("indent spaces:number str:string")
def _indent(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    spaces = whole(given[0], "spaces")
    if spaces < 0:
        raise FunctionError("spaces is negative")
    return _replaced(given[1].data, "\n", "\n" + repeated(" ", spaces))


@TABLE.define("replace str:string substr:string replace:string")
def _replace(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return _replaced(given[0].data, given[1].data, given[2].data)


def _replaced(text: str, old: str, new: str) -> HclValue:
    repeated(" ", len(text) + (text.count(old) * len(new)))
    return values.text(text.replace(old, new))


@TABLE.define("trim str:string cutset:string")
def _trim(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(given[0].data.strip(given[1].data) if given[1].data else given[0].data)


@TABLE.define("trimprefix str:string prefix:string")
def _trimprefix(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(given[0].data.removeprefix(given[1].data))


@TABLE.define("trimsuffix str:string suffix:string")
def _trimsuffix(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(given[0].data.removesuffix(given[1].data))


@TABLE.define("basename path:string")
def _basename(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    path = given[0].data
    if not path:
        return values.text(".")
    return values.text(path.rstrip("/").rpartition("/")[2] or "/")


@TABLE.define("dirname path:string")
def _dirname(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    import posixpath

    head = given[0].data.rpartition("/")[0] + ("/" if "/" in given[0].data else "")
    cleaned = posixpath.normpath(head) if head else "."
    return values.text("/" + cleaned.lstrip("/") if head.startswith("/") else cleaned)


@TABLE.define("byteslen buf:any")
def _byteslen(_: Sequence[HclValue], __: FunctionHost) -> HclValue:
    raise FunctionError("buf must be of the type bytes, which no function of bake returns")


@TABLE.define("bytesslice buf:any offset:number length:number")
def _bytesslice(_: Sequence[HclValue], __: FunctionHost) -> HclValue:
    raise FunctionError("buf must be of the type bytes, which no function of bake returns")


@TABLE.define("homedir")
def _homedir(_: Sequence[HclValue], host: FunctionHost) -> HclValue:
    return values.text(host.home)
