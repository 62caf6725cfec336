"""Templates: texts with `${…}`, `%{if}` and `%{for}` in them, in quotes, in heredocs and in JSON's strings."""

from typing import TypeAlias

import msgspec

from polyarch.bake.hcl import graphemes, syntax, tokens, values
from polyarch.bake.hcl.parser import ExpressionParser
from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.syntax import Expr
from polyarch.bake.hcl.tokens import HclToken

_KEYWORDS = ("if", "for", "else", "endif", "endfor")


class TextPart(msgspec.Struct, eq=False):
    """Literal text. It is cut while its neighbours are read."""

    text: str
    span: Span


class ValuePart(msgspec.Struct, frozen=True, eq=False):
    """`${…}`"""

    value: Expr
    span: Span


class DirectivePart(msgspec.Struct, frozen=True, eq=False):
    """`%{…}`: its keyword, and what `if` and `for` say."""

    keyword: str
    span: Span
    key_name: str = ""
    value_name: str = ""
    value: Expr | None = None


_Part: TypeAlias = TextPart | ValuePart | DirectivePart


class HclParser(ExpressionParser):
    """The whole parser of expressions, with templates."""

    def template(self) -> Expr:
        """Parse the template that begins with the next token, a quote or the first line of a heredoc."""
        opening = self.read()
        quoted = opening.kind == tokens.OPEN_QUOTE
        self.deeper()
        parts = _parts(self, tokens.CLOSE_QUOTE if quoted else tokens.CLOSE_HEREDOC)
        self.shallower()
        if not quoted and opening.text == "-":
            _remove_indentation(parts)
        return _expression(parts, self.since(opening))


def parse_template(file: SourceFile) -> Expr:
    """The template that a whole text is, as a string of JSON. Raises HclError."""
    parser = HclParser(file, tokens.Lexer(file).template())
    return _expression(_parts(parser, tokens.END), Span(file, 0, len(file.text)))


def parse_expression(file: SourceFile) -> Expr:
    """The expression that a whole text is. Raises HclError."""
    parser = HclParser(file, tokens.Lexer(file).config())
    parser.push_newlines(False)
    found = parser.expression()
    if parser.peek().kind != tokens.END:
        parser.fail(f"unexpected {parser.shown(parser.peek())} after the expression")
    return found


def _parts(parser: ExpressionParser, end: str) -> list[_Part]:
    parts: list[_Part] = []
    trim_next = False
    while True:
        token = parser.read()
        trim, trim_next = trim_next, False
        if token.kind == end:
            return parts
        if token.kind == tokens.TEXT:
            parts.append(TextPart(token.text.lstrip() if trim else token.text, parser.span(token)))
            continue
        # `${~` removes the spaces before it.
        if token.text.endswith("~") and parts and isinstance(parts[-1], TextPart):
            parts[-1].text = parts[-1].text.rstrip()
        parser.push_newlines(False)
        if token.kind == tokens.INTERPOLATION:
            value = parser.expression()
            closing = _close(parser, "${")
            parts.append(ValuePart(value, parser.since(token)))
        else:
            parts.append(_directive(parser, token))
            closing = _close(parser, "%{")
        parser.pop_newlines()
        trim_next = closing.text.startswith("~")


def _close(parser: ExpressionParser, opening: str) -> HclToken:
    if parser.peek().kind != tokens.SEQUENCE_END:
        shown = parser.shown(parser.peek())
        literal = f"a literal {opening} is written {opening[0]}{opening}"
        parser.fail(f"expected '}}' at the end of {opening}…, but found {shown}", literal)
    return parser.read()


