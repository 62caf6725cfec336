"""Expanding words: variables, quotes and escapes, as in BuildKit's frontend/dockerfile/shell.

`expand` is pure. Variables come from `env`; those that are not in it are empty, and listed in `unmatched`.
"""

import re
from collections.abc import Mapping

import msgspec

from polyarch.dockerfile.source import DockerfileError

# The characters of Go's unicode.IsSpace. str.isspace also includes the separators \x1c to \x1f.
SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_SPECIAL = frozenset("@*#?-$!0")
_EXPANDED_NAME = r"\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})"
# No character that means anything, whatever the rules are.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@=,+-]+")
# Deeper than any real Dockerfile, and well within Python's recursion limit.
_DEEPEST = 50


class Expansion(msgspec.Struct, frozen=True):
    """The result of an expansion: one string, the same split into words at spaces, and the variables that were used."""

    text: str
    words: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


class WordRules(msgspec.Struct, frozen=True, kw_only=True):
    """How quotes, escapes and unset variables are treated. The defaults are those of an instruction's arguments.

    `quotes=False`: quotes are ordinary characters (heredocs). `keep_quotes`, `keep_escapes`: they have their effect,
    and stay in the result. `keep_unset`: an unset variable stays as written.
    """

    escape: str = "\\"
    quotes: bool = True
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False


