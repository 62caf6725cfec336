"""`.dockerignore`, `COPY --exclude` and `--parents` patterns, as moby/patternmatcher reads them.

Not gitignore: a pattern stands for one path from the root, `**` may cross slashes, the last pattern that matches
decides, and what matches a directory matches all below it, unless a later `!` pattern takes it back.
"""

import posixpath
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from polyarch.dockerfile import glob
from polyarch.dockerfile.ignoreindex import PatternIndex
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import SPACE

# Those which mean something in a regular expression and nothing in a pattern.
_ESCAPED = frozenset(".+()|{}$")
# Those which go into a regular expression as they stand, and may be wrong there.
_PLAIN = frozenset("[]^\\")


class Pattern(msgspec.Struct, frozen=True):
    """One cleaned pattern; `exclusion` is what `!` says: what it matches is not matched after all."""

    text: str
    exclusion: bool = False


class State(msgspec.Struct, frozen=True, gc=False):
    """Whether a path is matched, and the numbers of the patterns that had a say, for what is below it."""

    matched: bool
    hits: tuple[int, ...] = ()


_NOTHING = State(False)
# How many directories `Matcher.matches` remembers.
_REMEMBERED = 10_000


def parse(text: str) -> tuple[Pattern, ...]:
    """The patterns of an ignore file. `#` begins a comment in the first column only. Raises DockerfileError."""
    found: list[str] = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#"):
            continue
        pattern = line.strip(SPACE)
        invert = pattern.startswith("!")
        if invert:
            pattern = pattern[1:].strip(SPACE)
        if pattern:
            pattern = _clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        if pattern or invert:
            found.append(f"!{pattern}" if invert else pattern)
    try:
        return patterns(found)
    except DockerfileError as error:
        raise DockerfileError(error.reason, error.hint, name=".dockerignore") from error


