"""Text → tokens: the lexical grammar of HCL's native syntax (hclsyntax/spec.md), with its templates and heredocs.

Templates are cut into tokens together with what surrounds them, because a quote inside `${…}` begins another string.
The tokens of a string's text are as small as those of HashiCorp's scanner: `~` trims one of them.
"""

import re

from polyarch.bake.hcl.source import HclError, SourceFile, Span

# Kinds of tokens: an operator or bracket is its own kind.
IDENT, NUMBER, NEWLINE, END = "name", "number", "newline", "end"
OPEN_QUOTE, CLOSE_QUOTE, OPEN_HEREDOC, CLOSE_HEREDOC = "open quote", "close quote", "open heredoc", "close heredoc"
TEXT, INTERPOLATION, DIRECTIVE, SEQUENCE_END = "text", "${", "%{", "sequence end"

MAX_DEPTH = 100
_SPACE = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER = re.compile(r"[0-9](?:(?:[0-9.]|[eE][+-]?[0-9])*(?:[0-9]|[eE][+-]?[0-9]))?")
_WORD = re.compile(r"[^\W\d](?:[\w-])*")
_OPERATOR = re.compile(r"==|!=|>=|<=|&&|\|\||::|\.\.\.|=>|~\}|[\[\](){}.,*/%+\-=<>!?:]")
_HEREDOC = re.compile(r"<<(-?)([^\W\d][\w-]*)\r?\n")
_QUOTED = re.compile(r'(?:[^"\\$%\r\n]|\\[^\r\n])+')
_LINE = re.compile(r"[^$%\r\n]*")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_WRONG = {
    "'": "strings are in double quotes",
    "“": "strings are in straight double quotes",
    "”": "strings are in straight double quotes",
    ";": "a new line ends an attribute or block, and a comma separates items of lists and objects",
    "`": "a text of several lines is a heredoc, as in <<EOT",
    "&": "did you mean &&?",
    "|": "did you mean ||?",
}


class HclToken:
    """One token. `text` is what it says: for TEXT with its escapes resolved."""

    __slots__ = ("end", "kind", "start", "text")

    def __init__(self, kind: str, text: str, start: int, end: int) -> None:
        self.kind = kind
        self.text = text
        self.start = start
        self.end = end


