"""Splitting a logical line: keyword, flags, arguments in their forms, heredocs (frontend/dockerfile/parser)."""

import re
from collections.abc import Sequence
from typing import TypedDict

import msgspec

from polyarch.dockerfile import words
from polyarch.dockerfile.instructions.base import Heredoc
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.words import SPACE

_BLANK = re.compile(r"[\t\v\f\r ]+")
# The shell's arithmetic expansion: up to the first `))`, without quotes in between.
_ARITHMETIC = r"\$\(\((?:(?!\)\)|['\"]).)*\)\)"
_HEREDOC = r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)"
_LITERAL_NAME = words.WordRules(keep_unset=True)
_QUOTED_NAME = words.WordRules(keep_unset=True, keep_quotes=True)
_LINE = words.WordRules(keep_unset=True, keep_quotes=True, keep_escapes=True)

JSON_OR_LINE = frozenset(("cmd", "entrypoint", "run", "shell"))
JSON_OR_LIST = frozenset(("add", "copy", "volume"))
LIST = frozenset(("expose", "from"))
LINE = frozenset(("maintainer", "stopsignal", "user", "workdir"))
PAIRS = frozenset(("env", "label"))
KEYWORDS = JSON_OR_LINE | JSON_OR_LIST | LIST | LINE | PAIRS | {"arg", "healthcheck", "onbuild"}
WITH_HEREDOCS = frozenset(("add", "copy", "run"))


class SyntaxNode(msgspec.Struct, frozen=True, kw_only=True):
    """A split logical line. The keyword decides how `arguments` are split; `json` means that they were a JSON array."""

    keyword: str
    flags: tuple[str, ...]
    rest: str
    arguments: tuple[str, ...]
    json: bool
    text: str
    escape: str
    location: Location
    comments: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


def node(text: str, escape: str, location: Location, comments: tuple[str, ...] = ()) -> SyntaxNode:
    """Return the node of a line whose continuations are joined, without its heredocs."""
    keyword, flags, rest = split_line(text)
    parsed, json = arguments(keyword.lower(), rest, escape)
    return SyntaxNode(
        keyword=keyword,
        flags=flags,
        rest=rest,
        arguments=parsed,
        json=json,
        text=text.strip(SPACE),
        escape=escape,
        location=location,
        comments=comments,
    )


class Common(TypedDict):
    """The fields that every instruction takes from its node."""

    keyword: str
    location: Location
    text: str
    comments: tuple[str, ...]


def common(line: SyntaxNode) -> Common:
    """Return the fields that every instruction takes from its node."""
    return {"keyword": line.keyword, "location": line.location, "text": line.text, "comments": line.comments}


def split_line(text: str) -> tuple[str, tuple[str, ...], str]:
    """Return the keyword, the flags and the rest."""
    keyword, *more = _BLANK.split(text.strip(SPACE), maxsplit=1)
    if not more:
        return keyword, (), ""
    flags, rest = _flags(more[0])
    return keyword, flags, rest.strip(SPACE)


def _flags(line: str) -> tuple[tuple[str, ...], str]:
    """Return the leading words that begin with `--`, and the rest; `--` alone ends them.

    The escape character here is always a backslash, whatever the directive says (split_command.go).
    """
    flags: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at] in SPACE:
            at += 1
        if not line.startswith("--", at):
            return tuple(flags), line[at:]
        word: list[str] = []
        quote = ""
        while at < len(line) and (quote or line[at] not in SPACE):
            character = line[at]
            if character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            elif character == "\\":
                at += 1
                word.append(line[at : at + 1])
            else:
                word.append(character)
            at += 1
        if word == ["-", "-"]:
            return tuple(flags), line[at:]
        flags.append("".join(word))


def arguments(keyword: str, rest: str, escape: str) -> tuple[tuple[str, ...], bool]:
    """Return the arguments of an instruction, and whether they were a JSON array.

    As in docker, a malformed array is a command line or a list.
    """
    if keyword in JSON_OR_LINE:
        return _json_or_line(rest)
    if keyword in JSON_OR_LIST:
        items = json_array(rest)
        return (items, True) if items is not None else (_listed(rest), False)
    if keyword in LIST:
        return _listed(rest), False
    if keyword in LINE:
        return ((rest,) if rest else ()), False
    if keyword in PAIRS:
        return tuple(part for pair in pairs(keyword, rest, escape)[0] for part in pair), False
    if keyword == "arg":
        return split_words(rest, escape), False
    if keyword == "healthcheck":
        kind, *more = rest.split(maxsplit=1)[:2] or [""]
        if not kind:
            return (), False
        items, json = _json_or_line(more[0] if more else "")
        return (kind, *items), json
    if keyword == "onbuild" and rest:
        inner, _, line = split_line(rest)
        return (inner, *arguments(inner.lower(), line, escape)[0]), False
    return (), False


