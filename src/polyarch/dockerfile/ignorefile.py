"""`.dockerignore`, `COPY --exclude` and `--parents` patterns, as in moby/patternmatcher.

They are not gitignore patterns: a pattern matches a path from the root, `**` may cross slashes, and the last matching
pattern decides. A pattern that matches a directory matches everything below it, unless a later `!` pattern excludes
that.
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

# Characters that are special in a regular expression but not in a pattern.
_ESCAPED = frozenset(".+()|{}$")
# Characters that are copied into the regular expression unchanged, and may make it invalid.
_PLAIN = frozenset("[]^\\")


class Pattern(msgspec.Struct, frozen=True):
    """One cleaned pattern.

    `exclusion` means that it begins with `!`: paths that it matches are not matched after all.
    """

    text: str
    exclusion: bool = False


class State(msgspec.Struct, frozen=True, gc=False):
    """Whether a path is matched, and the numbers of the patterns that decided it, for the paths below it."""

    matched: bool
    hits: tuple[int, ...] = ()


_NOTHING = State(False)
# How many directories `Matcher.matches` caches.
_REMEMBERED = 10_000


def parse(text: str) -> tuple[Pattern, ...]:
    """Return the patterns of an ignore file. `#` begins a comment only in the first column. Raises DockerfileError."""
    texts: list[str] = []
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
            texts.append(f"!{pattern}" if invert else pattern)
    try:
        return patterns(texts)
    except DockerfileError as error:
        raise DockerfileError(error.reason, error.hint, name=".dockerignore") from error


def patterns(texts: Iterable[str]) -> tuple[Pattern, ...]:
    """Return the patterns in `texts`, such as the values of `--exclude`. Raises DockerfileError for a malformed one."""
    result: list[Pattern] = []
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
        result.append(Pattern(pattern, exclusion))
    return tuple(result)


def _clean(path: str) -> str:
    """Return Go's filepath.Clean of a path. Unlike normpath, it does not keep two leading slashes."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


class Matcher:
    """Compiled patterns. Paths are relative, with slashes and without `.` and `..`.

    `matches` tests a single path; `enter` and `skips` test the paths of a walk, which decides what a context contains.
    As in moby, they differ in one case: in a walk, a `!` pattern for a directory that no pattern has matched does not
    affect what is below it (`a/b` then `!a` excludes a/b), but it does for `matches`.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._tests = tuple(_Test(pattern.text) for pattern in self.patterns)
        self._exclusions = tuple(pattern.exclusion for pattern in self.patterns)
        self.has_exclusions = any(self._exclusions)
        self._index = PatternIndex(pattern.text for pattern in self.patterns)
        self._reaches = _Reaches(
            {number: pattern.text for number, pattern in enumerate(self.patterns) if pattern.exclusion}
        )
        self._known: dict[str, int] = {}

    def matches(self, path: str) -> bool:
        """Return whether `path` or a directory above it is matched, and no later `!` pattern excludes it."""
        last = max((self._last(above) for above in _parents(path)), default=-1)
        last = max(last, max(self._hits(path), default=-1))
        return last >= 0 and not self._exclusions[last]

    def _last(self, directory: str) -> int:
        """Return the last pattern that matches a directory that is above something, -1 for none."""
        known = self._known.get(directory)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[directory] = max(self._hits(directory), default=-1)
        return known

    def _hits(self, path: str) -> list[int]:
        """Return the numbers of the patterns that match exactly this path, in no particular order."""
        return [number for number in self._index.candidates(path) if self._tests[number](path)]

    def enter(self, path: str, above: State | None = None) -> State:
        """Return the state of `path`, given the state of its directory, or None if the walk begins at `path`."""
        matching = self._hits(path)
        if above is None:
            # At the start of a walk, the patterns of the parents count, too.
            for parent in _parents(path):
                matching += self._hits(parent)
            above = _NOTHING
        if not matching:
            return above
        before = frozenset(above.hits)
        matched = False
        hits: list[int] = []
        for number in sorted(before.union(matching)):
            exclusion = self._exclusions[number]
            # A pattern that could not change the result is ignored, also below this path.
            if number in before or exclusion == matched:
                hits.append(number)
                matched = not exclusion
        return State(matched, tuple(hits))

    def skips(self, path: str, state: State) -> bool:
        """Return whether everything below the directory `path` is matched, so that a walk need not enter it.

        It is not if a `!` pattern could exclude something below.
        """
        # A pattern that has matched a directory above has been applied already.
        return state.matched and not self._reaches.any_below(path.split("/"), state.hits)


@lru_cache(maxsize=8)
def matcher(patterns: tuple[Pattern, ...]) -> Matcher:
    """Return the matcher of these patterns. It is cached, because every platform of a build uses the same one."""
    return Matcher(patterns)


def of_text(text: str) -> Matcher | None:
    """Return the matcher of an ignore file; None for one without text."""
    return matcher(parse(text)) if text.strip() else None


class _Reaches:
    """The `!` patterns that could match something below a directory, as a tree of their parts."""

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
        """Return whether a pattern that is not in `done` could match something below this directory."""
        reaching = 0
        forks = [self._top]
        for part in directory:
            reaching += sum(fork.open for fork in forks)
            forks = [below for fork in forks for below in (fork.names.get(part), fork.any) if below is not None]
            if not forks:
                break
        reaching += sum(fork.open + fork.count for fork in forks)
        if reaching:
            reaching -= sum(_may_reach(self._parts[number], directory) for number in done if number in self._parts)
        return reaching > 0


class _Fork:
    """A node of the tree: its children by name, and the child for any name.

    `open` counts the patterns that may cross slashes from here on, `count` those that continue with a name.
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
    """Return the parts of a pattern, None for a part with special characters. `**` ends them: it may cross a slash."""
    parts: list[str | None] = []
    for part in pattern.split("/"):
        # A class may contain a slash, literally or in a range.
        if "**" in part or "[" in part:
            return [*parts, "**"]
        parts.append(None if re.search(r"[*?\]\\^]", part) else part)
    return parts


def _may_reach(reach: list[str | None], parts: list[str]) -> bool:
    """Return whether a pattern with these parts could match something below the directory `parts`."""
    for at, part in enumerate(parts):
        if at == len(reach):
            return False
        if reach[at] == "**":
            return True
        if reach[at] not in (None, part):
            return False
    return len(reach) > len(parts)


class _Test:
    """Tests whether a path matches one pattern, in the cheapest sufficient way."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.kind, self._source = _translate(pattern)
        self._expression: re.Pattern[str] | None = None
        # Only these can make the regular expression invalid; others are compiled on first use.
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
    """Return how to match a pattern, and its regular expression for the kind "expression".

    As in moby, brackets and escapes are copied into the expression unchanged.
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
            # "[[" may change its meaning in a later Python; Go's meaning is wanted here.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(source, re.ASCII)
    except re.error as error:
        raise glob.bad(pattern) from error
