"""Go's path.Match: `*` and `?` do not match a slash; `[a-z]` and `[^a-z]` are sets; a backslash escapes."""

from collections.abc import Callable

_Test = Callable[[str], bool]


def has_pattern(text: str) -> bool:
    """Whether a name that the user asks for is a pattern."""
    return any(letter in text for letter in "*?[]")


def matches(pattern: str, name: str) -> bool:
    """Whether the whole name matches, in time proportional to both lengths. A malformed pattern matches nothing."""
    tests = _parsed(pattern)
    if tests is None:
        return False
    at = position = 0
    star, resume = -1, 0
    while position < len(name):
        test = tests[at] if at < len(tests) else _nothing
        if test is None:
            # A star: first it matches nothing, and one letter more each time that what follows does not match.
            star, resume = at, position
            at += 1
        elif test(name[position]):
            at, position = at + 1, position + 1
        elif star >= 0 and name[resume] != "/":
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(test is None for test in tests[at:])


def _nothing(_: str) -> bool:
    return False


def _parsed(pattern: str) -> list[_Test | None] | None:
    """A test for each letter that is matched, None for a star; None for a malformed pattern."""
    tests: list[_Test | None] = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        position += 1
        if letter == "*":
            tests.append(None)
        elif letter == "?":
            tests.append(lambda given: given != "/")
        elif letter == "[":
            end = _set(pattern, position, tests)
            if end is None:
                return None
            position = end
        else:
            if letter == "\\":
                if position == len(pattern):
                    return None
                letter, position = pattern[position], position + 1
            tests.append(letter.__eq__)
    return tests


def _set(pattern: str, position: int, tests: list[_Test | None]) -> int | None:
    """Add the test for the set that begins at `position`; returns where it ends, None if it is malformed."""
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[tuple[str, str]] = []
    while pattern[position : position + 1] != "]" or not ranges:
        low, position = _member(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _member(pattern, position + 1)
        if not low or not high:
            return None
        ranges.append((low, high))
    tests.append(lambda given: any(low <= given <= high for low, high in ranges) != negated)
    return position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    """A letter of a set, and the position after it; empty if there is none."""
    letter = pattern[position : position + 1]
    if letter in ("", "-", "]"):
        return "", position
    if letter == "\\":
        position += 1
        letter = pattern[position : position + 1]
    return letter, position + 1
