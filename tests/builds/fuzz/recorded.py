"""Recorded results of BuildKit for some recipes: `make witness FUZZ=record` writes them, a test reads them.

A line of JSON for each. It holds the whole recipe, so that it stays true when the generator changes.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.builds.cases import Case
from tests.builds.fuzz.trees import Changes, Node, Seen

FILE = Path(__file__).with_name("recorded.jsonl")

# A layer of more paths is one of the base's, which both builders have from elsewhere.
_BASE = 150


class Record(NamedTuple):
    """A recipe as a case, and BuildKit's result."""

    case: Case
    theirs: Seen


def write(records: Iterable[Record], file: Path = FILE) -> None:
    """Write the file again."""
    lines = []
    for case, theirs in records:
        layers = [_plain(layer) for layer in theirs.changes]
        told = {"title": case.title, "sections": case.sections, "config": theirs.config, "history": theirs.history}
        lines.append(json.dumps({**told, "layers": layers}, ensure_ascii=True, separators=(",", ":")) + "\n")
    file.write_text("".join(lines))


def read(file: Path = FILE) -> list[Record]:
    """The records of a file. A layer of the base is empty."""
    records = []
    for line in file.read_text().splitlines():
        told = json.loads(line)
        changes = tuple({path: _node(values) for path, values in layer.items()} for layer in told["layers"])
        seen = Seen(told["config"], tuple(told["history"]), changes)
        records.append(Record(Case("fuzz", told["title"], told["sections"]), seen))
    return records


def with_bases(theirs: Seen, ours: Seen) -> Seen:
    """A recorded image with the layers of the base, from another image on that base."""
    pairs = itertools.zip_longest(theirs.changes, ours.changes[: len(theirs.changes)], fillvalue={})
    return theirs._replace(changes=tuple(mine if len(mine) > _BASE else layer for layer, mine in pairs))


def _plain(layer: Changes) -> dict[str, Any]:
    return {path: list(node) if node else None for path, node in layer.items()} if len(layer) <= _BASE else {}


def _node(values: list[Any] | None) -> Node | None:
    return None if values is None else Node(*values[:-1], tuple(values[-1]))
