"""The rooms of the source, drawn from its imports: docs/pictures/rooms.svg and a table in docs/architecture.md.

`python -m scripts.rooms` writes both, and with --check compares them with what is committed. A room is a package or
a module directly below `polyarch`. It stands above every room that it imports, and says itself what it is, in the
first sentence of its docstring. An arrow is left out where a longer way leads to the same room.
"""

import ast
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from scripts import generated, limits

PAGE = Path("docs/architecture.md")
PICTURE = Path("docs/pictures/rooms.svg")
BEGIN = "<!-- Written by `make docs` from the imports. -->"
END = "<!-- End of what `make docs` writes. -->"

# Neither has anything to say about how the source is laid out.
_LEFT_OUT = {"", "__main__", "version"}


class Room(NamedTuple):
    """`path` is as people write it: `store/`, `errors.py`. `imports` are the rooms that the arrows lead to."""

    name: str
    path: str
    purpose: str
    level: int
    imports: tuple[str, ...]
    within: Mapping[str, str]


def rooms(source: limits.Source) -> list[Room]:
    """All rooms, the highest first. What a package has as packages of its own is `within` it, with its purpose."""
    files = {file.name: file for file in source.files}
    imports: dict[str, set[str]] = {}
    for name, file in files.items():
        here = _room(name)
        if here not in _LEFT_OUT:
            found = {_room(other) for other in limits.imported(file, files.keys())}
            imports.setdefault(here, set()).update(found - _LEFT_OUT - {here})
    below = {name: _below(name, imports) for name in imports}
    levels = {name: _level(name, imports) for name in imports}
    made = []
    for name in sorted(imports, key=lambda name: (-levels[name], name)):
        direct = {other for other in imports[name] if not any(other in below[between] for between in imports[name])}
        file = files[f"polyarch.{name}"]
        path = f"{name}/" if file.path.endswith("__init__.py") else f"{name}.py"
        made.append(Room(name, path, _purpose(file), levels[name], tuple(sorted(direct)), dict(_within(name, files))))
    return made


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


def _below(name: str, imports: Mapping[str, set[str]], above: tuple[str, ...] = ()) -> set[str]:
    """All that a room imports, directly or not."""
    if name in above:
        raise SystemExit(f"rooms import each other: {', '.join(above)}")
    found = set(imports[name])
    for other in imports[name]:
        found |= _below(other, imports, (*above, name))
    return found


def _level(name: str, imports: Mapping[str, set[str]]) -> int:
    return 1 + max((_level(other, imports) for other in imports[name]), default=0)


def _within(name: str, files: Mapping[str, limits.File]) -> Iterator[tuple[str, str]]:
    for module, file in sorted(files.items()):
        if module.startswith(f"polyarch.{name}.") and file.path.endswith("/__init__.py"):
            yield f"{module.removeprefix('polyarch.').replace('.', '/')}/", _purpose(file)


def _purpose(file: limits.File) -> str:
    """The first sentence of a docstring, without its full stop."""
    text = " ".join((ast.get_docstring(ast.parse(file.text)) or "").split("\n\n")[0].split())
    return re.split(r"\.(?: |$)", text)[0]


def table(found: list[Room]) -> str:
    lines = [BEGIN, "", "![The rooms, and what each imports](pictures/rooms.svg)", ""]
    lines += ["| room | what it is | imports, beside what these import |", "|---|---|---|"]
    for room in found:
        imports = ", ".join(f"`{name}`" for name in room.imports)
        lines.append(f"| `{room.path}` | {room.purpose} | {imports} |")
        lines += [f"| &nbsp;&nbsp;`{path}` | {purpose} | |" for path, purpose in room.within.items()]
    return "\n".join([*lines, "", END])


# The picture, in pixels
_WIDTH, _HEIGHT = 214, 66
_GAP, _BETWEEN = 18, 46
_MARGIN = 16


class Box(NamedTuple):
    x: float
    y: float
    room: Room

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2


