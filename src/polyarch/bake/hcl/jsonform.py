"""The JSON form of HCL (json/spec.md): strings are templates, and blocks are objects, or lists of them, by label."""

import re
from collections.abc import Iterator, Sequence
from typing import NoReturn, TypeAlias

import msgspec

from polyarch.bake.hcl import numbers, syntax, values
from polyarch.bake.hcl.bodies import HclAttribute, HclBlock
from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.syntax import Expr
from polyarch.bake.hcl.templates import parse_expression, parse_template
from polyarch.bake.hcl.tokens import MAX_DEPTH

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.])")
_WORD = re.compile(r"true|false|null")


class JsonText(msgspec.Struct, frozen=True, eq=False):
    """A string."""

    text: str
    span: Span


class JsonScalar(msgspec.Struct, frozen=True, eq=False):
    """A number, a boolean or null."""

    value: values.HclValue
    span: Span


class JsonArray(msgspec.Struct, frozen=True, eq=False):
    """An array."""

    items: tuple["JsonNode", ...]
    span: Span


class JsonObject(msgspec.Struct, frozen=True, eq=False):
    """An object: its properties in order. A name may appear several times."""

    properties: tuple[tuple[JsonText, "JsonNode"], ...]
    span: Span


JsonNode: TypeAlias = JsonText | JsonScalar | JsonArray | JsonObject


class JsonBody:
    """A body in JSON: an object, or an array of objects whose properties are taken together."""

    def __init__(self, node: JsonNode) -> None:
        self._node = node
        self.at = node.span

    def _properties(self) -> list[tuple[JsonText, JsonNode]]:
        return _deep(self._node, "attributes and blocks")

    def attributes(self, blocks: Sequence[str] = ()) -> dict[str, HclAttribute]:
        found: dict[str, HclAttribute] = {}
        for name, node in self._properties():
            # `//` is a comment.
            if name.text == "//" or name.text in blocks:
                continue
            if name.text in found:
                line, _ = found[name.text].at.file.position(found[name.text].at.start)
                raise HclError(f"{name.text} is set twice: it is also in line {line}", at=name.span)
            found[name.text] = HclAttribute(name.text, _expression(node), name.span)
        return found

    def blocks(self, kind: str, labels: int) -> list[HclBlock]:
        found: list[HclBlock] = []
        for name, node in self._properties():
            if name.text == kind:
                found += _blocks(kind, labels, (), node, name.span)
        return found

    def block_types(self) -> Iterator[tuple[str, Span]]:
        return iter(())


def _deep(node: JsonNode, what: str) -> list[tuple[JsonText, JsonNode]]:
    if isinstance(node, JsonObject):
        return list(node.properties)
    if isinstance(node, JsonArray) and all(isinstance(item, JsonObject) for item in node.items):
        return [found for item in node.items if isinstance(item, JsonObject) for found in item.properties]
    if isinstance(node, JsonScalar) and node.value.is_null:
        return []
    raise HclError(f"expected an object with {what}", at=node.span)


def _blocks(kind: str, labels: int, names: tuple[str, ...], node: JsonNode, at: Span) -> Iterator[HclBlock]:
    if labels:
        properties = _deep(node, f"the names of blocks {kind}")
        if not properties:
            raise HclError(f"{kind} has no name: an object with at least one property is expected", at=node.span)
        for name, inner in properties:
            yield from _blocks(kind, labels - 1, (*names, name.text), inner, name.span)
    elif isinstance(node, JsonArray):
        for item in node.items:
            yield HclBlock(kind, names, JsonBody(item), at)
    elif isinstance(node, JsonObject):
        yield HclBlock(kind, names, JsonBody(node), at)
    elif not (isinstance(node, JsonScalar) and node.value.is_null):
        raise HclError(f"expected an object, the contents of {kind}, or an array of them", at=node.span)


