"""Tokens → expressions: a Pratt parser. `templates.py` adds strings to it, and `bodies.py` uses it."""

from typing import NoReturn

from polyarch.bake.hcl import numbers, syntax, tokens, values
from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.syntax import AttributeStep, Expr, IndexStep
from polyarch.bake.hcl.tokens import MAX_DEPTH, HclToken

# How tightly an operator binds.
_BINDING = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    ">": 4,
    ">=": 4,
    "<": 4,
    "<=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_NAMES = {tokens.END: "the end of the file", tokens.NEWLINE: "the end of the line"}


class ExpressionParser:
    """Parses expressions out of a list of tokens, which it reads from the front."""

    def __init__(self, file: SourceFile, found: list[HclToken]) -> None:
        self.file = file
        self._tokens = found
        self._at = 0
        # Inside of brackets a line break means nothing.
        self._newlines = [True]
        self._depth = 0

    def peek(self) -> HclToken:
        """The next token."""
        if not self._newlines[-1]:
            while self._tokens[self._at].kind == tokens.NEWLINE:
                self._at += 1
        return self._tokens[self._at]

    def read(self) -> HclToken:
        """The next token, which is then behind the parser."""
        token = self.peek()
        if token.kind != tokens.END:
            self._at += 1
        return token

    def previous(self) -> HclToken:
        """The token that was read last."""
        return self._tokens[max(0, self._at - 1)]

    def span(self, token: HclToken) -> Span:
        """The place of a token."""
        return Span(self.file, token.start, token.end)

    def since(self, start: HclToken | Span) -> Span:
        """From a token or place to the end of what was read."""
        return Span(self.file, start.start, self.previous().end)

    def fail(self, reason: str, hint: str | None = None, token: HclToken | None = None) -> NoReturn:
        """Raise HclError at a token, by default the next one."""
        raise HclError(reason, hint, at=self.span(self.peek() if token is None else token))

    def shown(self, token: HclToken) -> str:
        """A token in words."""
        return _NAMES.get(token.kind) or repr(self.file.text[token.start : min(token.end, token.start + 40)])

    def expect(self, kind: str, where: str, hint: str | None = None) -> HclToken:
        """Read a token of this kind. Raises HclError for another one."""
        if self.peek().kind != kind:
            self.fail(f"expected {kind!r} {where}, but found {self.shown(self.peek())}", hint)
        return self.read()

    def push_newlines(self, significant: bool) -> None:
        """Whether line breaks are tokens, until `pop_newlines`."""
        self._newlines.append(significant)

    def pop_newlines(self) -> None:
        """Treat line breaks as before the last `push_newlines`."""
        self._newlines.pop()

    def deeper(self) -> None:
        """Count a level of nesting. Raises HclError for too many."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"expressions and blocks are nested more than {MAX_DEPTH} deep")

    def shallower(self) -> None:
        """Leave a level of nesting."""
        self._depth -= 1

    def expression(self) -> Expr:
        """Parse one expression. Raises HclError."""
        self.deeper()
        start = self.peek()
        found = self._binary(0)
        if self.peek().kind == "?":
            self.read()
            yes = self.expression()
            self.expect(":", "between the two results of ?", "as in CONDITION ? YES : NO")
            found = syntax.ConditionalExpr(found, yes, self.expression(), self.since(start))
        self.shallower()
        return found

    def _binary(self, binding: int) -> Expr:
        start = self.peek()
        left = self._operand()
        while (power := _BINDING.get(self.peek().kind, 0)) > binding:
            operator = self.read().kind
            left = syntax.BinaryExpr(operator, left, self._binary(power), self.since(start))
        return left

    def _operand(self) -> Expr:
        return self.traversals(self._term())

    def _term(self) -> Expr:  # noqa: RET503 (`fail` does not return)
        token = self.peek()
        match token.kind:
            case "(":
                self.read()
                self.push_newlines(False)
                inner = self.expression()
                self.expect(")", "after the expression in parentheses")
                self.pop_newlines()
                return syntax.WrappedExpr(inner, self.since(token))
            case tokens.NUMBER:
                return syntax.LiteralExpr(self._number(self.read()), self.span(token))
            case tokens.IDENT:
                return self._named()
            case tokens.OPEN_QUOTE | tokens.OPEN_HEREDOC:
                return self.template()
            case "-" | "!":
                self.read()
                self.deeper()
                operand = self._operand()
                self.shallower()
                return syntax.UnaryExpr(token.kind, operand, self.since(token))
            case "[":
                return self._tuple()
            case "{":
                return self._object()
        self.fail(f"expected an expression, but found {self.shown(token)}")

    def template(self) -> Expr:
        """Parse a string or heredoc, with which `templates.py` completes this parser."""
        raise NotImplementedError

    def _number(self, token: HclToken) -> values.HclValue:
        try:
            return values.number(numbers.parse(token.text))
        except numbers.NumberError as error:
            raise HclError(str(error), at=self.span(token)) from None

    def _named(self) -> Expr:
        token = self.read()
        if self.peek().kind in ("(", "::"):
            return self._call(token)
        if token.text in ("true", "false"):
            return syntax.LiteralExpr(values.boolean(token.text == "true"), self.span(token))
        if token.text == "null":
            return syntax.LiteralExpr(values.null(), self.span(token))
        return syntax.VariableExpr(token.text, self.span(token))

    def _call(self, name: HclToken) -> Expr:
        called = name.text
        while self.peek().kind == "::":
            self.read()
            called += "::" + self.expect(tokens.IDENT, "after ::").text
        self.expect("(", "after the name of a function")
        self.push_newlines(False)
        arguments: list[Expr] = []
        expand = False
        while self.peek().kind != ")":
            arguments.append(self.expression())
            if self.peek().kind == "...":
                self.read()
                expand = True
                break
            if self.peek().kind != ",":
                break
            self.read()
        self.expect(")", f"at the end of the arguments of {called}", "commas separate arguments")
        self.pop_newlines()
        return syntax.CallExpr(called, tuple(arguments), expand, self.since(name))

    def traversals(self, source: Expr) -> Expr:
        """The attributes and elements that follow a value."""
        start = source.span
        steps: list[AttributeStep | IndexStep] = []
        while self.peek().kind in (".", "["):
            opening = self.read()
            star = self.peek().kind == "*"
            if star:
                source = self._splat(_traversal(source, steps, self.since(start)), opening)
                steps = []
            elif opening.kind == "[":
                self.push_newlines(False)
                key = self.expression()
                self.expect("]", "after an index")
                self.pop_newlines()
                steps.append(IndexStep(key, self.since(opening)))
            else:
                steps.append(self._attribute(opening))
        return _traversal(source, steps, self.since(start))

    def _attribute(self, dot: HclToken) -> AttributeStep | IndexStep:
        token = self.read()
        if token.kind == tokens.IDENT:
            return AttributeStep(token.text, self.since(dot))
        if token.kind != tokens.NUMBER:
            self.fail(f"expected the name of an attribute after a dot, but found {self.shown(token)}", token=token)
        if "." in token.text:
            first, _, second = token.text.partition(".")
            self.fail("two indexes after dots cannot be told from a number", f"write [{first}][{second}]", token)
        literal = syntax.LiteralExpr(self._number(token), self.span(token))
        return IndexStep(literal, self.since(dot))

    def _splat(self, source: Expr, opening: HclToken) -> Expr:
        star = self.read()
        # A name that no variable can have.
        item = f"*{star.start}"
        each: Expr = syntax.VariableExpr(item, self.span(star))
        if opening.kind == "[":
            self.expect("]", "after [*")
            self.deeper()
            each = self.traversals(each)
            self.shallower()
        else:
            steps: list[AttributeStep | IndexStep] = []
            while self.peek().kind == ".":
                dot = self.read()
                if self.peek().kind == "*":
                    self.fail("a splat .* cannot be inside of another one", "write [*] for both")
                steps.append(self._attribute(dot))
            each = _traversal(each, steps, self.since(star))
        return syntax.SplatExpr(source, item, each, self.since(source.span))

    def _tuple(self) -> Expr:
        opening = self.read()
        self.push_newlines(False)
        if self._is_word("for"):
            return self._for(opening, "]")
        items: list[Expr] = []
        while self.peek().kind != "]":
            items.append(self.expression())
            if self.peek().kind != ",":
                break
            self.read()
        self.expect("]", "at the end of a list", "commas separate the items of a list")
        self.pop_newlines()
        return syntax.TupleExpr(tuple(items), self.since(opening))

    def _object(self) -> Expr:
        opening = self.read()
        self.push_newlines(False)
        if self._is_word("for"):
            return self._for(opening, "}")
        self.pop_newlines()
        self.push_newlines(True)
        items: list[syntax.ObjectItem] = []
        while True:
            self._skip_newlines()
            if self.peek().kind == "}":
                break
            key = self.expression()
            if self.peek().kind not in ("=", ":"):
                hint = "a key with dots or spaces is in quotes"
                self.fail(f"expected '=' after the key of an object, but found {self.shown(self.peek())}", hint)
            self.read()
            items.append(syntax.ObjectItem(key, self.expression()))
            if self.peek().kind not in (",", tokens.NEWLINE):
                break
            self.read()
        self.expect("}", "at the end of an object", "commas or line breaks separate the attributes of an object")
        self.pop_newlines()
        return syntax.ObjectExpr(tuple(items), self.since(opening))

    def _skip_newlines(self) -> None:
        while self.peek().kind == tokens.NEWLINE:
            self.read()

    def _is_word(self, word: str) -> bool:
        return self.peek().kind == tokens.IDENT and self.peek().text == word

    def _for(self, opening: HclToken, closing: str) -> Expr:
        self.read()
        key_name, value_name, collection = self.for_header()
        self.expect(":", "after the collection of 'for'", "as in [for NAME in LIST : EXPRESSION]")
        key: Expr | None = None
        value = self.expression()
        if self.peek().kind == "=>":
            arrow = self.read()
            if closing == "]":
                self.fail("a 'for' that makes a list has no keys", "write {for …} for an object", arrow)
            key, value = value, self.expression()
        elif closing == "}":
            self.fail("a 'for' that makes an object needs keys", "as in {for NAME in LIST : KEY => VALUE}")
        group = self.peek().kind == "..."
        if group:
            dots = self.read()
            if closing == "]":
                self.fail("... groups the values of an object by key; a list has no keys", token=dots)
        condition = None
        if self._is_word("if"):
            self.read()
            condition = self.expression()
        self.expect(closing, "at the end of 'for'")
        self.pop_newlines()
        return syntax.ForExpr(
            key_name=key_name,
            value_name=value_name,
            collection=collection,
            key=key,
            value=value,
            condition=condition,
            group=group,
            span=self.since(opening),
        )

    def for_header(self) -> tuple[str, str, Expr]:
        """`KEY, VALUE in COLLECTION`, after the word `for`; the key is empty if there is only one name."""
        key_name, value_name = "", self.expect(tokens.IDENT, "after 'for'").text
        if self.peek().kind == ",":
            self.read()
            key_name, value_name = value_name, self.expect(tokens.IDENT, "after the comma of 'for'").text
        if not self._is_word("in"):
            self.fail(f"expected 'in' after the names of 'for', but found {self.shown(self.peek())}")
        self.read()
        return key_name, value_name, self.expression()


def _traversal(source: Expr, steps: list[AttributeStep | IndexStep], span: Span) -> Expr:
    return syntax.TraversalExpr(source, tuple(steps), span) if steps else source