def expand(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Return `text` with its variables expanded and its quotes and escapes removed.

    Raises DockerfileError, without a location, for an unclosed quote or brace, an unknown modifier, and an error that
    `${v:?message}` requests.
    """
    return expand_with(text, env, WordRules(escape=escape))


def split(text: str, env: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """Return the words that `text` expands to; spaces from variables also separate words."""
    return expand(text, env, escape).words


def expand_with(text: str, env: Mapping[str, str], rules: WordRules) -> Expansion:
    """Expand `text` by other rules than those of `expand`."""
    if _PLAIN.fullmatch(text):
        return Expansion(text, (text,))
    reader = _WordReader(text, env, rules)
    try:
        result, words = reader.until("", rules.keep_escapes)
    except DockerfileError as error:
        raise DockerfileError(f"failed to process {quoted(text)}: {error.reason}", error.hint) from error
    return Expansion(result, tuple(words), tuple(reader.matched), tuple(reader.unmatched))


def quoted(text: str) -> str:
    """Return `text` in double quotes, as Go's %q prints text of a Dockerfile."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


class _Words:
    """Collects words character by character; quoted words keep their spaces."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.word: list[str] = []

    def raw(self, text: str) -> None:
        if text:
            self.word.append(text)

    def add(self, text: str) -> None:
        for character in text:
            if character in SPACE:
                self.end()
            else:
                self.word.append(character)

    def end(self) -> list[str]:
        if self.word:
            self.done.append("".join(self.word))
            self.word = []
        return self.done


class _WordReader:
    """A reading position in one text."""

    def __init__(self, text: str, env: Mapping[str, str], rules: WordRules) -> None:
        self.text = text
        self.env = env
        self.rules = rules
        self.at = 0
        self.depth = 0
        self.matched: dict[str, None] = {}
        self.unmatched: dict[str, None] = {}

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        character = self.text[self.at : self.at + 1]
        self.at += 1 if character else 0
        return character

    def value(self, name: str) -> str | None:
        setting = self.env.get(name)
        (self.unmatched if setting is None else self.matched)[name] = None
        return setting

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Return the text before `stop`, as a string and as words, and consume `stop`.

        An empty `stop` means the end of the text.
        """
        self.depth += 1
        if self.depth > _DEEPEST:
            raise DockerfileError("variables are nested too deeply")
        out: list[str] = []
        words = _Words()
        while character := self.peek():
            if character == stop:
                self.next()
                break
            if character == "$":
                piece = self.dollar(keep_escapes)
                words.add(piece)
            elif character in "'\"" and self.rules.quotes:
                piece = self.single_quoted() if character == "'" else self.double_quoted(keep_escapes)
                words.raw(piece)
            elif character == "<" and self.text.startswith("<<", self.at):
                piece = self.heredoc_mark()
                words.raw(piece)
            elif self.next() == self.rules.escape:
                piece = (self.rules.escape if keep_escapes else "") + self.next()
                words.raw(piece)
            else:
                piece = character
                words.add(piece)
            out.append(piece)
        else:
            if stop:
                raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        self.depth -= 1
        return "".join(out), words.end()

    def heredoc_mark(self) -> str:
        """Return `<<` and the space after it, which does not separate it from the name of a heredoc."""
        start = self.at
        self.at += 2
        while self.peek() and self.peek() in "\t\r ":
            self.next()
        return self.text[start : self.at]

    def single_quoted(self) -> str:
        start = self.at
        end = self.text.find("'", start + 1)
        if end < 0:
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        self.at = end + 1
        return self.text[start : end + 1] if self.rules.keep_quotes else self.text[start + 1 : end]

    def double_quoted(self, keep_escapes: bool) -> str:
        mark = self.next() if self.rules.keep_quotes else self.next()[:0]
        out = [mark]
        escape = self.rules.escape
        while character := self.peek():
            if character == '"':
                self.next()
                out.append(mark)
                return "".join(out)
            if character == "$":
                out.append(self.dollar(keep_escapes))
                continue
            self.next()
            if character == escape:
                out.append(escape if keep_escapes else "")
                following = self.peek()
                if not following:
                    break
                # Before any other character, the escape character is literal.
                if following in ('"', "$", escape):
                    character = self.next()
            out.append(character)
        raise DockerfileError("unexpected end of statement while looking for matching double-quote")

    def name(self) -> str:
        start = self.at
        first = self.peek()
        if first.isdigit():
            while self.peek().isdigit():
                self.next()
        elif first and first in _SPECIAL:
            self.next()
        else:
            while (character := self.peek()) and (character.isalpha() or character.isdigit() or character == "_"):
                self.next()
        return self.text[start : self.at]

    def dollar(self, keep_escapes: bool) -> str:
        start = self.at
        self.next()
        if self.peek() != "{":
            name = self.name()
            if not name:
                return "$"
            value = self.value(name)
            return f"${name}" if value is None and self.rules.keep_unset else value or ""
        self.next()
        if not self.peek():
            raise DockerfileError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self.name()
        modifier = self.next()
        if modifier == "}":
            value = self.value(name)
            return f"${{{name}}}" if value is None and self.rules.keep_unset else value or ""
        if modifier == "/":
            return self.replaced(name)
        if not modifier:
            raise DockerfileError("syntax error: missing '}'")
        if modifier not in (":", "+", "-", "?", "#", "%"):
            raise DockerfileError(f"unsupported modifier ({modifier}) in substitution")
        empty_is_unset = modifier == ":"
        shown = modifier
        if empty_is_unset:
            modifier = self.next()
            shown += modifier
        word = self.braced("}", keep_escapes=modifier in ("#", "%"), missing="}")
        value = self.value(name)
        if value is None and self.rules.keep_unset:
            return self.text[start : self.at]
        return _modified(name, value, modifier, shown, word, empty_is_unset)

    def braced(self, stop: str, *, keep_escapes: bool, missing: str) -> str:
        try:
            return self.until(stop, keep_escapes)[0]
        except DockerfileError as error:
            if self.peek():
                raise
            where = " in ${}" if missing == "/" else ""
            raise DockerfileError(f"syntax error: missing '{missing}'{where}") from error

    def replaced(self, name: str) -> str:
        every = self.peek() == "/"
        if every:
            self.next()
        pattern = self.braced("/", keep_escapes=True, missing="/")
        replacement = self.braced("}", keep_escapes=True, missing="}")
        value = self.value(name)
        if value is None and self.rules.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        expression = _expression(pattern, greedy=True)
        text = value or ""
        if not every:
            match = expression.search(text)
            return text if match is None else text[: match.start()] + replacement + text[match.end() :]
        return _replace_all(expression, text, replacement)


def _modified(name: str, value: str | None, modifier: str, shown: str, word: str, empty_is_unset: bool) -> str:
    unset = value is None or (empty_is_unset and not value)
    match modifier:
        case "-":
            return word if unset else value or ""
        case "+":
            return "" if unset else word
        case "?":
            if unset:
                default = "is not allowed to be unset" if value is None else "is not allowed to be empty"
                raise DockerfileError(f"{name}: {word or default}")
            return value or ""
        case "#" | "%":
            greedy = word.startswith(modifier)
            expression = _expression(word[1:] if greedy else word, greedy=greedy, backwards=modifier == "%")
            if modifier == "#":
                prefix = expression.match(value or "")
                return (value or "")[prefix.end() :] if prefix else value or ""
            # The shortest match at the end is the shortest match at the beginning of the reversed text.
            reversed_value = (value or "")[::-1]
            prefix = expression.match(reversed_value)
            return (reversed_value[prefix.end() :] if prefix else reversed_value)[::-1]
    raise DockerfileError(f"unsupported modifier ({shown}) in substitution")


def _expression(pattern: str, *, greedy: bool, backwards: bool = False) -> re.Pattern[str]:
    """Return the regular expression of a pattern with `*` and `?`; brackets are ordinary characters."""
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            pieces.append(".*" if greedy else ".*?")
        elif character == "?":
            pieces.append(".")
        elif character == "\\":
            following = pattern[at : at + 1]
            # Before } and /, the escape belongs to the surrounding ${}, not to the pattern.
            if following and following in "}/":
                continue
            if not following or following not in "*?\\":
                raise DockerfileError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{following}'")
            at += 1
            pieces.append(re.escape(following))
        else:
            pieces.append(re.escape(character))
    return re.compile("".join(reversed(pieces) if backwards else pieces))


def _replace_all(expression: re.Pattern[str], text: str, replacement: str) -> str:
    """Replace as Go's ReplaceAllString does.

    `$0` in the replacement is the match, any other `$name` is empty, and an empty match directly after another match
    does not count.
    """
    out: list[str] = []
    last = 0
    for match in expression.finditer(text):
        if match.start() == match.end() == last and last:
            continue
        out.append(text[last : match.start()])
        out.append(re.sub(_EXPANDED_NAME, lambda name, whole=match[0]: _group(name, whole), replacement))  # type: ignore[misc]
        last = match.end()
    return "".join([*out, text[last:]])


def _group(name: re.Match[str], whole: str) -> str:
    if name[0] == "$$":
        return "$"
    return "" if (name[1] or name[2]).strip("0") else whole
