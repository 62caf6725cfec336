"""An index of many ignore patterns that finds those that may match a path.

Every path that a pattern matches has certain properties: a name at some distance from the end, a prefix or suffix of
that name, some letters in it, or a directory anywhere. The index stores patterns in tables by such a property, so a
path takes a few look-ups, however many patterns there are. The patterns found must still be tested: the index only
guarantees that it omits none that matches.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# Characters that may be special in a pattern. Between the first bracket and the last, all characters may be.
_SPECIAL = frozenset("*?[]^\\")
_CLASS = r"\[.*\]|\[.*|.*\]"
# The maximum length of the pieces of names that are looked up, which keeps the number of lengths small.
_LONGEST_PIECE = 4

Table = dict[str, list[int]]
# Tables by the length of their keys: a name is cut to each length for a look-up.
Lengths = dict[int, Table]
# (kind, distance from the end, text): a property that a path must have.
Need = tuple[str, int, str]


class _Place:
    """The patterns with a property of the name at one distance from the end of a path."""

    def __init__(self) -> None:
        self.exact: Table = {}
        self.starts: Lengths = {}
        self.ends: Lengths = {}
        self.pieces: Lengths = {}

    def find(self, name: str, candidates: list[int]) -> None:
        if self.exact and (numbers := self.exact.get(name)):
            candidates += numbers
        for length, table in self.starts.items():
            if numbers := table.get(name[:length]):
                candidates += numbers
        for length, table in self.ends.items():
            if numbers := table.get(name[-length:]):
                candidates += numbers
        for length, table in self.pieces.items():
            for at in range(len(name) - length + 1):
                if numbers := table.get(name[at : at + length]):
                    candidates += numbers


class PatternIndex:
    """Patterns by the properties that they require of a path."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._whole: Table = {}
        self._places: dict[int, _Place] = {}
        self._anywhere: Table = {}
        self._heads: Lengths = {}
        self._rest: list[int] = []
        needs = [_needs(pattern) for pattern in patterns]
        common = Counter(need for several in needs for need in several)
        for number, several in enumerate(needs):
            if several:
                # Index a pattern by its rarest property: of a thousand patterns, all may require `.c` at the end.
                self._add(number, min(several, key=common.__getitem__))
            else:
                self._rest.append(number)
        # Most sets of patterns need only the last name of a path.
        self._last = self._places.pop(0, None)

    def candidates(self, path: str) -> list[int]:
        """Return the numbers of the patterns that may match `path`, unordered and possibly with duplicates."""
        candidates = list(self._rest)
        if self._whole and (numbers := self._whole.get(path)):
            candidates += numbers
        if self._last is not None:
            self._last.find(path[path.rfind("/") + 1 :], candidates)
        for length, table in self._heads.items():
            if numbers := table.get(path[:length]):
                candidates += numbers
        if self._places or self._anywhere:
            names = path.split("/")
            for distance, place in self._places.items():
                if distance < len(names):
                    place.find(names[-1 - distance], candidates)
            if self._anywhere:
                for name in names:
                    if numbers := self._anywhere.get(name):
                        candidates += numbers
        return candidates

    def _add(self, number: int, need: Need) -> None:
        kind, distance, text = need
        if kind == "whole":
            self._whole.setdefault(text, []).append(number)
        elif kind == "anywhere":
            self._anywhere.setdefault(text, []).append(number)
        elif kind == "head":
            _put(self._heads, text, number)
        else:
            place = self._places.setdefault(distance, _Place())
            if kind == "exact":
                place.exact.setdefault(text, []).append(number)
            else:
                _put(getattr(place, kind), text, number)


def _needs(pattern: str) -> list[Need]:
    """Return the properties that each path matched by a pattern has, the cheapest to look up first."""
    marks = _marks(pattern)
    if not any(marks):
        return [("whole", 0, pattern)]
    needs: list[Need] = []
    names = _names(pattern, marks)
    for distance, (name, special, exact) in enumerate(reversed(names)):
        if name and exact and not any(special):
            needs.append(("exact", distance, name))
            continue
        # Before a part that may cross slashes, the distance of a name from the end is unknown.
        crosses = not exact or _crosses(name, special)
        needs += [(kind, distance, text) for kind, text in _parts(name, special, crosses)]
        if crosses:
            break
    needs += [("anywhere", 0, name) for name, special, exact in names if name and exact and not any(special)]
    if head := pattern[: marks.index(True)]:
        needs.append(("head", 0, head))
    return needs


def _parts(name: str, special: Sequence[bool], crosses: bool) -> list[tuple[str, str]]:
    """Return what a name of a path must end with, begin with and contain to match a name of a pattern."""
    runs = _runs(name, special)
    parts: list[tuple[str, str]] = []
    if runs and not special[-1]:
        parts.append(("ends", runs[-1]))
    if runs and not crosses:
        if not special[0]:
            parts.append(("starts", runs[0]))
        parts.append(("pieces", max(runs, key=len)[:_LONGEST_PIECE]))
    return parts


def _put(tables: Lengths, key: str, number: int) -> None:
    tables.setdefault(len(key), {}).setdefault(key, []).append(number)


def _marks(pattern: str) -> list[bool]:
    """Return for each character whether it may be special."""
    marks = [character in _SPECIAL for character in pattern]
    for at, character in enumerate(pattern):
        if character == "\\" and at + 1 < len(pattern):
            marks[at + 1] = True
        # `**` includes the slash after it: it matches any directories, or none.
        if character == "/" and pattern.endswith("**", 0, at):
            marks[at] = True
    if match := re.search(_CLASS, pattern, re.DOTALL):
        marks[match.start() : match.end()] = [True] * (match.end() - match.start())
    return marks


def _names(pattern: str, marks: Sequence[bool]) -> list[tuple[str, list[bool], bool]]:
    """Return the pattern split at its slashes: each name, its marks, and whether it is certainly between slashes."""
    split: list[tuple[str, list[bool], bool]] = []
    start, exact = 0, True
    for at in range(len(pattern) + 1):
        if at < len(pattern) and (pattern[at] != "/" or (marks[at] and not pattern.endswith("**", 0, at))):
            continue
        name = pattern[start:at]
        split.append((name, list(marks[start:at]), exact))
        # After `a**/` or `a**/**/`, a name of the path may begin with `a`; after `**/` as a whole name, it may not.
        exact = (exact and name == "**") or not name.endswith("**")
        start = at + 1
    return split


def _crosses(name: str, special: Sequence[bool]) -> bool:
    """Return whether a name of a pattern may match more than one name of a path."""
    return "**" in name or any(mark and character in "[]/" for character, mark in zip(name, special, strict=True))


def _runs(name: str, special: Sequence[bool]) -> list[str]:
    """Return the literal parts of a name, in order."""
    shown = "".join("\0" if mark else character for character, mark in zip(name, special, strict=True))
    return [run for run in shown.split("\0") if run]
