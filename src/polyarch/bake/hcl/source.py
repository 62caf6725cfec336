"""Files, places in them, and the error that shows where something is wrong."""

from bisect import bisect_right
from functools import cached_property

from polyarch.errors import UsageError

_AROUND = 1
_WIDTH = 120


def decoded(content: bytes, name: str, kind: str, largest: int) -> str:
    """The text of a file of this `kind`, of `largest` bytes at the most. Raises UsageError."""
    if len(content) > largest:
        raise UsageError(f"{name} is too large for a {kind}: {largest >> 20} MiB are the most")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}:{line}: the file is not UTF-8 text") from None


class SourceFile:
    """A file's name and text. Places are offsets into the text.

    A string of JSON is a file of its own, because its text is not the same as in the file: places in it are shown as
    `outer`, the place of the string.
    """

    def __init__(self, name: str, text: str, outer: "Span | None" = None) -> None:
        self.name = name
        self.text = text
        self.outer = outer

    @cached_property
    def _starts(self) -> list[int]:
        """The offset at which each line begins."""
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, without its end; empty for a line that the file does not have."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")

    @property
    def line_count(self) -> int:
        """The number of lines."""
        return len(self._starts)


class Span:
    """A part of a file: from the offset `start` to before `end`."""

    __slots__ = ("end", "file", "start")

    def __init__(self, file: SourceFile, start: int, end: int) -> None:
        self.file = file
        self.start = start
        self.end = end

    def to(self, other: "Span") -> "Span":
        """From the beginning of this to the end of another."""
        return Span(self.file, self.start, max(self.end, other.end))

    def outermost(self) -> "Span":
        """The place in a file that the user has."""
        return self if self.file.outer is None else self.file.outer.outermost()

    def __str__(self) -> str:
        line, column = self.file.position(self.start)
        return f"{self.file.name}:{line}:{column}"


class HclError(UsageError):
    """A mistake in a file. `reason` is the message without the place and the lines around it."""

    def __init__(self, reason: str, hint: str | None = None, *, at: Span | None = None) -> None:
        self.reason = reason
        at = None if at is None else at.outermost()
        self.at = at
        super().__init__(reason if at is None else f"{at}: {reason}\n{excerpt(at)}", hint)

    def placed(self, at: Span) -> "HclError":
        """The same error with a place, if it has none."""
        return self if self.at is not None else HclError(self.reason, self.hint, at=at)


def excerpt(at: Span) -> str:
    """The line of a place with the lines around it, and a mark below its words."""
    file = at.file
    line, column = file.position(at.start)
    last, end = file.position(at.end)
    out = []
    for number in range(max(1, line - _AROUND), min(file.line_count, line + _AROUND) + 1):
        text = file.line(number)
        # A line may be as long as the file. Of the line itself the part around the place is shown.
        cut = max(0, column - _WIDTH // 2) if number == line and len(text) > _WIDTH else 0
        out.append(f"{number:4d} | {text[cut : cut + _WIDTH]}".rstrip())
        if number == line:
            length = (end if last == line else len(text) + 1) - column
            margin = "".join("\t" if letter == "\t" else " " for letter in text[cut : column - 1])
            out.append(f"     | {margin}{'^' * max(1, min(length, _WIDTH - (column - 1 - cut)))}")
    return "\n".join(out)
