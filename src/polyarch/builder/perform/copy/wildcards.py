"""Which paths of a tree match the pattern of a COPY."""

import itertools
import posixpath
from collections.abc import Callable, Iterator

from polyarch.builder.perform.copy.entry_table import join
from polyarch.builder.perform.copy.placement import SourceTree, resolve
from polyarch.errors import NotFoundError


def matches(tree: SourceTree, pattern: str, match: Callable[[str, str], bool]) -> Iterator[str]:
    """The paths that a source of COPY matches, in order; there may be none.

    `match(pattern, path)` is Go's filepath.Match. As in BuildKit's ResolveWildcards, symlinks are followed before the
    first wildcard, and matches are not descended into. Raises NotFoundError if the part before the first wildcard does
    not exist.
    """
    parts = _parts(pattern)
    fixed = len(literal_parts(pattern))
    if fixed == len(parts):
        yield "/".join(parts)
        return
    top = resolve(tree, "/".join(parts[:fixed]))
    if top and tree.entry(top) is None:
        raise NotFoundError(f'"/{"/".join(parts[:fixed])}": not found')
    yield from _matching(tree, top, parts[fixed:], match)


def literal_parts(pattern: str) -> tuple[str, ...]:
    """The parts of a pattern before the first part with a wildcard."""
    return tuple(itertools.takewhile(lambda part: not _is_wild(part), _parts(pattern)))


def wild_parts(pattern: str) -> int:
    """How many parts a pattern has, counted from the first part with a wildcard."""
    return len(_parts(pattern)) - len(literal_parts(pattern))


def _parts(pattern: str) -> list[str]:
    return [part for part in posixpath.normpath("/" + pattern).split("/") if part]


def _matching(tree: SourceTree, directory: str, wild: list[str], match: Callable[[str, str], bool]) -> Iterator[str]:
    # The remaining matches of each part so far: iterative, because a pattern may have many parts.
    pending = [_matching_names(tree, directory, wild[0], match)]
    while pending:
        path = next(pending[-1], None)
        if path is None:
            pending.pop()
        elif len(pending) == len(wild):
            yield path
        else:
            entry = tree.entry(path)
            # BuildKit matches the pattern against a walk of the tree, which does not enter symlinks.
            if entry is not None and entry.kind == "directory":
                pending.append(_matching_names(tree, path, wild[len(pending)], match))


def _matching_names(tree: SourceTree, directory: str, pattern: str, match: Callable[[str, str], bool]) -> Iterator[str]:
    return (join(directory, name) for name in tree.names(directory) if match(pattern, name))


def _is_wild(part: str) -> bool:
    position = 0
    while position < len(part):
        if part[position] in "*?[":
            return True
        position += 2 if part[position] == "\\" else 1
    return False