def _expression(node: JsonNode) -> Expr:
    match node:
        case JsonText():
            return syntax.JsonTextExpr(node.text, node.span, parse_template, parse_expression)
        case JsonScalar():
            return syntax.LiteralExpr(node.value, node.span)
        case JsonArray():
            return syntax.TupleExpr(tuple(map(_expression, node.items)), node.span)
        case JsonObject():
            items = (syntax.ObjectItem(_expression(name), _expression(value)) for name, value in node.properties)
            return syntax.ObjectExpr(tuple(items), node.span, unique=True)


def parse_json(file: SourceFile) -> JsonBody:
    """The body that a JSON file is. Raises HclError."""
    root = _JsonParser(file).document()
    if not isinstance(root, JsonObject):
        raise HclError("a bake file in JSON is an object", 'as in {"target": {"app": {}}}', at=root.span)
    return JsonBody(root)


class _JsonParser:
    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._text = file.text
        self._at = 1 if file.text.startswith("\ufeff") else 0
        self._depth = 0

    def document(self) -> JsonNode:
        found = self._value()
        if self._peek():
            self._fail("expected the end of the file after the JSON value")
        return found

    def _peek(self) -> str:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _fail(self, reason: str, hint: str | None = None) -> NoReturn:
        raise HclError(reason, hint, at=Span(self._file, self._at, min(self._at + 1, len(self._text))))

    def _value(self) -> JsonNode:
        letter = self._peek()
        if letter == "{":
            return self._object()
        if letter == "[":
            return self._array()
        if letter == '"':
            return self._string()
        start = self._at
        if match := _WORD.match(self._text, start):
            self._at = match.end()
            scalar = values.null() if match[0] == "null" else values.boolean(match[0] == "true")
            return JsonScalar(scalar, Span(self._file, start, self._at))
        match = _NUMBER.match(self._text, start)
        if match is None:
            self._fail("expected a JSON value: an object, an array, a string, a number, true, false or null")
        self._at = match.end()
        span = Span(self._file, start, self._at)
        try:
            return JsonScalar(values.number(numbers.parse(match[0])), span)
        except numbers.NumberError as error:
            raise HclError(str(error), at=span) from None

    def _string(self) -> JsonText:
        match = _STRING.match(self._text, self._at)
        if match is None:
            self._fail("this string is not closed, or has a wrong escape or a control character")
        span = Span(self._file, self._at, match.end())
        self._at = match.end()
        return JsonText(_unescaped(match[1]), span)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"JSON is nested more than {MAX_DEPTH} deep")

    def _object(self) -> JsonObject:
        self._deeper()
        start = self._at
        self._at += 1
        found: list[tuple[JsonText, JsonNode]] = []
        if self._peek() != "}":
            while True:
                if self._peek() != '"':
                    hint = "JSON has no comma after the last property" if found and self._peek() == "}" else None
                    self._fail("expected the name of a property, in double quotes", hint)
                name = self._string()
                if self._peek() != ":":
                    self._fail("expected ':' after the name of a property")
                self._at += 1
                found.append((name, self._value()))
                if self._peek() != ",":
                    break
                self._at += 1
        if self._peek() != "}":
            self._fail("expected ',' or '}' after a property")
        self._at += 1
        self._depth -= 1
        return JsonObject(tuple(found), Span(self._file, start, self._at))

    def _array(self) -> JsonArray:
        self._deeper()
        start = self._at
        self._at += 1
        found: list[JsonNode] = []
        if self._peek() != "]":
            while True:
                if found and self._peek() == "]":
                    self._fail("expected a JSON value after ','", "JSON has no comma after the last item")
                found.append(self._value())
                if self._peek() != ",":
                    break
                self._at += 1
        if self._peek() != "]":
            self._fail("expected ',' or ']' after an item")
        self._at += 1
        self._depth -= 1
        return JsonArray(tuple(found), Span(self._file, start, self._at))


def _unescaped(raw: str) -> str:
    if "\\" not in raw:
        return raw

    def resolved(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _ESCAPES.get(escape, escape)

    found = _ESCAPE.sub(resolved, raw)
    # Two escapes may be one character; half of a pair is replaced, as Go does.
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
