"""Go's filepath.Match, which the wildcards of COPY and the patterns of ignore files follow.

It differs from fnmatch: `*` and `?` do not match a slash, only `^` negates a class, a backslash escapes, and a
malformed pattern is an error.
"""

import re
from functools import lru_cache

from polyarch.dockerfile.source import DockerfileError


def match(pattern: str, name: str) -> bool:
    """Return whether the pattern matches all of `name`. Raises DockerfileError for a malformed pattern."""
    return translate(pattern).fullmatch(name) is not None


def has_wildcards(path: str) -> bool:
    """Return whether a path of COPY is a pattern: it has a `*`, `?` or `[` without a backslash before it."""
    at = 0
    while at < len(path):
        if path[at] == "\\":
            at += 1
        elif path[at] in "*?[":
            return True
        at += 1
    return False


@lru_cache(maxsize=512)
def translate(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern, for `fullmatch`. Raises DockerfileError for a malformed pattern."""
    return re.compile(_source(pattern), re.DOTALL)


def check(pattern: str) -> None:
    """Raise DockerfileError for a malformed pattern. Much faster than `translate`."""
    _source(pattern)


def _source(pattern: str) -> str:
    pieces: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            # Several stars are equivalent to one.
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
    """Return the error for a malformed pattern."""
    return DockerfileError(
        f"syntax error in pattern: {pattern}", "close each [ with a ], and write a literal backslash as \\\\"
    )


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return the class after a `[` at `at`, and the position after the class."""
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
        # A descending range is well formed and empty.
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] not in "-]":
        if pattern[at] == "\\":
            at += 1
        # After a member at the end, the bracket is not closed.
        if at + 1 < len(pattern):
            return pattern[at], at + 1
    raise bad(pattern)
