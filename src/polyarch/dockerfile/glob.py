"""Go's filepath.Match, which COPY's wildcards and patterns' syntax follow.

It is not fnmatch: `*` and `?` stop at a slash, a class is negated by `^` alone, a backslash escapes, and a pattern
that is not well formed is an error.
"""

import re
from functools import lru_cache

from polyarch.dockerfile.source import DockerfileError


def match(pattern: str, name: str) -> bool:
    """Whether all of `name` matches. Raises DockerfileError for a bad pattern."""
    return translate(pattern).fullmatch(name) is not None


def has_wildcards(path: str) -> bool:
    """Whether a path of COPY is a pattern: has a `*`, `?` or `[` without a backslash before it."""
    at = 0
    while at < len(path):
        if path[at] == "\\":
            at += 1
        elif path[at] in "*?[":
            return True
        at += 1
    return False


def unescaped(path: str) -> str:
    """A path that is no pattern, without the backslashes that escape."""
    return re.sub(r"\\(.)", r"\1", path, flags=re.DOTALL)


@lru_cache(maxsize=512)
def translate(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, for `fullmatch`. Raises DockerfileError for a bad pattern."""
    return re.compile(_source(pattern), re.DOTALL)


def check(pattern: str) -> None:
    """Raises DockerfileError for a bad pattern. Much cheaper than `translate`."""
    _source(pattern)


def _source(pattern: str) -> str:
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            # One star or several are the same.
            if not pieces or pieces[-1] != "[^/]*":
                pieces.append("[^/]*")
        elif character == "?":
            pieces.append("[^/]")
        elif character == "[":
            piece, at = _class(pattern, at)
            pieces.append(piece)
        elif character == "\\":
            if at == len(pattern):
                raise bad(pattern)
            pieces.append(re.escape(pattern[at]))
            at += 1
        else:
            pieces.append(re.escape(character))
    return "".join(pieces)


def bad(pattern: str) -> DockerfileError:
    """The error for a pattern that is not well formed."""
    return DockerfileError(f"syntax error in pattern: {pattern}", "a bracket must be closed, a backslash is an escape")


def _class(pattern: str, at: int) -> tuple[str, int]:
    """The class behind a `[` at `at`, and where the pattern goes on."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    count = 0
    while not (count and pattern.startswith("]", at)):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        count += 1
        # A range that goes down is well formed and has nothing in it.
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] not in "-]":
        if pattern[at] == "\\":
            at += 1
        # A member at the end leaves the bracket open.
        if at + 1 < len(pattern):
            return pattern[at], at + 1
    raise bad(pattern)
