"""Writes generated files anew, or with `--check` says which of them are stale."""

import sys
from collections.abc import Mapping
from pathlib import Path


def main(arguments: list[str], root: Path, wanted: Mapping[Path, str]) -> int:
    """Write the files that differ from `wanted`, texts by paths below `root`, or only name them. Returns the status."""
    check = arguments == ["--check"]
    stale = [path for path, text in wanted.items() if not (root / path).exists() or (root / path).read_text() != text]
    for path in stale:
        if not check:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(wanted[path])
            print(path)
    if check and stale:
        print(f"not what the code says: {', '.join(map(str, stale))}: run `make docs`", file=sys.stderr)
    return 1 if check and stale else 0
