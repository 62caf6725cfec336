"""The cases: files with what is asked of them. The format is that of tests/bake/cases."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.answers import RecordedCase
from tests.bake.cases import read

HERE = Path(__file__).parent
ANSWERS = HERE / "answers.jsonl"
_DEFAULT = "compose.yaml"


def tables() -> Iterator[RecordedCase]:
    """The cases of all tables."""
    for path in sorted((HERE / "cases").glob("*.txt")):
        for case in read(path.read_text(), path.stem):
            files = {_DEFAULT if name == "docker-bake.hcl" else name: text for name, text in case.files.items()}
            yield RecordedCase(case.title, files, case.words, case.env)


def generated() -> Iterator[RecordedCase]:
    """The random files, as they were recorded."""
    path = HERE / "generated.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        yield of_files(json.loads(line), "generated")


def of_files(files: Mapping[str, str], family: str) -> RecordedCase:
    """The case of random files, one on top of the other."""
    words = [word for name in sorted(files) for word in ("-f", name)]
    return RecordedCase(f"{family}: {json.dumps(files)}", files, tuple(words), {"A": "one", "N": "3"})


def recorded() -> dict[str, tuple[str | None, str | None]]:
    """docker compose's answers by the keys of the cases, in short: for YAML and JSON, None where it fails."""
    found = {}
    for line in ANSWERS.read_text().splitlines():
        key, yaml, json_ = json.loads(line)
        found[key] = (yaml, json_)
    return found


def short(answer: str | None, case: RecordedCase, form: str) -> str | None:
    """An answer as it is recorded: the YAML of tables as it is, everything else as a hash."""
    if answer is None or (form == "yaml" and not case.title.startswith("generated: ")):
        return answer
    return hashlib.sha256(answer.encode()).hexdigest()[:16]
