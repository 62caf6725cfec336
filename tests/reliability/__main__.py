"""`make soak`: the reliability tests at length. Writes the numbers to docs/reliability.md.

python -m tests.reliability [--seed N] [--points N] [--seconds N] [--served | --farm] [--no-report]
"""

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from polyarch.version import VERSION
from tests import bases, people
from tests.farm import kills
from tests.fuzz import run as fuzzing
from tests.fuzz.targets import TARGETS
from tests.program import Program
from tests.reliability import crash, crowd, scenarios, test_network
from tests.reliability.crash import Aims, Outcome
from tests.reliability.part import Part
from tests.reliability.proxy import between
from tests.reliability.scenarios import SCENARIOS, Site
from tests.serve.load import soak

_REPORT = Path(__file__).parents[2] / "docs/reliability.md"
_FAULTS = ("KILL", "KILL", "ENOSPC", "EIO", "EDQUOT")


def main() -> int:
    """Runs every part; the exit status says whether all promises were kept."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", type=int, default=200, help="commands to kill or to let the disk fail")
    parser.add_argument("--seconds", type=int, default=120, help="how long eight processes share a store")
    parser.add_argument("--fuzz", type=int, default=10, help="seconds for each reader of foreign bytes")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--served", action="store_true", help="only the registry; the other sections of the page stay")
    only.add_argument("--farm", action="store_true", help="only kills in a farm; the other sections of the page stay")
    parser.add_argument("--no-report", action="store_true", help="leave docs/reliability.md alone")
    chosen = parser.parse_args()
    parts = []
    directory = Path(tempfile.mkdtemp(prefix="polyarch-soak-"))
    try:
        for part in _chosen(directory, chosen):
            parts.append(part)
            print(f"{part.title}: {len(part.wrong)} promises broken, {part.seconds:.0f} s", flush=True)
            print("\n".join([*part.lines, *part.wrong]), flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if not chosen.no_report:
        some = chosen.served or chosen.farm
        _REPORT.write_text(_replaced(_REPORT.read_text(), parts) if some else _report(parts, chosen))
    return 1 if any(part.wrong for part in parts) else 0


def _chosen(directory: Path, chosen: argparse.Namespace) -> Iterator[Part]:
    if chosen.served:
        return _served(directory, chosen)
    return _farm(directory, chosen) if chosen.farm else _parts(directory, chosen)


def _parts(directory: Path, chosen: argparse.Namespace) -> Iterator[Part]:
    with scenarios.prepared(directory / "site") as site:
        aims = Aims(site)
        yield _faults(aims, chosen.points, chosen.seed)
        yield _full_disks(aims, chosen.points // 8, chosen.seed)
        yield _clock(aims.site, chosen.points // 8, chosen.seed)
        yield _crowd(aims.site, chosen.seconds, chosen.seed)
        yield _network(aims.site, chosen.points // 4, chosen.seed)
        yield from _served(directory, chosen)
        yield kills.run(aims.site.template, directory / "farm", chosen.points, chosen.seed)
        yield _fuzz(chosen.fuzz, chosen.seed)


def _farm(directory: Path, chosen: argparse.Namespace) -> Iterator[Part]:
    (directory / "home").mkdir()
    template = Program(directory / "template", directory / "home")
    bases.import_busybox(template)
    yield kills.run(template.root, directory / "farm", chosen.points, chosen.seed)


def _served(directory: Path, chosen: argparse.Namespace) -> Iterator[Part]:
    return soak.parts(directory / "served", chosen.points // 2, chosen.seconds // 4, chosen.seed)


def _faults(aims: Aims, points: int, seed: int) -> Part:
    started = time.monotonic()
    outcomes: list[Outcome] = []
    names = list(SCENARIOS)
    attempts = 0
    # Points that the run did not reach are not counted.
    while sum(outcome.was_hit for outcome in outcomes) < points and attempts < 2 * points:
        dice = random.Random(f"{seed} {attempts}")
        fault = dice.choice(_FAULTS)
        outcomes.append(crash.hit(aims, names[attempts % len(names)], fault, dice, witness=attempts % 5 == 0))
        attempts += 1
    hits = [outcome for outcome in outcomes if outcome.was_hit]
    table = ["| command | killed | ENOSPC | EIO | EDQUOT | succeeded anyway |", "|---|---|---|---|---|---|"]
    for name in names:
        counts = Counter(outcome.point.fault for outcome in hits if outcome.scenario == name)
        absorbed = sum(outcome.scenario == name and outcome.status == 0 for outcome in hits)
        table.append(f"| `{name}` | {' | '.join(str(counts[fault]) for fault in _FAULTS[1:])} | {absorbed} |")
    where = Counter(outcome.point.syscall for outcome in hits)
    summary = (
        f"{len(hits)} commands were interrupted at one of their system calls (strace): strace killed the command "
        "there, or let the call fail as on a full or broken disk or an exhausted quota, once or from then on."
    )
    lines = [
        summary,
        "",
        *table,
        "",
        "System calls: " + ", ".join(f"{call} {count}" for call, count in where.most_common()) + ".",
    ]
    wrong = [f"{one.scenario}, {one.point}: {'; '.join(one.wrong)}" for one in outcomes if one.wrong]
    return Part("Killed commands and failing disks", lines, wrong, time.monotonic() - started)


def _full_disks(aims: Aims, count: int, seed: int) -> Part:
    started = time.monotonic()
    names = ["build", "pull", "load", "import", "prune", "manifest create"]
    outcomes = [crash.fill_up(aims, names[at % len(names)], random.Random(f"{seed} {at}")) for at in range(count)]
    failed = sum(outcome.status != 0 for outcome in outcomes)
    line = (
        f"{count} commands ran on a tmpfs with 0 to 1,200 KiB left: {failed} failed for lack of space, "
        f"{count - failed} succeeded."
    )
    wrong = [f"{one.scenario}, {one.point}: {'; '.join(one.wrong)}" for one in outcomes if one.wrong]
    return Part("Full disks", [line], wrong, time.monotonic() - started)


def _clock(site: Site, count: int, seed: int) -> Part:
    started = time.monotonic()
    dice = random.Random(seed)
    wrong: list[str] = []
    with people.person("polyarch-test", ranges=True) as person:
        polyarch = person.polyarch
        bases.copy_store(site.template, polyarch.root)
        shutil.copytree(site.context, person.directory / "context")
        person.give(person.directory)
        words = ["build", "-t", "built", "--no-cache", "--progress", "plain", str(person.directory / "context")]
        for _ in range(count):
            seconds = dice.uniform(0.1, 1.0)
            _, remaining = crash.kill_after(polyarch, words, seconds)
            checked = polyarch("system", "fsck", check=False)
            if remaining or checked.status:
                wrong.append(f"after {seconds:.3f} s: {remaining} {checked}")
        polyarch(*words)
        if left := list((polyarch.root / "tmp").iterdir()):
            wrong.append(f"left in tmp: {left}")
    line = f"{count} builds of a user without root were killed after a random time, 0.1 to 1 s, one after the other."
    return Part("Builds without root, killed at random times", [line], wrong, time.monotonic() - started)


def _crowd(site: Site, seconds: int, seed: int) -> Part:
    started = time.monotonic()
    tally = crowd.work(site, seconds, 8, seed)
    line = (
        f"8 processes built, pulled, named, removed, pruned and ran images in one store for {seconds} s: {tally.done} "
        f"commands succeeded, {tally.conflicts} met a real conflict (a name that another one had just removed)."
    )
    return Part("Concurrent commands in one store", [line], tally.wrong, time.monotonic() - started)


def _network(site: Site, count: int, seed: int) -> Part:
    started = time.monotonic()
    dice = random.Random(seed)
    wrong: list[str] = []
    arrived = faults = requests = 0
    with between(site.registry.address) as proxy:
        for number in range(count):
            polyarch = scenarios.Program(site.directory / f"pulled-{number}", site.home)
            try:
                arrived += test_network.outcome(polyarch, proxy, f"{proxy.address}/base:1", dice)
            except AssertionError as error:
                wrong.append(f"pull {number}: {error}")
            shutil.rmtree(polyarch.root, ignore_errors=True)
        faults, requests = proxy.harmed, len(proxy.asked)
    line = (
        f"{count} pulls through a proxy that cut, corrupted, shortened, slowed and refused {faults} of {requests} "
        f"exchanges: {arrived} succeeded at once, {count - arrived} failed, left nothing behind, and succeeded when "
        "the network worked again."
    )
    return Part("Bad networks", [line], wrong, time.monotonic() - started)


def _fuzz(seconds: float, seed: int) -> Part:
    started = time.monotonic()
    lines = ["| reader | inputs | refused | slowest |", "|---|---|---|---|"]
    wrong: list[str] = []
    total = 0
    for name in TARGETS:
        tried = fuzzing.many(name, seconds, seed)
        total += tried.inputs
        wrong += tried.wrong
        lines.append(f"| {name} | {tried.inputs:,} | {tried.refused:,} | {tried.slowest:.2f} s |")
    lines = [f"{total:,} inputs: mutations of valid and of hostile ones.", "", *lines]
    return Part("Hostile bytes", lines, wrong, time.monotonic() - started)


def _report(parts: list[Part], chosen: argparse.Namespace) -> str:
    intro = (
        f"`make soak` wrote this page (seed {chosen.seed}). [SECURITY.md](../SECURITY.md) has the promises and the "
        "tests that hold them. After each fault, the run checks that every name in the store resolves to complete "
        "content with the right digest, that names which the command does not concern are unchanged, that no process "
        "and no mount is left, that the same command then succeeds, and that nothing of the failed one remains on the "
        "disk."
    )
    where = (
        f"Polyarch {VERSION}, Python {platform.python_version()}, Linux {platform.release()}, {platform.machine()}, "
        f"{os.cpu_count()} processors, {_runtime()}. In total {sum(part.seconds for part in parts) / 60:.0f} minutes, "
        f"{sum(len(part.wrong) for part in parts)} broken promises."
    )
    text = ["# Reliability", "", intro, "", where]
    for part in parts:
        text += ["", *_section(part)]
    return "\n".join(text) + "\n"


def _replaced(page: str, parts: list[Part]) -> str:
    """The page with the sections of these parts replaced, or added at its end."""
    before, *sections = page.rstrip("\n").split("\n\n## ")
    known = {section.partition("\n")[0]: section for section in sections}
    known |= {part.title: "\n".join(_section(part)).removeprefix("## ") for part in parts}
    return "\n\n## ".join([before, *known.values()]) + "\n"


def _section(part: Part) -> list[str]:
    wrong = [f"- {line.splitlines()[0]}" for line in part.wrong]
    return [f"## {part.title}", "", *part.lines, "", f"Broken promises: {len(part.wrong) or 'none'}.", *wrong]


def _runtime() -> str:
    said = subprocess.run(["crun", "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0] if said else "no crun"


if __name__ == "__main__":
    sys.exit(main())
