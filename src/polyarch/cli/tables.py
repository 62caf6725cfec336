"""Aligned columns, as docker prints them: headers in capitals, three spaces between, nothing behind the last."""

from collections.abc import Iterable, Sequence

from polyarch.cli import text

_GAP = "   "


def render(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table, a line a row, the header first where there is one; with a newline at its end."""
    lines = [tuple(header), *map(tuple, rows)] if header else [*map(tuple, rows)]
    if not lines:
        return ""
    widths = [max(text.width(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = (
        _GAP.join(text.pad(cell, columns) for cell, columns in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "\n".join(shown) + "\n"