def picture(found: list[Room]) -> str:
    boxes = _placed(found)
    width = max(box.x for box in boxes.values()) + _WIDTH + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">',
        "<title>The rooms, and what each imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0 0L8 4L0 8z" fill="#7a8699"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *_arrows(boxes),
        *(line for box in boxes.values() for line in _box(box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _placed(found: list[Room]) -> dict[str, Box]:
    """Each level is a row, and each room as near as the row allows to the middle of those that import it."""
    rows: dict[int, list[Room]] = {}
    for room in found:
        rows.setdefault(room.level, []).append(room)
    width = max(len(row) for row in rows.values()) * (_WIDTH + _GAP) - _GAP
    boxes: dict[str, Box] = {}

    def wanted(room: Room) -> tuple[float, str]:
        above = [box.middle for box in boxes.values() if room.name in box.room.imports]
        return sum(above) / len(above) if above else 0, room.name

    for number, (_, row) in enumerate(sorted(rows.items(), reverse=True)):
        left = _MARGIN + (width - len(row) * (_WIDTH + _GAP) + _GAP) / 2
        for place, room in enumerate(sorted(row, key=wanted)):
            boxes[room.name] = Box(left + place * (_WIDTH + _GAP), _MARGIN + number * (_HEIGHT + _BETWEEN), room)
    return boxes


def _arrows(boxes: Mapping[str, Box]) -> Iterator[str]:
    """From below a box to above each that it imports, side by side where there are several."""
    ends: dict[str, list[str]] = {
        name: sorted((box.room.name for box in boxes.values() if name in box.room.imports), key=lambda n: boxes[n].x)
        for name in boxes
    }
    taken: Counter[tuple[float, float]] = Counter()
    for name, box in boxes.items():
        starts = sorted(box.room.imports, key=lambda other: boxes[other].x)
        for place, other in enumerate(starts, 1):
            x1, y1 = box.x + _WIDTH * place / (len(starts) + 1), box.y + _HEIGHT
            x2 = boxes[other].x + _WIDTH * (ends[other].index(name) + 1) / (len(ends[other]) + 1)
            path = f"M{x1:.0f} {y1:.0f}"
            for x, y in _gaps(x1, y1, x2, boxes[other].y, boxes):
                # Arrows through one gap stand beside each other.
                aside = x + (0, 5, -5)[taken[x, y] % 3]
                taken[x, y] += 1
                path += f"{_curve(x1, y1, aside, y)}V{y + _HEIGHT:.0f}"
                x1, y1 = aside, y + _HEIGHT
            path += _curve(x1, y1, x2, boxes[other].y - 2)
            yield f'<path d="{path}" fill="none" stroke="#7a8699" stroke-width="1.3" marker-end="url(#tip)"/>'


def _gaps(x1: float, y1: float, x2: float, y2: float, boxes: Mapping[str, Box]) -> Iterator[tuple[float, float]]:
    """For each row that an arrow passes, the place beside a box that is nearest to the straight line."""
    for y in sorted({box.y for box in boxes.values() if y1 < box.y < y2}):
        row = [box.x for box in boxes.values() if box.y == y]
        wanted = x1 + (x2 - x1) * (y + _HEIGHT / 2 - y1) / (y2 - y1)
        beside = {x - _GAP / 2 for x in row} | {x + _WIDTH + _GAP / 2 for x in row}
        yield min(sorted(beside), key=lambda x: abs(x - wanted)), y


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = (y2 - y1) * 0.6
    return f"C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"


def _box(box: Box) -> Iterator[str]:
    yield (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" '
        'fill="#eef3fb" stroke="#45597a"/>'
    )
    middle = f'x="{box.middle:.0f}" text-anchor="middle"'
    yield f'<text {middle} y="{box.y + 20:.0f}" font-size="14" font-weight="bold">{escape(box.room.path)}</text>'
    text = box.room.purpose.replace("`", "")
    # What comes before a colon says enough, unless it is only the name.
    head = text.partition(":")[0]
    short = textwrap.wrap(head if " " in head else text, 37, max_lines=2, placeholder=" …")
    for number, line in enumerate(short):
        yield f'<text {middle} y="{box.y + 39 + 15 * number:.0f}" font-size="11">{escape(line)}</text>'


def written(page: str, found: list[Room]) -> str:
    """The page with the table between its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no place for the rooms: write {BEGIN} and {END}")
    return before + table(found) + after


def main(arguments: list[str], root: Path = limits.ROOT) -> int:
    found = rooms(limits.Source(root))
    wanted = {PICTURE: picture(found), PAGE: written((root / PAGE).read_text(), found)}
    return generated.main(arguments, root, wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