def _directive(parser: ExpressionParser, opening: HclToken) -> DirectivePart:
    word = parser.read()
    if word.kind != tokens.IDENT or word.text not in _KEYWORDS:
        from difflib import get_close_matches

        near = get_close_matches(word.text, _KEYWORDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known directives: {', '.join(_KEYWORDS)}"
        parser.fail(f"unknown directive {parser.shown(word)} after %{{", hint, word)
    if word.text == "if":
        return DirectivePart("if", parser.since(opening), value=parser.expression())
    if word.text == "for":
        key_name, value_name, collection = parser.for_header()
        return DirectivePart("for", parser.since(opening), key_name, value_name, collection)
    return DirectivePart(word.text, parser.since(opening))


def _remove_indentation(parts: list[_Part]) -> None:
    """Remove from every line of `<<-` the spaces that all lines begin with. Blank lines do not count."""
    lines: list[TextPart] = []
    common: int | None = None
    at_start = True
    for part in parts:
        text = part.text if isinstance(part, TextPart) else ""
        if at_start:
            spaces: int | None = 0
            if isinstance(part, TextPart):
                rest = text.lstrip()
                if not rest and text.endswith("\n"):
                    spaces = None
                else:
                    spaces = graphemes.count(text[: len(text) - len(rest)])
                    lines.append(part)
            if spaces is not None:
                common = spaces if common is None else min(common, spaces)
        at_start = text.endswith("\n")
    for line in lines:
        line.text = graphemes.after(line.text, common or 0)


def _expression(parts: list[_Part], span: Span) -> Expr:
    joined: list[_Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            last.text += part.text
            last.span = last.span.to(part.span)
        else:
            joined.append(part)
    if len(joined) == 1 and isinstance(joined[0], ValuePart):
        return syntax.WrappedExpr(joined[0].value, span)
    if not joined:
        joined.append(TextPart("", span))
    found, rest = _sequence(joined, 0, None)
    assert rest == len(joined)
    return syntax.TemplateExpr(tuple(found), span)


def _sequence(parts: list[_Part], at: int, opened: DirectivePart | None) -> tuple[list[Expr], int]:
    """The expressions up to the directive that ends `opened`, or the end; and the position of that directive."""
    found: list[Expr] = []
    while at < len(parts):
        part = parts[at]
        if isinstance(part, TextPart):
            found.append(syntax.LiteralExpr(values.text(part.text), part.span))
        elif isinstance(part, ValuePart):
            found.append(part.value)
        elif part.keyword == "if":
            expression, at = _if(parts, at, part)
            found.append(expression)
        elif part.keyword == "for":
            expression, at = _for(parts, at, part)
            found.append(expression)
        elif opened is not None and part.keyword in _ENDS[opened.keyword]:
            return found, at
        else:
            raise HclError(f"%{{{part.keyword}}} does not belong to anything here", at=part.span)
        at += 1
    if opened is not None:
        raise HclError(f"%{{{opened.keyword}}} has no %{{end{opened.keyword}}}", at=opened.span)
    return found, at


_ENDS = {"if": ("else", "endif"), "for": ("endfor",)}


def _if(parts: list[_Part], at: int, opened: DirectivePart) -> tuple[Expr, int]:
    yes, at = _sequence(parts, at + 1, opened)
    no: list[Expr] = []
    end = parts[at]
    assert isinstance(end, DirectivePart)
    if end.keyword == "else":
        no, at = _sequence(parts, at + 1, opened)
        end = parts[at]
        assert isinstance(end, DirectivePart)
        if end.keyword == "else":
            raise HclError("this %{if} has two %{else}", at=end.span)
    span = opened.span.to(end.span)
    assert opened.value is not None
    return syntax.ConditionalExpr(opened.value, _template(yes, span), _template(no, span), span), at


def _for(parts: list[_Part], at: int, opened: DirectivePart) -> tuple[Expr, int]:
    content, at = _sequence(parts, at + 1, opened)
    span = opened.span.to(parts[at].span)
    assert opened.value is not None
    loop = syntax.ForExpr(
        key_name=opened.key_name,
        value_name=opened.value_name,
        collection=opened.value,
        key=None,
        value=_template(content, span),
        condition=None,
        group=False,
        span=span,
    )
    return syntax.JoinExpr(loop, span), at


def _template(parts: list[Expr], span: Span) -> Expr:
    return syntax.TemplateExpr(tuple(parts) or (syntax.LiteralExpr(values.text(""), span),), span)
