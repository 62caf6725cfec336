"""Splits a Go template into tokens, by the rules of text/template/parse (lex.go)."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from polyarch.render.templates.values import parse_error

Kind = Literal["text", "close", "space", "declare", "string", "character", "number", "variable", "field", "dot", "word"]

_SPACE = " \t\r\n"
# What may follow a word, a field or a variable.
_END = r"(?=[ \t\r\n.,|:()]|\}\}|\Z)"
_CLOSE = re.compile(r"(?:[ \t\r\n]+(-))?\}\}")
# A comment allows no space before }}, and before -}} exactly one.
_COMMENT_CLOSE = re.compile(r"(?:[ \t\r\n](-))?\}\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_NUMBER = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]*)?)i?(?![\w+-])"
)
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+?(?=[ \t\r\n]-\}}\}}|[^ \t\r\n]|\Z))|(?P<string>"(?:\\[^\n]|[^"\\\n])*"|`[^`]*`)"""
    rf"""|(?P<character>'(?:\\[^\n]|[^'\\\n])*')|(?P<declare>:=|=)|(?P<number>{_NUMBER})|(?P<variable>\$\w*{_END})"""
    rf"""|(?P<field>\.[^\W\d]\w*{_END})|(?P<dot>\.{_END})|(?P<word>\w+{_END})"""
)


class Token(NamedTuple):
    """A piece of a template. `kind` is that of `Kind`, or a single character of punctuation, equal to `text`."""

    kind: str
    text: str


def tokens(source: str, *, escapes: bool = False) -> Iterator[Token]:
    """The tokens of a template: text, and the tokens of each action followed by a `close`. Raises UsageError.

    With `escapes`, `\\t` and `\\n` in the text outside actions are a tab and a newline.
    """
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        text = source[position : None if start < 0 else start]
        if escapes:
            text = text.replace("\\t", "\t").replace("\\n", "\n")
        text = text.lstrip(_SPACE) if trim else text
        if start < 0:
            yield Token("text", text)
            return
        position = start + 2
        # A trim marker is a minus and a space; without the space it is the sign of a number.
        if source[position : position + 1] == "-" and source[position + 1 : position + 2] in (*_SPACE, ""):
            text = text.rstrip(_SPACE)
            position = min(position + 2, len(source))
        yield Token("text", text)
        if source.startswith("/*", position):
            position, trim = _skip_comment(source, position)
            continue
        while True:
            close = _CLOSE.match(source, position)
            if close is not None:
                yield Token("close", "}}")
                position, trim = close.end(), close[1] is not None
                break
            token, position = _token(source, position)
            yield token


def _skip_comment(source: str, position: int) -> tuple[int, bool]:
    """The position behind the action of a comment, and whether it trims the text that follows."""
    comment = _COMMENT.match(source, position)
    if comment is None:
        raise parse_error("a comment is not closed")
    close = _COMMENT_CLOSE.match(source, comment.end())
    if close is None:
        raise parse_error("a comment must fill its action, as in {{/* comment */}} or {{- /* comment */ -}}")
    return close.end(), close[1] is not None


def _token(source: str, position: int) -> tuple[Token, int]:
    if position >= len(source):
        raise parse_error("{{ is not closed")
    match = _TOKEN.match(source, position)
    if match is not None and match.lastgroup is not None:
        return Token(match.lastgroup, match[0]), match.end()
    character = source[position]
    if character in "\"`'":
        raise parse_error(f"{source[position:]!r} has no closing quote")
    if (
        character in "$."
        or character.isalnum()
        or character == ":"
        or not (character.isascii() and character.isprintable())
    ):
        raise parse_error(f"cannot read {source[position : position + 20]!r}")
    return Token(character, character), position + 1
