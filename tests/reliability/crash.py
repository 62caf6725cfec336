"""One point: a fault hits a command, and then every promise is checked."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from polyarch.oci import media_types
from polyarch.store import Store
from tests import bases
from tests.program import Program
from tests.reliability import faults, scenarios
from tests.reliability.faults import Point
from tests.reliability.scenarios import Scenario, Site


class Outcome(NamedTuple):
    """What happened at one point. `wrong` is empty where every promise was kept."""

    scenario: str
    point: Point
    was_hit: bool
    status: int
    wrong: tuple[str, ...]


class Aims:
    """The possible points of each scenario, found by one whole run. Owns the number of the last store."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._points: dict[str, dict[str, list[Point]]] = {}
        self._numbers = 0

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def points(self, name: str) -> dict[str, list[Point]]:
        """All points of a scenario, by kind."""
        if name not in self._points:
            number = self.next_number()
            polyarch = self.site.fresh(number)
            try:
                words = [str(polyarch.path), *scenarios.SCENARIOS[name].words(self.site, number)]
                self._points[name] = faults.possible_points(words, polyarch.env, polyarch.root, self.site.directory)
            finally:
                shutil.rmtree(polyarch.root)
        return self._points[name]


def hit(aims: Aims, name: str, fault: str, dice: random.Random, *, witness: bool = False) -> Outcome:
    """Hit a scenario once at a random point, and check everything."""
    site, scenario = aims.site, scenarios.SCENARIOS[name]
    point = faults.choose(aims.points(name), fault, dice)
    number = aims.next_number()
    polyarch = site.fresh(number)
    before = names(polyarch.root)
    wrong: list[str] = []
    try:
        words = [str(polyarch.path), *scenario.words(site, number)]
        done = faults.aim(point, words, polyarch.env, site.directory)
        wrong += _said(done, point)
        if remaining := faults.processes_of(polyarch.root):
            wrong.append(f"processes are left: {remaining}")
        if mounted := faults.mounts_of(polyarch.root):
            wrong.append(f"mounts are left: {mounted}")
        wrong += looked_at(polyarch.root, before, _changed(scenario, site, number, name))
        archive = scenario.writes(site, number)
        if archive is not None and archive.exists() and not scenarios.is_archive(archive):
            wrong.append(f"{archive.name} is there, and not whole")
        wrong += _again(polyarch, scenario, site, number, witness=witness)
        if archive is not None:
            wrong += [] if scenarios.is_archive(archive) else [f"{archive.name} is not whole"]
            archive.unlink(missing_ok=True)
    except AssertionError as error:
        wrong.append(str(error))
    finally:
        shutil.rmtree(polyarch.root, ignore_errors=True)
    return Outcome(name, point, done.was_hit, done.status, tuple(wrong))


def fill_up(aims: Aims, name: str, dice: random.Random) -> Outcome:
    """Run a scenario on a disk that is really full: a tmpfs of which a random part is left."""
    site, scenario = aims.site, scenarios.SCENARIOS[name]
    number = aims.next_number()
    mounted = site.directory / f"store-{number}"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "polyarch-tests", mounted], check=True)
    polyarch = Program(mounted / "store", site.home)
    wrong: list[str] = []
    status, room = -1, dice.choice((0, 4, 40, 400, 1200)) << 10
    try:
        bases.copy_store(site.template, polyarch.root)
        before = names(polyarch.root)
        filler = mounted / "filler"
        free = os.statvfs(mounted).f_bavail * os.statvfs(mounted).f_frsize
        filler.write_bytes(bytes(max(0, free - room)))
        done = polyarch(*scenario.words(site, number), check=False)
        status = done.status
        wrong += _said(faults.Hit(status, done.stdout + done.stderr, True, 0), Point("ENOSPC", "any", 1))
        filler.unlink()
        wrong += looked_at(polyarch.root, before, _changed(scenario, site, number, name))
        wrong += _again(polyarch, scenario, site, number, witness=False)
    except AssertionError as error:
        wrong.append(str(error))
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)
        mounted.rmdir()
    return Outcome(name, Point("full disk", "bytes left", room), status != 0, status, tuple(wrong))


