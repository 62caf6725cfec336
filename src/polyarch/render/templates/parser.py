"""Tokens → nodes, by the grammar of Go's text/template/parse."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from polyarch.render.templates import nodes
from polyarch.render.templates.lexer import Token, tokens
from polyarch.render.templates.values import parse_error, raw, text_of

_KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "true", "false", "with")
)
_OPERANDS = frozenset(("string", "character", "number", "variable", "field", "dot", "word", "("))
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))", re.DOTALL
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_Control = Literal["if", "with", "range"]
_CONTROLS: dict[str, type[nodes.If] | type[nodes.With] | type[nodes.Range]] = {
    "if": nodes.If,
    "with": nodes.With,
    "range": nodes.Range,
}


def parse(
    source: str, functions: Collection[str], *, escapes: bool = False
) -> tuple[nodes.Block, Mapping[str, nodes.Block]]:
    """The nodes of a template, and those of the templates that it defines. Raises UsageError.

    `escapes` is that of `lexer.tokens`.
    """
    parser = _Parser(tokens(source, escapes=escapes), functions)
    body, _ = parser.block(())
    return body, parser.defined


class _Parser:
    """Reads tokens from left to right. A method leaves the position behind what it returns."""

    def __init__(self, found: Iterable[Token], functions: Collection[str]) -> None:
        self.defined: dict[str, nodes.Block] = {}
        self._tokens = list(found)
        self._at = 0
        self._functions = functions
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0

    def block(self, ends: Collection[str]) -> tuple[nodes.Block, str]:
        """The nodes up to an action that is one of `ends`, and which; its own word is read, the rest of it not."""
        found: list[nodes.Node] = []
        self._depth += 1
        while self._at < len(self._tokens):
            token = self._next()
            if token.kind == "text":
                if token.text:
                    found.append(nodes.Text(token.text))
                continue
            self._at -= 1
            word = self._keyword()
            if word in ends:
                self._depth -= 1
                return tuple(found), word
            found += self._action(word)
        if ends:
            raise parse_error("an {{if}}, {{with}}, {{range}}, {{define}} or {{block}} has no {{end}}")
        return tuple(found), ""

    def _action(self, word: str) -> list[nodes.Node]:
        match word:
            case "if" | "with" | "range":
                return [self._control(word)]
            case "template":
                return [self._call()]
            case "block":
                return [self._block_action()]
            case "define":
                self._define()
                return []
            case "break" | "continue":
                if not self._ranges:
                    raise parse_error(f"{{{{{word}}}}} outside {{{{range}}}}")
                self._close(word)
                return [nodes.Break() if word == "break" else nodes.Continue()]
            case "else" | "end":
                raise parse_error(f"unexpected {{{{{word}}}}}")
        return [nodes.Action(self._pipe("command", "close"))]

    def _control(self, word: _Control) -> nodes.Node:
        scope = len(self._variables)
        pipe = self._pipe(word, "close")
        self._ranges += word == "range"
        body, end = self.block(("else", "end"))
        self._ranges -= word == "range"
        otherwise: nodes.Block = ()
        if end == "else":
            # {{else if}} continues an if, {{else with}} a with; the {{end}} of the inner one serves both.
            if word in ("if", "with") and self._peek_word() == word:
                self._keyword()
                otherwise = (self._control(word),)
                del self._variables[scope:]
                return _CONTROLS[word](pipe, body, otherwise)
            self._close("else")
            otherwise, _ = self.block(("end",))
        self._close("end")
        del self._variables[scope:]
        return _CONTROLS[word](pipe, body, otherwise)

    def _define(self) -> None:
        if self._depth > 1:
            raise parse_error("{{define}} must not stand inside another action")
        name = self._template_name()
        self._close("define")
        self._body_of(name)

    def _block_action(self) -> nodes.Node:
        name = self._template_name()
        pipe = self._pipe("block", "close")
        self._body_of(name)
        return nodes.Call(name, pipe)

    def _body_of(self, name: str) -> None:
        # The body sees its own `$` only, and no {{range}} around it.
        outer, self._variables = self._variables, ["$"]
        ranges, self._ranges = self._ranges, 0
        body, _ = self.block(("end",))
        self._close("end")
        if all(isinstance(node, nodes.Text) and not node.text.strip() for node in body):
            self.defined.setdefault(name, body)
        elif self.defined.get(name):
            raise parse_error(f"template {name!r} is defined twice")
        else:
            self.defined[name] = body
        self._variables, self._ranges = outer, ranges

    def _call(self) -> nodes.Node:
        name = self._template_name()
        self._skip_space()
        if self._peek().kind == "close":
            self._next()
            return nodes.Call(name, None)
        return nodes.Call(name, self._pipe("template", "close"))

    def _template_name(self) -> str:
        self._skip_space()
        token = self._next()
        if token.kind != "string":
            raise parse_error(f"the name of a template is a string, not {token.text!r}")
        return _unquoted(token.text)

    def _pipe(self, context: str, end: str) -> nodes.Pipe:
        """A pipeline up to its end, which is read."""
        variables, assigns = self._declared(context)
        commands: list[nodes.PipeCommand] = []
        while True:
            self._skip_space()
            token = self._peek()
            if token.kind == end:
                self._next()
                break
            if token.kind == "close":
                raise parse_error("a parenthesis is not closed")
            if token.kind not in _OPERANDS or (token.kind == "word" and self._is_keyword(token.text)):
                raise parse_error(f"unexpected {token.text!r} in {context}")
            commands.append(self._command())
        if not commands:
            raise parse_error(f"an empty {{{{}}}} or pipeline in {context}")
        for command in commands[1:]:
            if isinstance(command.head, nodes.Dot | nodes.Nil | nodes.Literal | nodes.Number):
                raise parse_error("only a function can follow a |, a constant or dot is not a function")
        return nodes.Pipe(variables, assigns, tuple(commands))

    def _declared(self, context: str) -> tuple[tuple[str, ...], bool]:
        """The variables that `$i, $x :=` declares or `$x =` sets; none if the pipeline begins otherwise."""
        start, names = self._at, []
        while True:
            self._skip_space()
            name = self._peek()
            if name.kind != "variable":
                break
            self._next()
            self._skip_space()
            sign = self._peek()
            if sign.kind == "declare":
                self._next()
                names.append(name.text)
                # As in Go, a variable that `=` sets without a declaration is found out when it is set.
                self._variables += names
                return tuple(names), sign.text == "="
            if sign.kind != ",":
                break
            self._next()
            names.append(name.text)
            if context != "range" or len(names) > 1:
                raise parse_error(f"too many variables are declared in {context}")
        if names:
            raise parse_error("{{range}} takes one or two variables, as in {{range $i, $x := .List}}")
        self._at = start
        return (), False

    def _command(self) -> nodes.PipeCommand:
        operands: list[nodes.Expression] = []
        while True:
            self._skip_space()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("close", ")"):
                self._at -= 1
            elif token.kind != "|":
                raise parse_error(f"unexpected {token.text!r} after an operand")
            break
        if not operands:
            raise parse_error("an empty command")
        return nodes.PipeCommand(operands[0], tuple(operands[1:]))

    def _operand(self) -> nodes.Expression | None:
        term = self._term()
        if term is None:
            return None
        names = []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        if not names:
            return term
        match term:
            case nodes.Field(first):
                return nodes.Field((*first, *names))
            case nodes.Variable(name, first):
                return nodes.Variable(name, (*first, *names))
            case nodes.Literal() | nodes.Number() | nodes.Nil() | nodes.Dot():
                raise parse_error(f"unexpected .{names[0]} after a constant or dot")
        return nodes.Chain(term, tuple(names))

    def _term(self) -> nodes.Expression | None:
        token = self._next()
        match token.kind:
            case "word":
                if token.text in ("true", "false"):
                    return nodes.Literal(token.text == "true")
                if token.text == "nil":
                    return nodes.Nil()
                if not self._is_keyword(token.text):
                    return self._function(token.text)
            case "dot":
                return nodes.Dot()
            case "field":
                return nodes.Field((token.text[1:],))
            case "variable":
                if token.text not in self._variables:
                    raise parse_error(f"variable {token.text} is not set")
                return nodes.Variable(token.text, ())
            case "string":
                return nodes.Literal(_unquoted(token.text))
            case "character":
                return nodes.Number(_character(token.text))
            case "number":
                return nodes.Number(_number(token.text))
            case "(":
                return self._pipe("parentheses", ")")
        self._at -= 1
        return None

    def _function(self, name: str) -> nodes.FunctionName:
        if name not in self._functions:
            known = ", ".join(sorted(self._functions))
            raise parse_error(f"function {name!r} is not known", f"known are {known}")
        return nodes.FunctionName(name)

    def _keyword(self) -> str:
        """The word of the action that begins here, which is read; empty if it begins otherwise."""
        word = self._peek_word()
        if word:
            self._skip_space()
            self._next()
        return word

    def _peek_word(self) -> str:
        at = self._at + (self._tokens[self._at].kind == "space")
        token = self._tokens[at] if at < len(self._tokens) else Token("close", "")
        return token.text if token.kind == "word" and self._is_keyword(token.text) else ""

    def _is_keyword(self, word: str) -> bool:
        return word in _KEYWORDS - {"true", "false", "nil"}

    def _close(self, word: str) -> None:
        self._skip_space()
        token = self._next()
        if token.kind != "close":
            raise parse_error(f"unexpected {token.text!r} in {{{{{word}}}}}")

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip_space(self) -> None:
        self._at += self._peek().kind == "space"


def _unquoted(token: str) -> str:
    """The string that a Go string literal stands for."""
    if token[0] == "`":
        return token[1:-1].replace("\r", "")
    return text_of(_unescaped(token[1:-1], '"'))


def _unescaped(text: str, quote: str) -> bytes:
    content, position = b"", 0
    for match in _ESCAPE.finditer(text):
        content += raw(text[position : match.start()])
        position = match.end()
        named, byte, short, long, octal, _ = match.groups()
        code = int(short or long or "0", 16)
        if named is not None and (named not in "'\"" or named == quote):
            content += _ESCAPES.get(named, named).encode()
        elif byte is not None or octal is not None:
            content += bytes([int(byte, 16) if byte is not None else int(octal, 8)])
        elif (short or long) and code < 0x110000 and not 0xD800 <= code < 0xE000:
            content += chr(code).encode()
        else:
            raise parse_error(f"{match[0]!r} is not an escape sequence of Go")
    return content + raw(text[position:])


def _character(token: str) -> int:
    """The number of a character constant, as in 'a'."""
    body = token[1:-1]
    if re.fullmatch(r"\\(?:x..|[0-3]..)", body):
        return _unescaped(body, "'")[0]
    character = text_of(_unescaped(body, "'"))
    if len(character) != 1:
        raise parse_error(f"{token} is not one character")
    return ord(character)


def _number(token: str) -> int | float:
    """A numeric constant as Go reads it."""
    digits = token.lstrip("+-")
    try:
        if token.endswith("i"):
            raise parse_error(f"complex numbers such as {token} are not supported")
        if re.fullmatch(r"0[0-7_]+", digits):
            value: int | float = int(token, 8)
        elif re.fullmatch(r"0[xX].*[.pP].*", digits):
            value = float.fromhex(token.replace("_", ""))
        elif re.match(r"0[xXoObB]", digits) or not re.search(r"[.eE]", digits):
            value = int(token, 0)
        else:
            value = float(token)
    except (ValueError, OverflowError):
        raise parse_error(f"{token!r} is not a number") from None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise parse_error(f"{token} does not fit into 64 bits")
    return value
