"""Bodies: attributes and blocks, in HCL's native syntax or as JSON.

`Body` is the same for both. In JSON, whether a property is an attribute or a block is decided by the reader: `blocks`
asks for those of one type.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from polyarch.bake.hcl import syntax, tokens
from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.syntax import Expr
from polyarch.bake.hcl.templates import HclParser
from polyarch.bake.hcl.tokens import HclToken


class HclAttribute(msgspec.Struct, frozen=True, eq=False):
    """`name = value`"""

    name: str
    value: Expr
    at: Span


class HclBlock(msgspec.Struct, frozen=True, eq=False):
    """`type "label" { body }`"""

    type: str
    labels: tuple[str, ...]
    body: "HclBody"
    at: Span


class HclBody(Protocol):
    """The contents of a file or block."""

    at: Span

    def attributes(self, blocks: Sequence[str] = ()) -> dict[str, HclAttribute]:
        """The attributes by name. `blocks` are the names that are blocks here, which JSON cannot tell."""
        ...

    def blocks(self, kind: str, labels: int) -> list[HclBlock]:
        """The blocks of a type, which has this number of labels. Raises HclError for another number."""
        ...

    def block_types(self) -> Iterator[tuple[str, Span]]:
        """The types of all blocks, where the syntax tells."""
        ...


class NativeBody:
    """A body in the native syntax."""

    def __init__(self, attributes: dict[str, HclAttribute], blocks: list[HclBlock], at: Span) -> None:
        self._attributes = attributes
        self._blocks = blocks
        self.at = at

    def attributes(self, blocks: Sequence[str] = ()) -> dict[str, HclAttribute]:
        for name in blocks:
            if name in self._attributes:
                at = self._attributes[name].at
                raise HclError(f"{name} is a block, not an attribute", f"leave out the '=': {name} {{ … }}", at=at)
        return self._attributes

    def blocks(self, kind: str, labels: int) -> list[HclBlock]:
        found = [block for block in self._blocks if block.type == kind]
        for block in found:
            if len(block.labels) != labels:
                words = {0: "no name", 1: "one name"}[labels]
                raise HclError(
                    f"a block {kind} has {words}, not {len(block.labels)}",
                    f'as in {kind} "NAME" {{' if labels else None,
                    at=block.at,
                )
        return found

    def block_types(self) -> Iterator[tuple[str, Span]]:
        return ((block.type, block.at) for block in self._blocks)


def parse_native(file: SourceFile) -> NativeBody:
    """The body that a file in the native syntax is. Raises HclError."""
    parser = HclParser(file, tokens.Lexer(file).config())
    return _body(parser, tokens.END, Span(file, 0, 0))


def _body(parser: HclParser, end: str, start: Span) -> NativeBody:
    attributes: dict[str, HclAttribute] = {}
    blocks: list[HclBlock] = []
    while True:
        token = parser.peek()
        if token.kind == end:
            parser.read()
            return NativeBody(attributes, blocks, parser.since(start))
        if token.kind == tokens.NEWLINE:
            parser.read()
        elif token.kind == tokens.IDENT:
            _item(parser, attributes, blocks)
        elif token.kind == tokens.END:
            raise HclError(
                "this block is not closed", "its closing brace is missing, or one of a block in it", at=start
            )
        else:
            hint = "names of attributes have no quotes" if token.kind == tokens.OPEN_QUOTE else None
            parser.fail(f"expected an attribute or a block, but found {parser.shown(token)}", hint)


def _item(parser: HclParser, attributes: dict[str, HclAttribute], blocks: list[HclBlock]) -> None:
    name = parser.read()
    following = parser.peek().kind
    if following == "=":
        attribute = _attribute(parser, name)
        known = attributes.get(name.text)
        if known is not None:
            line, _ = parser.file.position(known.at.start)
            raise HclError(f"{name.text} is set twice: it is also in line {line}", at=attribute.at)
        attributes[name.text] = attribute
        _end_of_line(parser, "an attribute")
    elif following in (tokens.OPEN_QUOTE, tokens.IDENT, "{"):
        blocks.append(_block(parser, name))
        _end_of_line(parser, "a block")
    else:
        hint = f"as in {name.text} = VALUE, or {name.text} {{ … }} for a block"
        parser.fail(f"expected '=' or a block after {name.text}, but found {parser.shown(parser.peek())}", hint)


def _attribute(parser: HclParser, name: HclToken) -> HclAttribute:
    parser.read()
    value = parser.expression()
    return HclAttribute(name.text, value, parser.since(name))


def _end_of_line(parser: HclParser, what: str) -> None:
    token = parser.peek()
    if token.kind not in (tokens.NEWLINE, tokens.END):
        hint = "line breaks separate attributes, not commas" if token.kind == "," else None
        parser.fail(f"expected the end of the line after {what}, but found {parser.shown(token)}", hint)
    parser.read()


def _block(parser: HclParser, kind: HclToken) -> HclBlock:
    labels: list[str] = []
    while parser.peek().kind != "{":
        token = parser.peek()
        if token.kind == tokens.IDENT:
            labels.append(parser.read().text)
        elif token.kind == tokens.OPEN_QUOTE:
            labels.append(_label(parser))
        else:
            hint = "the brace of a block is on the line of its name" if token.kind == tokens.NEWLINE else None
            parser.fail(f"expected '{{' after the name of a block, but found {parser.shown(token)}", hint)
    at = parser.since(kind)
    parser.read()
    parser.deeper()
    if parser.peek().kind in (tokens.NEWLINE, tokens.END, "}"):
        body = _body(parser, "}", at)
    else:
        body = _single(parser, at)
    parser.shallower()
    return HclBlock(kind.text, tuple(labels), body, at)


def _single(parser: HclParser, start: Span) -> NativeBody:
    """A block in one line has one attribute."""
    name = parser.expect(tokens.IDENT, "in a block")
    if parser.peek().kind != "=":
        hint = "a block in one line has one attribute: put each attribute and block on a line of its own"
        parser.fail(f"expected '=' after {name.text}, but found {parser.shown(parser.peek())}", hint)
    attribute = _attribute(parser, name)
    parser.expect("}", "after the one attribute of a block in one line", "put each attribute on a line of its own")
    return NativeBody({name.text: attribute}, [], parser.since(start))


def _label(parser: HclParser) -> str:
    template = parser.template()
    found = syntax.literal_text(template)
    if found is None:
        raise HclError("the name of a block cannot contain ${…}", "a literal ${ is written $${", at=template.span)
    return found
