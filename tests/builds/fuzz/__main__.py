"""`make witness FUZZ=500`: builds random Dockerfiles by seed with BuildKit and here, and shrinks those that differ.

python -m tests.builds.fuzz COUNT [--first SEED]
python -m tests.builds.fuzz record

Compared are the config, the history, and the tree after each layer with modes, owners, times, links and content. The
same seed makes the same Dockerfile always. An instruction that fails both ways is taken out, and the rest built again.
`record` writes down what BuildKit makes of the first seeds, for a test that has no BuildKit. It needs root, as
scripts/buildkit_daemon.py does.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.builds.buildkit import witness
from tests.builds.fuzz import recorded
from tests.builds.fuzz.building import Both
from tests.builds.fuzz.generate import recipe
from tests.builds.fuzz.recorded import Record

# BuildKit's cache is emptied after so many seeds.
_BATCH = 100
_RECORDED = 40

# The verdict on a seed to be built again, alone: BuildKit sometimes loses a snapshot, or the content of a file of the
# context, when several builds run beside each other.
_AGAIN = "again"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.builds.fuzz")
    parser.add_argument("count", help="how many seeds; or `record`")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--jobs", type=int, default=3, help="builds at a time (default: 3)")
    parser.add_argument("--no-shrink", action="store_true", help="show what differs as it is")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="polyarch-fuzz-") as scratch, witness(Path(scratch)) as found:
        print(", ".join(f"{name} {version}" for name, version in found.daemon.versions().items()), flush=True)
        both = Both(found.worker, found.daemon, Path(scratch))
        if chosen.count == "record":
            return _record(both)
        counts: Counter[str] = Counter()
        began = time.monotonic()
        end = chosen.first + int(chosen.count)
        with ThreadPoolExecutor(chosen.jobs) as pool:
            for start in range(chosen.first, end, _BATCH):
                seeds = range(start, min(start + _BATCH, end))
                verdicts = list(pool.map(lambda seed: _first(both, seed), seeds))
                counts.update(verdict for verdict in verdicts if verdict != _AGAIN)
                found.daemon.forget()
                again = [seed for seed, verdict in zip(seeds, verdicts, strict=True) if verdict == _AGAIN]
                counts.update(_alone(both, seed, small=not chosen.no_shrink) for seed in again)
                said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
                print(f"to seed {seeds[-1]}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return 1 if counts["DIFFERENT"] else 0


def _first(both: Both, seed: int) -> str:
    """The verdict in a word, where nothing differs."""
    try:
        verdict = both.judge(recipe(seed))
    except subprocess.TimeoutExpired:
        return _AGAIN
    if verdict.differences:
        return _AGAIN
    return "alike without what fails" if verdict.failed else "alike"


def _alone(both: Both, seed: int, *, small: bool) -> str:
    """Builds a seed that differed again, alone, and prints the differences."""
    verdict = both.judge(recipe(seed))
    if not verdict.differences:
        return "alike when built alone"
    made, found = verdict.made, verdict.differences
    if small:
        made = both.shrunk(made, found)
        found = both.judge(made).differences or ["(not always)", *found]
    print("\n".join((f"DIFFERENT: {made.text()}", *(f"  {line}" for line in found))), flush=True)
    return "DIFFERENT"


def _record(both: Both) -> int:
    """The first seeds of which images come, as BuildKit makes them."""
    records: list[Record] = []
    seed = 0
    while len(records) < _RECORDED:
        verdict = both.judge(recipe(seed))
        if verdict.theirs.image is not None and not verdict.differences:
            records.append(Record(verdict.made.case(), verdict.theirs.image))
        seed += 1
    recorded.write(records)
    print(f"{len(records)} recipes of {seed} seeds are in {recorded.FILE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
