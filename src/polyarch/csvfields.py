"""Comma-separated values as Go reads them (encoding/csv, RFC 4180): a quote inside a field without quotes is an error.

So docker's options are read (`--secret id=a,"src=x,y"`), `RUN --mount`, and values in bake files.
"""

from collections.abc import Iterable, Mapping


class CsvError(ValueError):
    """Text that is not CSV."""


def fields(line: str, comma: str = ",") -> list[str]:
    """The fields of one record. Raises CsvError, also for an empty text."""
    if line.endswith("\n"):
        line = line[:-1].removesuffix("\r")
    if not line:
        raise CsvError("it is empty")
    if '"' not in line:
        return line.split(comma)
    found: list[str] = []
    position = 0
    while True:
        if line[position : position + 1] == '"':
            field, position = _quoted(line, position + 1, comma)
        else:
            end = line.find(comma, position)
            field = line[position:] if end < 0 else line[position:end]
            if '"' in field:
                raise CsvError("a field that contains a quote must begin with one")
            position = len(line) if end < 0 else end
        found.append(field)
        if position >= len(line):
            return found
        position += 1


def _quoted(line: str, position: int, comma: str) -> tuple[str, int]:
    """The quoted field whose text begins at `position`, and the position after its closing quote."""
    parts: list[str] = []
    while (end := line.find('"', position)) >= 0:
        parts.append(line[position:end])
        position = end + 1
        if line[position : position + 1] != '"':
            if position < len(line) and line[position] != comma:
                break
            return "".join(parts), position
        parts.append('"')
        position += 1
    raise CsvError("a quote is not closed, or is followed by other text")


def records(text: str) -> list[list[str]]:
    """All records of a text of several lines. Empty lines are skipped. Raises CsvError."""
    found: list[list[str]] = []
    pending = ""
    for line in text.replace("\r\n", "\n").splitlines(keepends=True) if text else ():
        if not pending and line == "\n":
            continue
        pending += line
        # A field with quotes may contain line breaks: the record ends where its quotes are balanced.
        if pending.count('"') % 2 == 0:
            found.append(fields(pending))
            pending = ""
    if pending:
        raise CsvError("a quote is not closed")
    return found


def joined(pairs: Iterable[tuple[str, str]]) -> str:
    """`key=value` pairs as one record."""
    return ",".join(_field(f"{key}={value}") for key, value in pairs)


def attributes(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The pairs of a mapping, sorted."""
    return sorted(values.items())


def _field(text: str) -> str:
    if any(letter in text for letter in ',"\n\r') or text.startswith((" ", "\t")):
        return '"' + text.replace('"', '""') + '"'
    return text