def _json_or_line(rest: str) -> tuple[tuple[str, ...], bool]:
    items = json_array(rest)
    if items is not None:
        return items, True
    return ((rest,) if rest else ()), False


def _listed(rest: str) -> tuple[str, ...]:
    return tuple(_BLANK.split(rest)) if rest else ()


def json_array(rest: str) -> tuple[str, ...] | None:
    """Return the strings of a JSON array, or None if `rest` is not an array.

    Raises DockerfileError for other elements.
    """
    text = rest.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        items = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in items):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(items)


def split_words(rest: str, escape: str) -> tuple[str, ...]:
    """Return the words separated by space. Quotes and escapes are kept, for `words.expand` to remove."""
    result: list[str] = []
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(rest):
        character = rest[at]
        at += 1
        if not quote and character in SPACE:
            if word:
                result.append("".join(word))
                word = []
            continue
        if character == escape and quote != "'":
            # An escape character at the very end is dropped.
            word.append(rest[at - 1 : at + 1] if at < len(rest) else "")
            at += 1
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word.append(character)
    if word and (text := "".join(word)):
        result.append(text)
    return tuple(result)


def pairs(keyword: str, rest: str, escape: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return the pairs of ENV and LABEL, and whether they have the legacy form `name value`.

    In that form, the value is the rest of the line.
    """
    pair_words = split_words(rest, escape)
    if not pair_words:
        return (), False
    if "=" not in pair_words[0]:
        parts = _BLANK.split(rest, maxsplit=1)
        if len(parts) < 2:
            raise DockerfileError(f"{keyword.upper()} must have two arguments")
        return ((parts[0], parts[1]),), True
    for word in pair_words:
        if "=" not in word:
            raise DockerfileError(
                f"Syntax error - can't find = in {words.quoted(word)}. Must be of the form: name=value"
            )
    return tuple((word.partition("=")[0], word.partition("=")[2]) for word in pair_words), False


def takes_heredocs(line: SyntaxNode) -> bool:
    """Return whether `<<` in this line begins a heredoc.

    It does in COPY, ADD and RUN, also under ONBUILD, unless the arguments are a JSON array.
    """
    keyword, json = line.keyword.lower(), line.json
    if keyword == "onbuild" and line.rest:
        inner, _, rest = split_line(line.rest)
        keyword = inner.lower()
        json = keyword in WITH_HEREDOCS and arguments(keyword, rest, line.escape)[1]
    return keyword in WITH_HEREDOCS and not json


def heredocs(text: str) -> tuple[Heredoc, ...]:
    """Return the heredocs that a line announces, without content. A line with unbalanced quotes announces none.

    Space between `<<` or `<<-` and the name is ignored. Inside `$(( ))`, `<<` is a shift.
    """
    text = re.sub(_ARITHMETIC, "", text)
    text = re.sub(r"<<-[\t\r ]+", "<<-", text)
    try:
        expanded = words.expand_with(text, {}, _LINE).words
    except DockerfileError:
        return ()
    return tuple(document for word in expanded if (document := heredoc(word)) is not None)


def heredoc(word: str) -> Heredoc | None:
    """Return the heredoc that a word announces, or None: `<<EOF`, `<<-"EOF"`, `3<<EOF`."""
    match = re.fullmatch(_HEREDOC, word) if "<<" in word else None
    if match is None or not match[3]:
        return None
    plain = words.expand_with(match[3], {}, _LITERAL_NAME).words
    if len(plain) != 1:
        return None
    kept = words.expand_with(match[3], {}, _QUOTED_NAME).words
    if len(kept) != 1:
        return None
    marks = [text.count("'") + text.count('"') for text in (plain[0], kept[0])]
    return Heredoc(
        name=plain[0],
        content="",
        expand=marks[0] == marks[1],
        chomp=match[2] == "-",
        descriptor=int(match[1][:9] or 0),
    )


def joined(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments with the mark and the name of a heredoc joined into one."""
    result: list[str] = []
    for argument in arguments:
        if result and re.fullmatch(r"[0-9]*<<-?", result[-1]):
            result[-1] += argument
        else:
            result.append(argument)
    return tuple(result)


def announced(word: str) -> Heredoc | None:
    """Return the heredoc that a word of an argument list announces. A word with unbalanced quotes is a path."""
    try:
        return heredoc(word)
    except DockerfileError:
        return None
