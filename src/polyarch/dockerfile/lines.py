"""Logical lines: continuations joined, comments separated, heredocs with their content."""

import msgspec

from polyarch.dockerfile import syntax
from polyarch.dockerfile.directives import Directives
from polyarch.dockerfile.instructions.base import Heredoc
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.words import SPACE

# bufio.MaxScanTokenSize, which counts the newline.
_LONGEST = 64 * 1024


class Lines(msgspec.Struct, frozen=True):
    """The nodes of a text, its escape character, and the empty lines within continuations."""

    nodes: tuple[syntax.SyntaxNode, ...]
    escape: str
    empty_continuations: tuple[Location, ...]


class _Physical:
    """The physical lines of a text, with their newlines; `number` is that of the last line returned, from 1."""

    def __init__(self, text: str) -> None:
        self._parts = text.removeprefix("\ufeff").split("\n")
        if not self._parts[-1]:
            self._parts.pop()
        self._complete = text.endswith("\n")
        self.number = 0

    def next(self) -> str | None:
        if self.number == len(self._parts):
            return None
        line = self._parts[self.number]
        self.number += 1
        whole = line + "\n" if self._complete or self.number < len(self._parts) else line
        if len(whole) * 4 > _LONGEST and len(whole.encode(errors="surrogateescape")) > _LONGEST:
            reason = f"dockerfile line greater than max allowed size of {_LONGEST - 1}"
            raise DockerfileError(reason, locations=(Location(self.number, self.number),))
        return whole


def read(text: str) -> Lines:
    """Return the logical lines of `text`. Raises DockerfileError, with lines but without a file name."""
    physical = _Physical(text)
    directives = Directives()
    nodes: list[syntax.SyntaxNode] = []
    empty: list[Location] = []
    comments: list[str] = []
    while (raw := physical.next()) is not None:
        line = raw.rstrip("\r\n").lstrip(SPACE)
        with _placed(physical.number, physical):
            directive = directives.take(line)
        if directive:
            continue
        if line.startswith("#"):
            # An empty comment separates a description from the next instruction.
            comment = line[1:].strip(SPACE)
            comments = [*comments, comment] if comment else []
            continue
        if not line:
            comments = []
            continue
        escape = directives.values.get("escape", "\\")
        first = physical.number
        joined, blank = _join(line, physical, escape)
        if blank:
            empty.append(Location(blank, blank))
        with _placed(first, physical):
            node = syntax.node(joined, escape, Location(first, physical.number), tuple(comments))
            if "<<" in joined and syntax.takes_heredocs(node):
                documents = tuple(_document(announced, physical) for announced in syntax.heredocs(joined))
                location = Location(first, physical.number)
                node = msgspec.structs.replace(node, heredocs=documents, location=location)
        nodes.append(node)
        comments = []
    if not nodes:
        location = Location(1, max(physical.number, 1))
        reason = "file with no instructions" if physical.number else "the Dockerfile cannot be empty"
        raise DockerfileError(reason, locations=(location,))
    return Lines(tuple(nodes), directives.values.get("escape", "\\"), tuple(empty))


def _join(line: str, physical: _Physical, escape: str) -> tuple[str, int]:
    """Return the logical line that begins with `line`, and the number of the last empty line in it, or 0."""
    pieces: list[str] = []
    blank = 0
    following: str | None = line
    while following is not None:
        ended = following.rstrip(" \t")
        if not ended.endswith(escape) or ended.endswith(escape * 2):
            pieces.append(following)
            break
        pieces.append(ended[:-1])
        while (raw := physical.next()) is not None:
            following = raw.rstrip("\r\n")
            start = following.lstrip(SPACE)
            if start and not start.startswith("#"):
                break
            if not start:
                blank = physical.number
        else:
            following = None
    return "".join(pieces), blank


def _document(announced: Heredoc, physical: _Physical) -> Heredoc:
    content: list[str] = []
    while (raw := physical.next()) is not None:
        line = raw.rstrip("\r\n")
        if (line.lstrip("\t") if announced.chomp else line) == announced.name:
            return msgspec.structs.replace(announced, content="".join(content))
        content.append(raw)
    raise DockerfileError("unterminated heredoc", f"end it with a line that contains only {announced.name}")


class _placed:  # noqa: N801 - used as a statement
    """Adds the lines from `first` to the last line read to an error that is raised in the block."""

    def __init__(self, first: int, physical: _Physical) -> None:
        self._first = first
        self._physical = physical

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DockerfileError) and not error.locations:
            location = Location(self._first, self._physical.number)
            raise DockerfileError(error.reason, error.hint, locations=(location,)) from error
