"""The cases: files with what is asked of them, and expressions. `cases/README.md` describes the format."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.answers import RecordedCase

HERE = Path(__file__).parent
CASES = HERE / "cases"
ANSWERS = HERE / "answers.jsonl"
_DEFAULT = "docker-bake.hcl"


def expression(text: str, title: str) -> RecordedCase:
    """A case that prints the value of an expression as JSON."""
    return RecordedCase(
        title, {_DEFAULT: f'target "default" {{\n  args = {{\n    X = jsonencode({text}\n)\n  }}\n}}\n'}
    )


def expressions() -> Iterator[RecordedCase]:
    """The expressions of the table."""
    family = ""
    for line in (CASES / "expressions.txt").read_text().splitlines():
        if line.startswith("## "):
            family = line[3:]
        elif line and not line.startswith("# "):
            yield expression(line, f"{family}: {line}")


def tables() -> Iterator[RecordedCase]:
    """The cases of all tables of files."""
    for path in sorted(CASES.glob("*.txt")):
        if path.name != "expressions.txt":
            yield from read(path.read_text(), path.stem)


def read(text: str, name: str) -> Iterator[RecordedCase]:
    """The cases of one table."""
    title, at = "", ""
    words: tuple[str, ...] = ()
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    for line in [*text.splitlines(), "== "]:
        if line.startswith("== "):
            if title:
                yield RecordedCase(title, files, words, env)
            title, words, env, files, at = f"{name}: {line[3:]}", (), {}, {}, ""
        elif not title:
            continue
        elif line.startswith("-- ") and not line.startswith("-- -"):
            at = line[3:]
            files[at] = ""
        elif not at and line.startswith("args:"):
            words = tuple(shlex.split(line[5:]))
        elif not at and line.startswith("env:"):
            env.update((part.partition("=")[0], part.partition("=")[2]) for part in shlex.split(line[4:]))
        else:
            at = at or _DEFAULT
            files[at] = files.get(at, "") + line + "\n"


def generated() -> Iterator[RecordedCase]:
    """The expressions that hypothesis has made, as they were recorded."""
    for line in (HERE / "generated.jsonl").read_text().splitlines():
        yield expression(json.loads(line), f"generated: {json.loads(line)}")


def recorded() -> dict[str, str | None]:
    """buildx's answers by the keys of the cases: what it prints, None where it fails."""
    found: dict[str, str | None] = {}
    for line in ANSWERS.read_text().splitlines():
        key, answer = json.loads(line)
        found[key] = answer
    return found


def compact(answer: str | None, case: RecordedCase) -> Any:
    """An answer as it is recorded: of an expression only its value."""
    if answer is None or ("generated" not in case.title and case.title.split(":")[0] not in FAMILIES):
        return answer
    try:
        found = json.loads(answer)["target"]["default"]["args"]["X"]
    except (ValueError, KeyError):
        return answer
    return found


FAMILIES: frozenset[str] = frozenset(
    line[3:] for line in (CASES / "expressions.txt").read_text().splitlines() if line.startswith("## ")
)
