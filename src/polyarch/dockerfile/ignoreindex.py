"""Which of many ignore patterns may match a path, found without asking each of them.

A pattern has something that every path which it matches must have: a name at some distance from the end, the beginning
or the end of such a name, some letters in it, a directory anywhere. The patterns lie in tables by that, so a path
costs some look-ups, however many patterns there are. Those that are found still have to be asked: an index promises
only that no pattern is left out.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# What may mean something else in a pattern than itself. In a class, from the first bracket to the last, all may.
_SPECIAL = frozenset("*?[]^\\")
_CLASS = r"\[.*\]|\[.*|.*\]"
# Pieces of names that are looked up are no longer than this: then there are few lengths.
_LONGEST_PIECE = 4

Table = dict[str, list[int]]
# By the length of the key: a path is cut to each length that there is.
Lengths = dict[int, Table]
# (kind, distance from the end, text): one thing that a path must have.
Need = tuple[str, int, str]


class _Place:
    """The patterns that say something of the name at one distance from the end of a path."""

    def __init__(self) -> None:
        self.exact: Table = {}
        self.starts: Lengths = {}
        self.ends: Lengths = {}
        self.pieces: Lengths = {}

    def find(self, name: str, found: list[int]) -> None:
        if self.exact and (numbers := self.exact.get(name)):
            found += numbers
        for length, table in self.starts.items():
            if numbers := table.get(name[:length]):
                found += numbers
        for length, table in self.ends.items():
            if numbers := table.get(name[-length:]):
                found += numbers
        for length, table in self.pieces.items():
            for at in range(len(name) - length + 1):
                if numbers := table.get(name[at : at + length]):
                    found += numbers


class PatternIndex:
    """Patterns by what they need. `candidates` gives the numbers of those that a path has to be asked of."""

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
                # What the fewest others need tells a pattern apart: of a thousand, all may need `.c` at the end.
                self._add(number, min(several, key=common.__getitem__))
            else:
                self._rest.append(number)
        # Only the last name has to be cut off for most sets of patterns.
        self._last = self._places.pop(0, None)

    def candidates(self, path: str) -> list[int]:
        """The numbers of the patterns that may match `path`, in no order, some perhaps twice."""
        found = list(self._rest)
        if self._whole and (numbers := self._whole.get(path)):
            found += numbers
        if self._last is not None:
            self._last.find(path[path.rfind("/") + 1 :], found)
        for length, table in self._heads.items():
            if numbers := table.get(path[:length]):
                found += numbers
        if self._places or self._anywhere:
            names = path.split("/")
            for distance, place in self._places.items():
                if distance < len(names):
                    place.find(names[-1 - distance], found)
            if self._anywhere:
                for name in names:
                    if numbers := self._anywhere.get(name):
                        found += numbers
        return found

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
    """What each path that a pattern matches must have; the first is the cheapest to look up."""
    marks = _marks(pattern)
    if not any(marks):
        return [("whole", 0, pattern)]
    found: list[Need] = []
    names = _names(pattern, marks)
    for distance, (name, special, exact) in enumerate(reversed(names)):
        if name and exact and not any(special):
            found.append(("exact", distance, name))
            continue
        # What crosses slashes leaves open how far from the end the names before it are.
        crosses = not exact or _crosses(name, special)
        found += [(kind, distance, text) for kind, text in _parts(name, special, crosses)]
        if crosses:
            break
    found += [("anywhere", 0, name) for name, special, exact in names if name and exact and not any(special)]
    if head := pattern[: marks.index(True)]:
        found.append(("head", 0, head))
    return found


def _parts(name: str, special: Sequence[bool], crosses: bool) -> list[tuple[str, str]]:
    """What the names must end with, begin with and have in them which a name of a pattern stands for."""
    runs = _runs(name, special)
    found: list[tuple[str, str]] = []
    if runs and not special[-1]:
        found.append(("ends", runs[-1]))
    if runs and not crosses:
        if not special[0]:
            found.append(("starts", runs[0]))
        found.append(("pieces", max(runs, key=len)[:_LONGEST_PIECE]))
    return found


def _put(tables: Lengths, key: str, number: int) -> None:
    tables.setdefault(len(key), {}).setdefault(key, []).append(number)


def _marks(pattern: str) -> list[bool]:
    """For each character whether it may mean something else than itself."""
    marks = [character in _SPECIAL for character in pattern]
    for at, character in enumerate(pattern):
        if character == "\\" and at + 1 < len(pattern):
            marks[at + 1] = True
        # `**` takes the slash behind it along: it stands for any directories, or none.
        if character == "/" and pattern.endswith("**", 0, at):
            marks[at] = True
    if found := re.search(_CLASS, pattern, re.DOTALL):
        marks[found.start() : found.end()] = [True] * (found.end() - found.start())
    return marks


def _names(pattern: str, marks: Sequence[bool]) -> list[tuple[str, list[bool], bool]]:
    """The pattern cut at its slashes: each name, its marks, and whether it stands between slashes for sure."""
    found: list[tuple[str, list[bool], bool]] = []
    start, exact = 0, True
    for at in range(len(pattern) + 1):
        if at < len(pattern) and (pattern[at] != "/" or (marks[at] and not pattern.endswith("**", 0, at))):
            continue
        name = pattern[start:at]
        found.append((name, list(marks[start:at]), exact))
        # Behind `a**/`, and behind `a**/**/`, a name may begin with `a`; behind `**/` that stands alone it is alone.
        exact = (exact and name == "**") or not name.endswith("**")
        start = at + 1
    return found


def _crosses(name: str, special: Sequence[bool]) -> bool:
    """Whether a name of a pattern may stand for more than one name of a path."""
    return "**" in name or any(mark and character in "[]/" for character, mark in zip(name, special, strict=True))


def _runs(name: str, special: Sequence[bool]) -> list[str]:
    """The stretches of a name that mean themselves, in order."""
    shown = "".join("\0" if mark else character for character, mark in zip(name, special, strict=True))
    return [run for run in shown.split("\0") if run]
