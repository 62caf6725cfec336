"""Kills in a farm at random times: of worker processes, of what performs a step, of whole members, of builds.

A seed says what is killed when. After each: the build succeeds with the digest that it has without a farm, unless it
was killed itself; a step moves at most once; no process of a step is left; every store is whole.
"""

import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests import bases
from tests.farm.builds import Building, descendants, signal_all, sleeps
from tests.farm.farms import Farm, Started, farm, until
from tests.program import Program
from tests.reliability.part import Part

TARGETS = ("worker", "worker", "performer", "performer", "member", "build")
_STEPS = 3
_LONGEST = 2.5
# How many of the kills hit the member that does a step.
_AT_WORK = 0.7


class Kill(NamedTuple):
    """What one kill hit, how often steps moved because of it, and what was wrong afterwards."""

    target: str
    hit: bool
    moved: int
    wrong: list[str]


class KilledFarm:
    """A farm of three members on loopback and the build that is done again and again. It owns nothing: see `run`."""

    def __init__(self, opened: Farm, directory: Path) -> None:
        self.farm = opened
        self.context = directory / "context"
        self.context.mkdir(parents=True)
        steps = [f"RUN sleep 0.3{number}; echo {number} > /etc/step-{number}" for number in range(_STEPS)]
        (self.context / "Dockerfile").write_text("\n".join(("FROM busybox", *steps)))
        self.members: dict[str, Started] = {name: opened.member(name) for name in "abc"}
        self.options = ["--no-cache", "--reproducible", "--provenance=false", "--iidfile"]
        self.identity = directory / "identity"
        near = directory / "near"
        opened.polyarch("build", *self.options, near, self.context)
        self.expected = near.read_text()

    def kill(self, dice: random.Random) -> Kill:
        """Build, and kill something meanwhile."""
        target, seconds, name = dice.choice(TARGETS), dice.uniform(0.3, _LONGEST), dice.choice("abc")
        at_work = dice.random() < _AT_WORK
        self.identity.unlink(missing_ok=True)
        building = Building(self.farm, [*self.options, self.identity, self.context])
        if at_work:
            name = self._busy() or name
            time.sleep(seconds / 10)
        else:
            time.sleep(seconds)
        hit = self._kill(target, self.members[name], building)
        try:
            status = building.ended(60)
        except AssertionError as error:
            return Kill(target, hit, 0, [str(error)])
        said, wrong = building.said, []
        moves = Counter(re.findall(r"RUN /bin/sh -c sleep (0\.3\d).* moves from", said))
        if target == "build" and status < 0:
            pass
        elif status:
            wrong.append(f"the build failed: {said}")
        elif self.identity.read_text() != self.expected:
            wrong.append("the image is another one")
        if any(count > 1 for count in moves.values()):
            wrong.append(f"a step moved more than once: {moves}")
        try:
            until(lambda: not any(sleeps(f"0.3{number}") for number in range(_STEPS)), "no step to run", 2)
        except AssertionError as error:
            wrong.append(str(error))
        self._mend(name)
        return Kill(target, hit, sum(moves.values()), wrong)

    def check(self) -> list[str]:
        """What is wrong in the stores of the builder and the members."""
        polyarch, wrong = self.farm.polyarch, []
        for root in (polyarch.root, *(self.farm.directory / f"store-{name}" for name in self.members)):
            done = polyarch.on(root)("system", "fsck", check=False)
            if done.status:
                wrong.append(f"{root}: {done}")
        return wrong

    def _kill(self, target: str, member: Started, building: Building) -> bool:
        if target == "build":
            if building.process.poll() is not None:
                return False
            building.process.kill()
            return True
        below = descendants(member.process.pid)
        if target == "member":
            signal_all(member, signal.SIGKILL)
            return True
        # The member, its worker process, what performs its steps.
        place = 1 if target == "worker" else 2
        if len(below) <= place:
            return False
        os.kill(below[place], signal.SIGKILL)
        return True

    def _busy(self) -> str:
        """The member that does a step, once one does; empty if none does soon."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for process in (one for number in range(_STEPS) for one in sleeps(f"0.3{number}")):
                for name, member in self.members.items():
                    if process in descendants(member.process.pid):
                        return name
            time.sleep(0.01)
        return ""

    def _mend(self, name: str) -> None:
        """Wait until all members are there, and start the one that was killed again."""
        if self.members[name].process.poll() is not None:
            until(lambda: name not in self._names(), "the scheduler to know", 30)
            self.members[name] = self.farm.member(name)
        until(lambda: self._names() == {*self.members}, "all members", 60)

    def _names(self) -> set[str]:
        return {row["Name"] for row in self.farm.status()["Members"]}


def run(store: Path, directory: Path, kills: int, seed: int) -> Part:
    """Kill so often. `store` is a store that has busybox."""
    started = time.monotonic()
    (directory / "home").mkdir(parents=True)
    bases.copy_store(store, directory / "store")
    polyarch = Program(directory / "store", directory / "home")
    done: list[Kill] = []
    wrong: list[str] = []
    with farm(polyarch, directory / "farm", silence=4) as opened:
        killed = KilledFarm(opened, directory)
        while sum(kill.hit for kill in done) < kills and len(done) < 2 * kills:
            kill = killed.kill(random.Random(f"{seed} {len(done)}"))
            done.append(kill)
            wrong += [f"{len(done) - 1}, {kill.target}: {one}" for one in kill.wrong]
            if len(done) % 20 == 0:
                wrong += killed.check()
        wrong += killed.check()
    hits = Counter(kill.target for kill in done if kill.hit)
    line = (
        f"{sum(hits.values())} kills while builds with three members ran: {hits['worker']} of a worker process, "
        f"{hits['performer']} of the process that performs steps, {hits['member']} of a whole member, {hits['build']} "
        f"of the build. {sum(kill.moved for kill in done)} steps moved to another member."
    )
    return Part("Kills in a farm", [line], wrong, time.monotonic() - started)
