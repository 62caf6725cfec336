"""Processes that work in one store at once: each builds, pulls, tags, removes and prunes at random.

A private name of each worker, and what it last pointed at, belongs to the worker alone, so it must always be
complete. Names that all share may come and go at any time.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.program import Program
from tests.reliability import crash
from tests.reliability.scenarios import Site

# Errors of a lost race: the name is gone, the list exists already, another worker prunes.
_CONFLICTS = (
    "the store has no image",
    "no such image",
    "there is no image",
    "is not in the store",
    "already exists",
    "is there already",
    "the store is in use by another command",
    "no such list",
    "pull the image",
)


class Tally(NamedTuple):
    """Counts of a worker: commands that succeeded, real conflicts, and other errors."""

    done: int
    conflicts: int
    wrong: list[str]


def work(site: Site, seconds: float, workers: int, seed: int) -> Tally:
    """Run the workers on one store, then check the store."""
    number = random.Random(seed).randrange(1 << 30)
    polyarch = site.fresh(number)
    before = crash.names(polyarch.root)
    started = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.reliability.crowd"),
                *(str(polyarch.root), str(site.directory), site.registry.address, str(seconds), str(one), str(seed)),
            ],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for one in range(workers)
    ]
    done, conflicts, wrong = 0, 0, []
    for process in started:
        output, errors = process.communicate(timeout=seconds + 120)
        if process.returncode:
            wrong.append(errors)
            continue
        told = json.loads(output)
        done += told["done"]
        conflicts += told["conflicts"]
        wrong += told["wrong"]
    shared = {name for name in crash.names(polyarch.root) if "shared" in name or "own" in name}
    wrong += crash.looked_at(polyarch.root, before, shared)
    polyarch("system", "prune", "-af")
    wrong += crash.looked_at(polyarch.root, before, shared)
    return Tally(done, conflicts, wrong)


class _Worker:
    """One of the crowd, in a process of its own."""

    def __init__(self, root: Path, site: Path, registry: str, number: int, seed: int) -> None:
        self.polyarch = Program(root, site / "home")
        self.site = site
        self.registry = registry
        self.own = f"own{number}"
        self.has_own = False
        self.dice = random.Random(seed * 1000 + number)
        self.done = self.conflicts = 0
        self.wrong: list[str] = []

    def step(self) -> None:
        """One command of the worker's choice; then its own image must be whole."""
        shared = f"shared{self.dice.randrange(3)}"
        name = self.own if self.dice.random() < 0.5 else shared
        match self.dice.randrange(9):
            case 0 | 1:
                self._own(name, self.run("build", "-q", "-t", name, self.context()))
            case 2:
                dockerfile = self.site / "context/Dockerfile.copying"
                platforms = "linux/amd64,linux/arm64"
                command = ("build", "-q", "--platform", platforms, "-t", name, "-f", dockerfile, self.site / "context")
                self._own(name, self.run(*command))
            case 3:
                self.run("pull", "-q", f"{self.registry}/base:1")
            case 4:
                self._own(name, self.run("tag", "busybox", name))
            case 5:
                self.run("rmi", shared)
            case 6:
                self.run("system", "prune", *self.dice.choice((("-f",), ("-f", "-a"), ("-f", "--keep-storage", "1MB"))))
            case 7:
                self.run("manifest", "create", "--amend", f"{shared}-list", "busybox", "one")
            case 8:
                self.run("run", "--rm", "--pull", "never", shared, "true")
        if self.has_own and self.dice.random() < 0.3:
            self.run("run", "--rm", "--pull", "never", self.own, "true")
            self.run("save", "-o", os.devnull, self.own)

    def run(self, *words: Any) -> bool:
        """Whether the command succeeded. An error about the worker's own image is always wrong."""
        done = self.polyarch(*words, check=False)
        if done.status == 0:
            self.done += 1
            return True
        about_own = self.own in words
        if not about_own and any(conflict in done.stderr.lower() for conflict in _CONFLICTS):
            self.conflicts += 1
        else:
            self.wrong.append(str(done))
        return False

    def context(self) -> Path:
        """A build context that only this worker writes; every other build is of something new."""
        context = self.site / f"context-{self.own}"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(
            "FROM busybox\nCOPY file /file\nRUN --mount=type=cache,target=/c cat /file >>/c/log; cp /file /copy\n"
        )
        (context / "file").write_text(str(self.dice.randrange(6)) * 10_000)
        return context

    def _own(self, name: str, succeeded: bool) -> None:
        self.has_own |= succeeded and name == self.own


def main() -> None:
    """A worker's process: root, site, registry, seconds, number, seed."""
    root, site, registry, seconds, number, seed = sys.argv[1:]
    worker = _Worker(Path(root), Path(site), registry, int(number), int(seed))
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline and not worker.wrong:
        worker.step()
    print(json.dumps({"done": worker.done, "conflicts": worker.conflicts, "wrong": worker.wrong}))


if __name__ == "__main__":
    main()
