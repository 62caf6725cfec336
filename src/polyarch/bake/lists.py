"""`--list targets|variables`: what buildx prints, aligned with tabs."""

from collections.abc import Sequence
from typing import Any

from polyarch.bake.printing import rendered
from polyarch.bake.reading.variables import BakeVariable
from polyarch.bake.target import Definition

_TAB = 8


def targets(definition: Definition) -> list[dict[str, Any]]:
    """The targets and groups by name, without those whose name begins with `_`."""
    found: list[tuple[str, dict[str, Any]]] = []
    for target in definition.targets:
        described = {"description": target.description} if target.description else {}
        found.append((target.name, {"name": target.name, **described}))
    for group in definition.groups:
        members = ", ".join(sorted(group.targets))
        text = f"{group.description} ({members})" if group.description and members else group.description or members
        described = {"description": text} if text else {}
        found.append((group.name, {"name": group.name, **described, "group": True}))
    return [one for name, one in sorted(found, key=lambda item: item[0]) if not name.startswith("_")]


def variables(found: Sequence[BakeVariable]) -> list[dict[str, Any]]:
    """The variables by name."""
    listed = []
    for one in sorted(found, key=lambda variable: variable.name):
        given = {"description": one.description or None, "type": one.type or None, "value": one.value}
        listed.append({"name": one.name, **{name: value for name, value in given.items() if value is not None}})
    return listed


def as_json(listed: Sequence[dict[str, Any]]) -> str:
    """The list as JSON. Go writes an empty list that was never made as null."""
    return rendered(list(listed)) + "\n" if listed else "null\n"


def as_table(listed: Sequence[dict[str, Any]], what: str) -> str:
    """The list as a table."""
    if what == "targets":
        return _aligned([("TARGET", "DESCRIPTION"), *((one["name"], one.get("description", "")) for one in listed)])
    cells = (("type", ""), ("value", "<null>"), ("description", ""))
    rows = [(one["name"], *(one.get(name, absent) for name, absent in cells)) for one in listed]
    return _aligned([("VARIABLE", "TYPE", "VALUE", "DESCRIPTION"), *rows])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns that begin at multiples of eight (Go's tabwriter with tabs)."""
    widths = [max(len(cell) for cell in column) + 1 for column in zip(*rows, strict=True)]
    stops = [-(-width // _TAB) * _TAB for width in widths[:-1]]
    lines = []
    for *cells, last in rows:
        padded = [cell + "\t" * -(-(stop - len(cell)) // _TAB) for cell, stop in zip(cells, stops, strict=True)]
        lines.append("".join(padded) + last + "\n")
    return "".join(lines)
