"""Files of variables: `.env`, `--env-file`, `env_file` and `label_file`.

A line is `K=V`, `K: V`, `export K=V` or a bare `K`, which takes its value from the surroundings. Text in single quotes
is literal, in double quotes it has escapes; both can have several lines. Variables are replaced except in single
quotes.
"""

import re
from collections.abc import Callable, Mapping

from polyarch.bake.hcl.source import SourceFile, Span
from polyarch.compose import interpolate
from polyarch.compose.interpolate import TemplateError, Unset
from polyarch.compose.places import ComposeError

_SPACES = "\t\v\f\r \x85\xa0"
_KEY = re.compile(r"[\w.\-\[\]\t\v\f\r \x85\xa0]*")
_ESCAPES = re.compile(r"""\\([abcfnrtv$"\\]|0\d{0,3})""", re.ASCII)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}

# Returns the value of a variable of the surroundings, None if it is not set.
Lookup = Callable[[str], str | None]


def parse(name: str, text: str, lookup: Lookup, known: Mapping[str, str], unset: Unset) -> dict[str, str]:
    """The variables of a file: `known`, and those of the file on top. `lookup` is asked before the variables that the
    file has set. Raises ComposeError.
    """
    reader = _EnvReader(name, text.removeprefix("\ufeff"), lookup, dict(known), unset)
    reader.read()
    return reader.found


class _Variables(Mapping[str, str]):
    """The surroundings first, then the variables of the file."""

    def __init__(self, lookup: Lookup, found: Mapping[str, str]) -> None:
        self._lookup = lookup
        self._found = found

    def __getitem__(self, name: str) -> str:
        value = self._lookup(name)
        return self._found[name] if value is None else value

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class _EnvReader:
    def __init__(self, name: str, text: str, lookup: Lookup, found: dict[str, str], unset: Unset) -> None:
        self._source = SourceFile(name, text)
        self._text = text
        self._at = 0
        self._lookup = lookup
        self._unset = unset
        self.found = found
        self._variables = _Variables(lookup, found)

    def read(self) -> None:
        while self._next_statement():
            self._statement()

    def _error(self, reason: str, at: int, hint: str | None = None) -> ComposeError:
        return ComposeError(reason, hint, at=Span(self._source, at, at + 1))

    def _next_statement(self) -> bool:
        """Skip empty lines and comments. Returns whether there is more."""
        while self._at < len(self._text):
            if self._text[self._at].isspace():
                self._at += 1
            elif self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _statement(self) -> None:
        text = self._text
        if re.match(r"export[\t\v\f\r ]", text[self._at : self._at + 7]):
            self._at += 6
            self._skip_spaces()
        start = self._at
        match = _KEY.match(text, start)
        end = match.end() if match else start
        key = text[start:end].strip()
        ending = text[end : end + 1]
        if ending not in ("", "\n", "=", ":"):
            raise self._error(f"{ending!r} cannot be in the name of a variable", end, "a line is NAME=VALUE")
        if " " in key:
            raise self._error(f"the name {key!r} contains a space", start, "a line is NAME=VALUE")
        self._at = min(end + 1, len(text))
        if ending in ("", "\n"):
            value = self._lookup(key)
            if value is not None:
                self.found[key] = value
            return
        self._skip_spaces()
        self.found[key] = self._value()

    def _skip_spaces(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACES:
            self._at += 1

    def _value(self) -> str:
        start = self._at
        quote = self._text[start : start + 1]
        if quote in ("'", '"') and quote:
            return self._quoted(quote)
        end = self._text.find("\n", start)
        end = len(self._text) if end < 0 else end
        self._at = end + 1
        return self._expanded(self._text[start:end].partition(" #")[0].rstrip(), start)

    def _quoted(self, quote: str) -> str:
        start = self._at
        parts: list[str] = []
        at = start + 1
        while at < len(self._text):
            letter = self._text[at]
            if letter == quote:
                self._at = at + 1
                value = "".join(parts)
                return value if quote == "'" else self._expanded(_ESCAPES.sub(_escaped, value), start)
            if letter == "\\" and at + 1 < len(self._text):
                following = self._text[at + 1]
                parts.append(following if following == quote else letter + following)
                at += 2
                continue
            parts.append(letter)
            at += 1
        raise self._error("this quote is not closed", start)

    def _expanded(self, text: str, at: int) -> str:
        try:
            return interpolate.substituted(text, self._variables, self._unset)
        except TemplateError as error:
            raise self._error(error.reason, at, error.hint) from None


def _escaped(match: re.Match[str]) -> str:
    word = match[1]
    if word == "$":
        return "$$"
    if word[0] == "0" and len(word) == 4:
        return chr(int(word[1:], 8)) if all(one in "01234567" for one in word[1:]) else match[0]
    return _LETTERS.get(word, match[0])
