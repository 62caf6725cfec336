"""`make bake-oracle`: asks buildx about every case again, and about new random expressions, and compares the answers.

python -m tests.bake [--new COUNT]    compare all recorded cases and COUNT new expressions (default 200)
python -m tests.bake record           write down buildx's answers to the cases
python -m tests.bake generate COUNT   replace the recorded random expressions, and record
python -m tests.bake syntax COUNT     replace the recorded texts for the syntax, and ask HCL's own parser about them

buildx is Debian sid's, from a root apart (scripts/debian_root.py); `--print` needs no daemon.
"""

import argparse
import json
import random
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis.errors import NonInteractiveExampleWarning

from scripts import busybox, debian_root
from tests.answers import RecordedCase
from tests.bake import cases, running, syntax
from tests.bake.explained import explained
from tests.bake.generate import EXPRESSIONS

_ROOT = ("sid", ("docker.io", "docker-buildx", "git", "xz-utils"))
_PROGRAM = "usr/libexec/docker/cli-plugins/docker-buildx"


def buildx() -> Path:
    """Debian's buildx. The root is the one that scripts/buildkit_daemon.py uses."""
    return debian_root.root(*_ROOT, busybox.cache_directory()) / _PROGRAM


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bake")
    parser.add_argument("what", nargs="?", default="compare", choices=["compare", "record", "generate", "syntax"])
    parser.add_argument("count", nargs="?", type=int, default=300)
    parser.add_argument("--new", type=int, default=200)
    chosen = parser.parse_args(arguments)
    if chosen.what == "syntax":
        syntax.record(chosen.count, random.randrange(1 << 30))
        return 0
    program = buildx()
    if chosen.what == "generate":
        texts = [json.dumps(text, ensure_ascii=False) for text in _drawn(chosen.count)]
        (cases.HERE / "generated.jsonl").write_text("\n".join(texts) + "\n")
    known = [*cases.expressions(), *cases.tables(), *cases.generated()]
    if chosen.what != "compare":
        lines = [json.dumps([case.key, answer], ensure_ascii=False) for case, answer in _asked(known, program)]
        cases.ANSWERS.write_text("\n".join(sorted(lines)) + "\n")
        return 0
    new = [cases.expression(text, f"new: {text}") for text in _drawn(chosen.new)]
    wrong = 0
    for case, answer in _asked([*known, *new], program):
        with tempfile.TemporaryDirectory(prefix="polyarch-bake-") as directory:
            found, said = running.ours(case, Path(directory))
        if found != answer and explained(case) is None:
            wrong += 1
            print(
                f"== {case.title}\nbuildx: {cases.compact(answer, case)}\nhere:   {cases.compact(found, case) or said}"
            )
    print(f"{len(known) + len(new)} cases, {wrong} differ without a reason")
    parsed = syntax.asked(
        [*(text for text, _ in syntax.recorded()), *syntax.texts(10 * chosen.new, random.randrange(1 << 30))]
    )
    unlike = syntax.differences(parsed)
    print(f"{len(parsed)} texts for the syntax, {len(unlike)} differ", *map(repr, unlike), sep="\n")
    return 1 if wrong or unlike else 0


def _asked(known: Iterable[RecordedCase], program: Path) -> list[tuple[RecordedCase, str | None]]:
    def one(case: RecordedCase) -> tuple[RecordedCase, str | None]:
        with tempfile.TemporaryDirectory(prefix="polyarch-bake-") as directory:
            return case, running.theirs(case, Path(directory), program)[0]

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, known))


def _drawn(count: int) -> list[str]:
    """Random expressions, each once."""
    warnings.simplefilter("ignore", NonInteractiveExampleWarning)
    found: dict[str, None] = {}
    while len(found) < count:
        found[EXPRESSIONS.example()] = None
    texts = list(found)
    random.shuffle(texts)
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
