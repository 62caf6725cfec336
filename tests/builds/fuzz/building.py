"""Builds a recipe with both builders and compares the results."""

import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from scripts.buildkit_daemon import BuildKitDaemon
from tests.builds.cases import Case, options_of
from tests.builds.conftest import Worker
from tests.builds.fuzz.recipe import Recipe
from tests.builds.fuzz.rules import Outcome, differences
from tests.builds.fuzz.shrink import shrink
from tests.builds.fuzz.trees import seen

_OLD = 1_000_000_000
# How often a recipe is built again without the instruction that failed.
_FAILING = 4
_SECONDS = 120


class Verdict(NamedTuple):
    """The result of a recipe. failing: the line of an instruction that fails, or 0; failed: whether one did before."""

    made: Recipe
    differences: list[str]
    theirs: Outcome
    failing: int
    failed: bool


class Both:
    """Builds recipes here and with BuildKit. Its directory and its builders belong to who made it.

    Safe to use from several threads; the worker is used by one at a time.
    """

    def __init__(self, worker: Worker, daemon: BuildKitDaemon, directory: Path) -> None:
        self._worker = worker
        self._daemon = daemon
        self._directory = directory
        self._here = threading.Lock()
        self._numbers = itertools.count()

    def judge(self, made: Recipe) -> Verdict:
        """Build it both ways, and again without the instruction that fails, as long as one does."""
        verdict = self._once(made)
        for _ in range(_FAILING):
            if verdict.differences or not verdict.failing:
                break
            verdict = self._once(verdict.made.without_line(verdict.failing))._replace(failed=True)
        return verdict

    def shrunk(self, made: Recipe, found: list[str]) -> Recipe:
        """The recipe as small as it can be with a difference of the same kind."""
        kinds = {line.split()[0] for line in found}
        return shrink(made, lambda smaller: bool(kinds & {line.split()[0] for line in self._once(smaller).differences}))

    def _once(self, made: Recipe) -> Verdict:
        place = self._directory / f"{next(self._numbers)}"
        try:
            theirs = self._there(made.case(), place / "theirs")
            with self._here:
                ours = build_here(self._worker, made.case(), place / "ours")
            found = differences(made.case(), ours, theirs)
            lines = [re.search(r"Dockerfile:(\d+)", outcome.error) for outcome in (ours, theirs)]
            failing = next((int(line[1]) for line in lines if line), 0)
            return Verdict(made, found, theirs, failing, bool(failing))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _there(self, case: Case, place: Path) -> Outcome:
        options = prepared(case, place)
        layout = place / "layout"
        words = ["build", "--progress=plain", "--provenance=false", "--network=host", "--platform=linux/amd64"]
        words += [f"--output=type=oci,tar=false,dest={layout}"]
        words += [f"--build-arg={name}={value}" for name, value in options.get("build_args", {}).items()]
        words += [f"--label={name}={value}" for name, value in options.get("labels", {}).items()]
        done = subprocess.run(
            self._daemon.buildx(*words, options["context"]),
            env={**self._daemon.environment, "PATH": "/usr/bin:/bin", "HOME": str(place)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            return Outcome(None, done.stderr[max(done.stderr.find("\n------\n"), 0) :] or "?")
        pending = json.loads((layout / "index.json").read_text())["manifests"]
        while "index" in pending[0]["mediaType"]:
            digest = pending[0]["digest"].removeprefix("sha256:")
            pending = json.loads((layout / "blobs/sha256" / digest).read_text())["manifests"]
        return Outcome(seen(layout, pending[0]["digest"]))


def build_here(worker: Worker, case: Case, place: Path) -> Outcome:
    """The result of this builder."""
    outcome = worker.build(**prepared(case, place))
    if "error" in outcome:
        return Outcome(None, f"{outcome['error']}\n{outcome['output']}")
    return Outcome(seen(worker.root / "oci", outcome["images"]["linux/amd64"]))


def prepared(case: Case, place: Path) -> dict[str, Any]:
    """What is asked of a builder, with the context in a directory. All times in it are long past."""
    options = options_of(case, place)
    context = Path(options["context"])
    for path in (context, *context.rglob("*")):
        # BuildKit's cache takes files of one content for the same, and gives one for the other: so their times are one.
        told = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        when = _OLD + zlib.crc32(told) % 1_000_000
        os.utime(path, (when, when), follow_symlinks=False)
    return options