class Lexer:
    """Cuts one file, or one template, into tokens."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._text = file.text
        self._at = 0
        self._tokens: list[HclToken] = []
        self._depth = 0

    def config(self) -> list[HclToken]:
        """The tokens of a file. Raises HclError."""
        if self._text.startswith("\ufeff"):
            self._at = 1
        self._main(nested=False)
        self._add(END, self._at, self._at)
        return self._tokens

    def template(self) -> list[HclToken]:
        """The tokens of a template without quotes around it, as JSON has them. Raises HclError."""
        while self._at < len(self._text):
            self._template_line()
        self._add(END, self._at, self._at)
        return self._tokens

    def _add(self, kind: str, start: int, end: int, text: str | None = None) -> None:
        self._tokens.append(HclToken(kind, self._text[start:end] if text is None else text, start, end))
        self._at = end

    def _error(self, reason: str, hint: str | None = None, *, start: int | None = None) -> HclError:
        begin = self._at if start is None else start
        return HclError(reason, hint, at=Span(self._file, begin, max(self._at, begin + 1)))

    def _main(self, *, nested: bool) -> None:
        """Tokens outside of strings, to the end of the file, or to the end of `${…}` if nested."""
        text, braces, start = self._text, 0, self._at
        self._deeper()
        while self._at < len(text):
            at, letter = self._at, text[self._at]
            if match := _SPACE.match(text, at):
                self._at = match.end()
            elif letter == "\n" or text.startswith("\r\n", at):
                self._add(NEWLINE, at, at + (1 if letter == "\n" else 2))
            elif letter in "#/" and (match := _COMMENT.match(text, at)):
                self._at = match.end()
            elif match := _NUMBER.match(text, at):
                self._add(NUMBER, at, match.end())
            elif match := _WORD.match(text, at):
                self._word(match.end())
            elif letter == '"':
                self._quoted()
            elif match := _HEREDOC.match(text, at):
                self._heredoc(match)
            elif match := _OPERATOR.match(text, at):
                word = match[0]
                braces += (word == "{") - (word in ("}", "~}"))
                if word in ("}", "~}") and braces < 0:
                    if not nested:
                        raise self._error(f"there is no opening brace for this {word}")
                    self._add(SEQUENCE_END, at, match.end())
                    self._depth -= 1
                    return
                self._add(word, at, match.end())
            else:
                raise self._error(f"unexpected character {letter!r}", _WRONG.get(letter))
        if nested:
            raise self._error(
                "${ or %{ is not closed", "a literal ${ is written $${, and a literal %{ as %%{", start=start
            )
        self._depth -= 1

    def _word(self, end: int) -> None:
        word = self._text[self._at : end]
        # \w has digits and letters that names must not have.
        if not word.isascii() and not word.replace("-", "_").isidentifier():
            raise self._error(f"{word!r} is not a name")
        self._add(IDENT, self._at, end)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"templates are nested more than {MAX_DEPTH} deep")

    def _quoted(self) -> None:
        text, start = self._text, self._at
        self._add(OPEN_QUOTE, start, start + 1)
        while self._at < len(text):
            at, letter = self._at, text[self._at]
            if letter == '"':
                self._add(CLOSE_QUOTE, at, at + 1)
                return
            if letter in "$%":
                self._dollar()
            elif match := _QUOTED.match(text, at):
                self._add(TEXT, at, match.end(), self._unescaped(at, match.end()))
            else:
                break
        raise self._error(
            "this string is not closed on its line", "a text of several lines is a heredoc, as in <<EOT", start=start
        )

    def _unescaped(self, start: int, end: int) -> str:
        raw = self._text[start:end]
        if "\\" not in raw:
            return raw

        def resolved(match: re.Match[str]) -> str:
            escape = match[1]
            at = start + match.start()
            if escape[0] in "uU":
                digits = escape[1:]
                code = int(digits or "0", 16)
                if len(digits) != (4 if escape[0] == "u" else 8) or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
                    raise self._error(f"\\{escape} is not a character", "as in \\u00e9 or \\U0001f680", start=at)
                return chr(code)
            if escape not in _SIMPLE_ESCAPES:
                raise self._error(f"unknown escape \\{escape}", 'known escapes: \\n \\r \\t \\" \\\\ \\uNNNN', start=at)
            return _SIMPLE_ESCAPES[escape]

        return _ESCAPE.sub(resolved, raw)

    def _dollar(self) -> None:
        """The text from a `$` or `%`: `${…}`, `%{…}`, or literal."""
        text, at = self._text, self._at
        letter = text[at]
        if text.startswith("{", at + 1):
            kind = INTERPOLATION if letter == "$" else DIRECTIVE
            self._add(kind, at, at + (3 if text.startswith("~", at + 2) else 2))
            self._main(nested=True)
        elif text.startswith(letter + "{", at + 1):
            self._add(TEXT, at, at + 3, letter + "{")
        else:
            self._add(TEXT, at, at + 1)

    def _heredoc(self, match: re.Match[str]) -> None:
        marker, text, start = match[2], self._text, self._at
        self._add(OPEN_HEREDOC, start, match.end(), match[1])
        while self._at < len(text):
            at = self._at
            end = text.find("\n", at)
            if end >= 0 and text[at:end].strip() == marker:
                close = end - 1 if text[end - 1] == "\r" and end - 1 >= at else end
                self._add(CLOSE_HEREDOC, at, close)
                self._add(NEWLINE, close, end + 1)
                return
            self._template_line()
        self._at = match.end() - 1
        raise self._error(f"this heredoc is not closed: no line has {marker} alone", start=start)

    def _template_line(self) -> None:
        """The text to the end of a line, with the `${…}` in it."""
        text = self._text
        while self._at < len(text):
            at = self._at
            match = _LINE.match(text, at)
            assert match is not None
            end = match.end()
            if text.startswith(("\n", "\r\n"), end):
                self._add(TEXT, at, end + (1 if text[end] == "\n" else 2))
                return
            if text.startswith("\r", end):
                end += 1
            if end > at:
                self._add(TEXT, at, end)
            elif text[at] in "$%":
                self._dollar()
