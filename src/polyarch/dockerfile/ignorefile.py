"""`.dockerignore`, `COPY --exclude` and `--parents` patterns, as moby/patternmatcher reads them.

Not gitignore: a pattern stands for one path from the root, `**` may cross slashes, the last pattern that matches
decides, and what matches a directory matches all below it, unless a later `!` pattern takes it back.
"""

import posixpath
import re
import warnings
from collections.abc import Iterable

import msgspec

from polyarch.dockerfile import glob
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import SPACE

# Those which mean something in a regular expression and nothing in a pattern.
_ESCAPED = frozenset(".+()|{}$")


class Pattern(msgspec.Struct, frozen=True):
    """One cleaned pattern; `exclusion` is what `!` says: what it matches is not matched after all."""

    text: str
    exclusion: bool = False


class State(msgspec.Struct, frozen=True):
    """Which patterns matched a directory, for what is below it."""

    matched: bool
    patterns: tuple[bool, ...]


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
        glob.translate(pattern)
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
        self.has_exclusions = any(pattern.exclusion for pattern in self.patterns)
        self._reach = tuple(
            (number, _literal_parts(pattern.text)) for number, pattern in enumerate(self.patterns) if pattern.exclusion
        )

    def matches(self, path: str) -> bool:
        """Whether `path` matches, or a directory above it does, and no later `!` takes it back."""
        matched = False
        above = [path, *_parents(path)]
        for pattern, test in zip(self.patterns, self._tests, strict=True):
            if pattern.exclusion == matched and any(test(candidate) for candidate in above):
                matched = not pattern.exclusion
        return matched

    def enter(self, path: str, above: State | None = None) -> State:
        """What is known of `path`, given what is known of the directory that it is in; None where that is where
        the walk begins."""
        # Nothing is known of what is above a path that a walk begins with.
        candidates = [path, *_parents(path)] if above is None else [path]
        matched = False
        hits: list[bool] = []
        for number, (pattern, test) in enumerate(zip(self.patterns, self._tests, strict=True)):
            hit = above is not None and above.patterns[number]
            # A pattern that could change nothing is not asked, and does not count for what is below.
            if not hit and pattern.exclusion == matched:
                hit = any(test(candidate) for candidate in candidates)
            hits.append(hit)
            if hit:
                matched = not pattern.exclusion
        return State(matched, tuple(hits))

    def skips(self, path: str, state: State) -> bool:
        """Whether all below the directory `path` is matched, so that a walk need not go there.

        Not where a `!` pattern could take something back that lies below.
        """
        if not state.matched:
            return False
        parts = path.split("/")
        # One that already matched a directory above has had its say.
        return not any(_may_reach(reach, parts) for number, reach in self._reach if not state.patterns[number])


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
        self.kind, expression = _compile(pattern)
        self.expression = expression

    def __call__(self, path: str) -> bool:
        match self.kind:
            case "exact":
                return path == self.pattern
            case "prefix":
                return path.startswith(self.pattern[:-2])
            case "suffix":
                suffix = self.pattern[2:]
                return path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
        return self.expression is not None and self.expression.fullmatch(path) is not None


def _compile(pattern: str) -> tuple[str, re.Pattern[str] | None]:
    """How to match, and the regular expression where one is needed.

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
    if kind != "expression":
        return kind, None
    try:
        with warnings.catch_warnings():
            # "[[" may mean something else in a later Python; here it is what it is in Go.
            warnings.simplefilter("ignore", FutureWarning)
            return kind, re.compile("".join(pieces), re.ASCII)
    except re.error as error:
        raise glob.bad(pattern) from error