def kill_after(
    polyarch: Program, words: Sequence[str], seconds: float, stop: signal.Signals = signal.SIGKILL
) -> tuple[int, list[str]]:
    """Run a command and kill it after so many seconds: its status, and what of it still runs a moment later."""
    process = subprocess.Popen(
        [*polyarch.prefix, str(polyarch.path), *words],
        env=polyarch.env,
        cwd=polyarch.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.send_signal(stop)
    status = process.wait(faults.SECONDS)
    # What the kernel kills along with it (PR_SET_PDEATHSIG, the first process of a namespace) needs a moment.
    deadline = time.monotonic() + 5
    while (remaining := faults.processes_of(polyarch.root)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return status, remaining


def names(root: Path) -> dict[str, str]:
    """What each name points at."""
    with Store.open(root) as store:
        return {name: descriptor.digest for name, descriptor in store.tagged().items()}


def looked_at(root: Path, before: dict[str, str], may_change: set[str]) -> list[str]:
    """What is wrong with a store. Files are read without the program's own code."""
    wrong = [f"{path.name} has other content" for path in (root / "oci/blobs/sha256").iterdir() if _is_spoilt(path)]
    with Store.open(root) as store:
        # A pull of one platform leaves a sparse index: its other entries are absent, and that is correct.
        wrong += [problem.message for problem in store.maintenance.verify() if problem.kind != "absent"]
        for name, descriptor in store.tagged().items():
            lacking = [one for one in store.missing(descriptor) if one.media_type != media_types.OCI_MANIFEST]
            if lacking or (name in before and store.missing(descriptor)):
                wrong.append(f"{name} lacks {[one.digest for one in lacking]}")
        now = {name: descriptor.digest for name, descriptor in store.tagged().items()}
        wrong += [
            f"{name} was {digest} and is {now.get(name)}"
            for name, digest in before.items()
            if name not in may_change and now.get(name) != digest
        ]
        for kept in store.kept():
            if store.missing(kept):
                wrong.append(f"the image {kept.digest} without a name is not whole")
    left = [path.name for path in (root / "tmp").iterdir()]
    if left:
        wrong.append(f"the next command left garbage in tmp: {left}")
    return wrong


def _changed(scenario: Scenario, site: Site, number: int, name: str) -> set[str]:
    made = {f"docker.io/library/{one}:latest" if "/" not in one else one for one in scenario.makes(site, number)}
    return made | ({"docker.io/library/old:latest"} if name == "rmi" else set())


def _said(done: faults.Hit, point: Point) -> list[str]:
    """A command that met a failure reports it in words."""
    if point.fault == "KILL" or done.status == 0:
        return []
    if "Traceback" in done.output or "bug in polyarch" in done.output:
        return [f"it did not understand what happened to it:\n{done.output}"]
    # Where every write fails, to the terminal as well, nothing can be said.
    if not done.output.strip() and not (point.lasting and point.syscall == "write"):
        return ["it failed without a word"]
    return []


def _again(polyarch: Program, scenario: Scenario, site: Site, number: int, *, witness: bool) -> list[str]:
    wrong: list[str] = []
    words: Sequence[str] = (scenario.again or scenario.words)(site, number)
    done = polyarch(*words, check=False)
    if done.status:
        wrong.append(f"the same command fails afterwards:\n{done}")
    checked = polyarch("system", "fsck", check=False)
    if checked.status:
        wrong.append(f"fsck finds:\n{checked}")
    if left := [path.name for path in (polyarch.root / "tmp").iterdir()]:
        wrong.append(f"garbage is left in tmp: {left}")
    if left := [path.name for path in (polyarch.root / "locks/leases").iterdir()]:
        # A lease of the dead counts for nothing, and the next collection takes it away.
        polyarch("system", "prune", "-f")
        if any((polyarch.root / "locks/leases").iterdir()):
            wrong.append(f"leases are left: {left}")
    made = names(polyarch.root)
    wrong += [f"{name} was not made" for name in _changed(scenario, site, number, "") if name not in made]
    if witness and not wrong:
        for place in scenario.sends(site, number):
            scenarios.whole_in_registry(site, place)
    return wrong


def _is_spoilt(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() != path.name
