"""Tables as docker prints them: aligned columns with three spaces between, no spaces at the end of a line."""

from collections.abc import Iterable, Sequence

from polyarch.render import text

_GAP = "   "


def render(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table, one line a row, each ended by a newline. An empty `header` gives no header line."""
    lines = [tuple(header), *map(tuple, rows)] if header else [*map(tuple, rows)]
    if not lines:
        return ""
    columns = [[text.width(cell) for cell in column] for column in zip(*lines, strict=True)]
    widest = [max(column) for column in columns]
    padding = zip(
        *([most - width for width in column] for most, column in zip(widest, columns, strict=True)), strict=True
    )
    shown = (
        _GAP.join(cell + " " * missing for cell, missing in zip(line, spaces, strict=True)).rstrip()
        for line, spaces in zip(lines, padding, strict=True)
    )
    return "\n".join(shown) + "\n"
