"""`make compose-oracle`: asks docker compose about every case again, and about new random files, and compares.

python -m tests.compose [--new COUNT]    compare all recorded cases and COUNT new files (default 100)
python -m tests.compose record           write down docker compose's answers to the cases
python -m tests.compose generate COUNT   replace the recorded random files, and record

docker compose is Debian sid's, from a root apart (scripts/docker_client.py); `config` needs no daemon.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import docker_client
from tests.answers import RecordedCase
from tests.compose import cases, running
from tests.compose.explained import explained

_FORMS = ("yaml", "json")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose")
    parser.add_argument("what", nargs="?", default="compare", choices=["compare", "record", "generate"])
    parser.add_argument("count", nargs="?", type=int, default=100)
    parser.add_argument("--new", type=int, default=100)
    parser.add_argument("--only", default="", help="compare the cases whose title contains this")
    chosen = parser.parse_args(arguments)
    if chosen.what == "generate":
        from tests.compose.generate import drawn

        lines = [json.dumps(files, ensure_ascii=False) for files in drawn(chosen.count)]
        (cases.HERE / "generated.jsonl").write_text("\n".join(lines) + "\n")
    known = [case for case in (*cases.tables(), *cases.generated()) if chosen.only in case.title]
    if chosen.what != "compare":
        answers = _asked(known)
        short = [(case.key, *(cases.short(*one) for one in _each_form(case, answer))) for case, answer in answers]
        rows = [json.dumps(row, ensure_ascii=False) for row in short]
        cases.ANSWERS.write_text("\n".join(sorted(rows)) + "\n")
        return 0
    return _compare([*known, *(_new(chosen.new) if not chosen.only else [])])


def _new(count: int) -> list[RecordedCase]:
    if not count:
        return []
    from tests.compose.generate import drawn

    return [cases.of_files(files, "new") for files in drawn(count)]


def _each_form(case: RecordedCase, answer: Sequence[str | None]) -> list[tuple[str | None, RecordedCase, str]]:
    return [(text, case, form) for text, form in zip(answer, _FORMS, strict=True)]


def _compare(known: Sequence[RecordedCase]) -> int:
    wrong = 0
    for case, answer in _asked(known):
        for form, wanted in zip(_FORMS, answer, strict=True):
            with tempfile.TemporaryDirectory(prefix="polyarch-compose-") as directory:
                found, said = running.ours(case, Path(directory), form)
            if found != wanted and explained(case, form) is None:
                wrong += 1
                print(f"== {case.title} ({form})\ncompose: {wanted}\nhere:    {said if found is None else found}")
                break
    print(f"{len(known)} cases, {wrong} differ without a reason")
    return 1 if wrong else 0


def _asked(known: Iterable[RecordedCase]) -> list[tuple[RecordedCase, list[str | None]]]:
    compose = docker_client.compose()

    def one(case: RecordedCase) -> tuple[RecordedCase, list[str | None]]:
        with tempfile.TemporaryDirectory(prefix="polyarch-compose-") as directory:
            return case, [running.theirs(case, Path(directory), form, compose)[0] for form in _FORMS]

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
