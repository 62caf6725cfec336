"""Patterns → a program, and a machine that follows all its alternatives at once (Pike's VM).

Each letter of the text is read once. The order of the threads is that of the alternatives, so the first match of Perl's
order wins, as in Go.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from polyarch.bake.hcl.regex import patterns
from polyarch.bake.hcl.regex.charsets import CharSet
from polyarch.bake.hcl.regex.patterns import (
    Alternatives,
    Assertion,
    CaptureGroup,
    OneOf,
    Pattern,
    PatternError,
    Repetition,
)

_MAX_PROGRAM = 10_000
_MAX_STEPS = 3_000_000
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class LetterCode(NamedTuple):
    """Read one letter of a set."""

    letters: CharSet


class SplitCode(NamedTuple):
    """Go on in two places, the first one preferred."""

    first: int
    second: int


class JumpCode(NamedTuple):
    """Go on elsewhere."""

    target: int


class SaveCode(NamedTuple):
    """Remember the position."""

    slot: int


class AssertCode(NamedTuple):
    """Go on if the place is of this kind."""

    kind: str


class MatchCode(NamedTuple):
    """The pattern has matched."""


_Code: TypeAlias = LetterCode | SplitCode | JumpCode | SaveCode | AssertCode | MatchCode
# The positions of captures: start and end of each, the whole match first; -1 for none.
Match: TypeAlias = tuple[int, ...]


class TooManyStepsError(ValueError):
    """A match that takes too long."""


class Regex:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        """Compile a pattern. Raises PatternError."""
        parsed = patterns.parse(text)
        self.names = parsed.names
        self._program: list[_Code] = []
        self._emit(SaveCode(0))
        self._compile(parsed.root)
        self._emit(SaveCode(1))
        self._emit(MatchCode())
        self._steps = 0

    def _emit(self, code: _Code) -> int:
        if len(self._program) >= _MAX_PROGRAM:
            raise PatternError("the pattern is too large")
        self._program.append(code)
        return len(self._program) - 1

    def _compile(self, pattern: Pattern) -> None:
        match pattern:
            case OneOf():
                self._emit(LetterCode(pattern.letters))
            case Assertion():
                self._emit(AssertCode(pattern.kind))
            case CaptureGroup():
                self._emit(SaveCode(2 * pattern.number))
                self._compile(pattern.part)
                self._emit(SaveCode(2 * pattern.number + 1))
            case Alternatives():
                self._alternatives(pattern.parts)
            case Repetition():
                self._repetition(pattern)
            case _:
                for part in pattern.parts:
                    self._compile(part)

    def _alternatives(self, parts: Sequence[Pattern]) -> None:
        jumps: list[int] = []
        for part in parts[:-1]:
            split = self._emit(JumpCode(0))
            self._compile(part)
            jumps.append(self._emit(JumpCode(0)))
            self._program[split] = SplitCode(split + 1, len(self._program))
        self._compile(parts[-1])
        for jump in jumps:
            self._program[jump] = JumpCode(len(self._program))

    def _repetition(self, pattern: Repetition) -> None:
        for _ in range(pattern.least):
            self._compile(pattern.part)
        if pattern.most is None:
            split = self._emit(JumpCode(0))
            self._compile(pattern.part)
            self._emit(JumpCode(split))
            self._program[split] = self._split(split + 1, len(self._program), pattern.greedy)
            return
        splits: list[int] = []
        for _ in range(pattern.most - pattern.least):
            splits.append(self._emit(JumpCode(0)))
            self._compile(pattern.part)
        for split in splits:
            self._program[split] = self._split(split + 1, len(self._program), pattern.greedy)

    def _split(self, inside: int, after: int, greedy: bool) -> SplitCode:
        return SplitCode(inside, after) if greedy else SplitCode(after, inside)

    def find(self, text: str, start: int = 0) -> Match | None:
        """The first match from a position; None if there is none. Raises TooManyStepsError."""
        slots = (-1,) * (2 * len(self.names) + 2)
        threads: list[tuple[int, Match]] = []
        found: Match | None = None
        for position in range(start, len(text) + 1):
            if found is None:
                threads = self._added(threads, 0, slots, text, position)
            if not threads and found is not None:
                break
            letter = text[position : position + 1]
            following: list[tuple[int, Match]] = []
            seen: set[int] = set()
            for at, captures in threads:
                self._count()
                code = self._program[at]
                if isinstance(code, MatchCode):
                    found = captures
                    # Threads of lower order cannot win any more.
                    break
                if isinstance(code, LetterCode) and letter and letter in code.letters:
                    self._follow(following, seen, at + 1, captures, text, position + 1)
            threads = following
        return found

    def _added(
        self, threads: list[tuple[int, Match]], at: int, captures: Match, text: str, position: int
    ) -> list[tuple[int, Match]]:
        """The threads, with a new one of the lowest order."""
        seen = {one for one, _ in threads}
        self._follow(threads, seen, at, captures, text, position)
        return threads

    def _follow(
        self, threads: list[tuple[int, Match]], seen: set[int], at: int, captures: Match, text: str, position: int
    ) -> None:
        """Add a thread, after everything that reads no letter."""
        todo = [(at, captures)]
        while todo:
            at, captures = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            self._count()
            code = self._program[at]
            match code:
                case JumpCode():
                    todo.append((code.target, captures))
                case SplitCode():
                    todo.append((code.second, captures))
                    todo.append((code.first, captures))
                case SaveCode():
                    changed = (*captures[: code.slot], position, *captures[code.slot + 1 :])
                    todo.append((at + 1, changed))
                case AssertCode():
                    if _holds(code.kind, text, position):
                        todo.append((at + 1, captures))
                case _:
                    threads.append((at, captures))

    def _count(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise TooManyStepsError("matching takes too many steps: the pattern or the text is too large")

    def find_all(self, text: str) -> Iterator[Match]:
        """All matches that do not overlap. An empty one right after another one does not count."""
        position, last = 0, -1
        while position <= len(text):
            found = self.find(text, position)
            if found is None:
                return
            if found[1] > found[0] or found[0] != last:
                yield found
            last = found[1]
            position = found[1] + (found[1] == found[0]) if found[1] >= position else position + 1

    def replace(self, text: str, template: str) -> str:
        """The text with every match replaced. `$1`, `${name}` and `$$` stand for captures and a dollar."""
        parts: list[str] = []
        end = 0
        for found in self.find_all(text):
            parts += [text[end : found[0]], self._expanded(template, found, text)]
            end = found[1]
        return "".join([*parts, text[end:]])

    def _expanded(self, template: str, found: Match, text: str) -> str:
        parts: list[str] = []
        at = 0
        while (dollar := template.find("$", at)) >= 0:
            parts.append(template[at:dollar])
            at = dollar + 1
            if template.startswith("$", at):
                parts.append("$")
                at += 1
                continue
            braced = template.startswith("{", at)
            start = at + braced
            stop = start
            while stop < len(template) and template[stop] in _WORD:
                stop += 1
            if stop == start or (braced and not template.startswith("}", stop)):
                parts.append("$")
                continue
            parts.append(self._captured(template[start:stop], found, text))
            at = stop + braced
        return "".join([*parts, template[at:]])

    def _captured(self, name: str, found: Match, text: str) -> str:
        if name.isdecimal():
            numbers = [int(name)] if len(name) < 6 else []
        else:
            numbers = [number for number, known in enumerate(self.names, 1) if known == name]
        for number in numbers:
            if 2 * number < len(found) and found[2 * number] >= 0:
                return text[found[2 * number] : found[2 * number + 1]]
        return ""


def _holds(kind: str, text: str, position: int) -> bool:
    match kind:
        case "A":
            return position == 0
        case "z":
            return position == len(text)
        case "^":
            return position == 0 or text[position - 1] == "\n"
        case "$":
            return position == len(text) or text[position] == "\n"
        case _:
            before = position > 0 and text[position - 1] in _WORD
            after = position < len(text) and text[position] in _WORD
            return (before != after) == (kind == "b")
