"""A TOML file with the place of each key. Python's tomllib gives values only, so the lines are searched for keys."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from polyarch.imagetest.places import FilePlaces, TestFileError, TreePath

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_DOTTED})[ \t]*\]")
_PAIR = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_FENCE = re.compile(r'"""|\'\'\'')
_WHERE = re.compile(r"\(at line (\d+), column (\d+)\)")


def read(name: str, text: str) -> tuple[dict[str, Any], FilePlaces]:
    """The document, and where its keys are. Raises TestFileError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.search(str(error))
        reason = _WHERE.sub("", str(error)).strip()
        # Without a place, the error is at the end of the document.
        end = (text.count("\n") + 1, len(text) - text.rfind("\n"))
        line, column = where.groups() if where else end
        raise TestFileError(f"{name}:{line}:{column}: invalid TOML: {reason}") from error
    except RecursionError:
        raise TestFileError(f"{name}: the values are nested too deeply") from None
    marks: dict[TreePath, tuple[int, int]] = {}
    for path, place in _marks(text):
        marks.setdefault(path, place)
    return document, FilePlaces(name, marks)


def _marks(text: str) -> Iterator[tuple[TreePath, tuple[int, int]]]:
    """The places of tables and keys. A key in an inline table has the place of its line's key."""
    table: TreePath = ()
    counts: dict[TreePath, int] = {}
    fence = ""
    for number, line in enumerate(text.split("\n"), 1):
        if fence:
            fence = "" if line.count(fence) % 2 else fence
            continue
        if header := _HEADER.match(line):
            table = _resolved(_keys(header[2]), counts, appended=header[1] == "[[")
            yield table, (number, header.start(2) + 1)
        elif pair := _PAIR.match(line):
            keys = _keys(pair[1])
            for length in range(1, len(keys) + 1):
                yield (*table, *keys[:length]), (number, pair.start(1) + 1)
        opened = _FENCE.findall(line)
        if len(opened) % 2:
            fence = opened[0]


def _keys(dotted: str) -> TreePath:
    return tuple(key.strip("\"'") for key in re.findall(_KEY, dotted))


def _resolved(keys: TreePath, counts: dict[TreePath, int], *, appended: bool) -> TreePath:
    """The path of a table: an array of tables on the way stands for its last entry."""
    path: TreePath = ()
    for position, key in enumerate(keys):
        path = (*path, key)
        last = position == len(keys) - 1
        if last and appended:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path