def patterns(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Patterns from words, as those of `--exclude`. Raises DockerfileError for one that is not well formed."""
    found: list[Pattern] = []
    for text in texts:
        pattern = text.strip(SPACE)
        if not pattern:
            continue
        pattern = _clean(pattern)
        exclusion = pattern.startswith("!")
        if exclusion:
            pattern = pattern[1:]
            if not pattern:
                raise DockerfileError('illegal exclusion pattern: "!"')
        glob.check(pattern)
        found.append(Pattern(pattern, exclusion))
    return tuple(found)


def _clean(path: str) -> str:
    """Go's filepath.Clean, which keeps no second slash in front, as normpath does."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


class Matcher:
    """Patterns, compiled. Paths are relative, with slashes and without `.` and `..`.

    `matches` asks for one path on its own, `enter` and `skips` along a walk, which decides what a context holds.
    They differ in one case, as they do in moby: a `!` pattern for a directory that nothing had matched says nothing
    about what is below it in a walk (`a/b` then `!a` keeps a/b out), but does for `matches`.
    """

    def __init__(self, found: Iterable[Pattern]) -> None:
        self.patterns = tuple(found)
        self._tests = tuple(_Test(pattern.text) for pattern in self.patterns)
        self._exclusions = tuple(pattern.exclusion for pattern in self.patterns)
        self.has_exclusions = any(self._exclusions)
        self._index = PatternIndex(pattern.text for pattern in self.patterns)
        self._reaches = _Reaches(
            {number: pattern.text for number, pattern in enumerate(self.patterns) if pattern.exclusion}
        )
        self._known: dict[str, int] = {}

    def matches(self, path: str) -> bool:
        """Whether `path` matches, or a directory above it does, and no later `!` takes it back."""
        last = max((self._last(above) for above in _parents(path)), default=-1)
        last = max(last, max(self._hits(path), default=-1))
        return last >= 0 and not self._exclusions[last]

    def _last(self, directory: str) -> int:
        """The last pattern that matches a directory that is above something, -1 for none."""
        known = self._known.get(directory)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[directory] = max(self._hits(directory), default=-1)
        return known

    def _hits(self, path: str) -> list[int]:
        """The numbers of the patterns that match this very path, in no order."""
        return [number for number in self._index.candidates(path) if self._tests[number](path)]

    def enter(self, path: str, above: State | None = None) -> State:
        """What is known of `path`, given what is known of the directory that it is in; None where that is where
        the walk begins."""
        found = self._hits(path)
        if above is None:
            # Nothing is known of what is above a path that a walk begins with.
            for parent in _parents(path):
                found += self._hits(parent)
            above = _NOTHING
        if not found:
            return above
        before = frozenset(above.hits)
        matched = False
        hits: list[int] = []
        for number in sorted(before.union(found)):
            exclusion = self._exclusions[number]
            # A pattern that could change nothing is not asked, and does not count for what is below.
            if number in before or exclusion == matched:
                hits.append(number)
                matched = not exclusion
        return State(matched, tuple(hits))

    def skips(self, path: str, state: State) -> bool:
        """Whether all below the directory `path` is matched, so that a walk need not go there.

        Not where a `!` pattern could take something back that lies below.
        """
        # One that already matched a directory above has had its say.
        return state.matched and not self._reaches.any_below(path.split("/"), state.hits)


@lru_cache(maxsize=8)
def matcher(found: tuple[Pattern, ...]) -> Matcher:
    """The matcher of these patterns. Every platform of a build asks for the same one."""
    return Matcher(found)


class _Reaches:
    """Which `!` patterns could match something below a directory, as a tree of their parts."""

    def __init__(self, patterns: Mapping[int, str]) -> None:
        self._parts = {number: _literal_parts(text) for number, text in patterns.items()}
        self._top = _Fork()
        for parts in self._parts.values():
            fork = self._top
            for part in parts:
                if part == "**":
                    fork.open += 1
                    break
                fork.count += 1
                fork = fork.any_name() if part is None else fork.names.setdefault(part, _Fork())

    def any_below(self, directory: list[str], done: Iterable[int]) -> bool:
        """Whether a pattern that is not among `done` could match something below the directory of these parts."""
        reaching = 0
        forks = [self._top]
        for part in directory:
            reaching += sum(fork.open for fork in forks)
            forks = [below for fork in forks for below in (fork.names.get(part), fork.any) if below is not None]
            if not forks:
                break
        reaching += sum(fork.open + fork.count for fork in forks)
        if reaching:
            reaching -= sum(_may_reach(self._parts[one], directory) for one in done if one in self._parts)
        return reaching > 0


class _Fork:
    """Where patterns part: by the next name, for any name, `open` for those which may cross slashes from here on.

    `count` are those that go on by a name.
    """

    __slots__ = ("any", "count", "names", "open")

    def __init__(self) -> None:
        self.names: dict[str, _Fork] = {}
        self.any: _Fork | None = None
        self.open = self.count = 0

    def any_name(self) -> "_Fork":
        if self.any is None:
            self.any = _Fork()
        return self.any


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _literal_parts(pattern: str) -> list[str | None]:
    """The parts of a pattern, None where one is more than its letters. What may cross a slash ends them: `**`."""
    found: list[str | None] = []
    for part in pattern.split("/"):
        # A class may have a slash in it, by name or in a range.
        if "**" in part or "[" in part:
            return [*found, "**"]
        found.append(None if re.search(r"[*?\]\\^]", part) else part)
    return found


def _may_reach(reach: list[str | None], parts: list[str]) -> bool:
    """Whether a pattern of these parts could match something below the directory `parts`."""
    for at, part in enumerate(parts):
        if at == len(reach):
            return False
        if reach[at] == "**":
            return True
        if reach[at] not in (None, part):
            return False
    return len(reach) > len(parts)


class _Test:
    """Whether a path matches one pattern, by the cheapest means that decides it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.kind, self._source = _translate(pattern)
        self._expression: re.Pattern[str] | None = None
        # Only these can be wrong for a regular expression; the others are compiled when they are needed.
        if self.kind == "expression" and not _PLAIN.isdisjoint(pattern):
            self._expression = _compile(pattern, self._source)

    def __call__(self, path: str) -> bool:
        match self.kind:
            case "exact":
                return path == self.pattern
            case "prefix":
                return path.startswith(self.pattern[:-2])
            case "suffix":
                suffix = self.pattern[2:]
                return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
        if self._expression is None:
            self._expression = _compile(self.pattern, self._source)
        return self._expression.fullmatch(path) is not None


def _translate(pattern: str) -> tuple[str, str]:
    """How to match, and the regular expression for where one is needed.

    Brackets and escapes go into the expression as they stand, as moby does it.
    """
    pieces: list[str] = []
    kind = "exact"
    at = 0
    step = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*" and pattern.startswith("*", at):
            at += 1
            at += pattern.startswith("/", at)
            if at < len(pattern):
                pieces.append("(.*/)?")
                kind = "expression"
            elif kind == "exact":
                kind = "prefix"
            else:
                pieces.append(".*")
                kind = "expression"
            if step == 0:
                kind = "suffix"
        elif character in "*?":
            pieces.append("[^/]*" if character == "*" else "[^/]")
            kind = "expression"
        elif character in _ESCAPED:
            pieces.append("\\" + character)
        elif character == "\\":
            pieces.append("\\" + pattern[at : at + 1])
            at += 1
            kind = "expression"
        else:
            pieces.append(character)
            if character in "[]":
                kind = "expression"
        step += 1
    return kind, "".join(pieces)


def _compile(pattern: str, source: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # "[[" may mean something else in a later Python; here it is what it is in Go.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(source, re.ASCII)
    except re.error as error:
        raise glob.bad(pattern) from error
