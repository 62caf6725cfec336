"""Taking times: whole commands, by the kernel's own account of them, in turn."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_SPAWN = Path(__file__).parent / "spawn.py"


class Command(NamedTuple):
    """A program with its arguments and its whole environment."""

    argv: Sequence[str]
    environment: Mapping[str, str]


class Taken(NamedTuple):
    """What some work took: seconds of wall clock, seconds of processor (user and system), peak memory in bytes.

    Processor and memory are those of the commands and what they waited for; a registry's are not seen, of a daemon's
    those that its contestant knows of: `background` is this part of `processor`.
    """

    wall: float
    processor: float
    memory: int
    background: float = 0.0


class Contestant(NamedTuple):
    """Who does the work: `prepare` is off the clock, `commands` are on it; both get the number of the run.

    `background` is the seconds of processor that what works for it in the background has taken so far.
    """

    name: str
    prepare: Callable[[int], None]
    commands: Callable[[int], Sequence[Command]]
    background: Callable[[], float] = lambda: 0.0


Results = Mapping[str, Sequence[Taken]]


def rounds(contestants: Sequence[Contestant], runs: int, log: Path) -> Results:
    """Let all do their work in turn, A B A B, so that what else the machine does hits all alike."""
    results: dict[str, list[Taken]] = {contestant.name: [] for contestant in contestants}
    for run in range(runs):
        for contestant in contestants:
            contestant.prepare(run)
            before = contestant.background()
            taken = take(contestant.commands(run), log)
            background = contestant.background() - before
            processor = taken.processor + background
            results[contestant.name].append(taken._replace(processor=processor, background=background))
    return results


def take(commands: Sequence[Command], log: Path) -> Taken:
    """Run commands one after the other. Raises SystemExit with what was said where one fails."""
    wall, processor, memory = 0.0, 0.0, 0
    for command in commands:
        program = (sys.executable, "-IS", str(_SPAWN), str(log), json.dumps(command.environment), *command.argv)
        code, seconds, used, peak = json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True).stdout)
        if code:
            said = log.read_text(errors="replace")[-4000:]
            raise SystemExit(f"bench: {' '.join(command.argv)} ended with status {code}:\n{said}")
        wall, processor, memory = wall + seconds, processor + used, max(memory, peak)
    return Taken(wall, processor, memory)


def median(taken: Sequence[Taken]) -> Taken:
    """The median of each number."""
    return Taken(
        statistics.median(one.wall for one in taken),
        statistics.median(one.processor for one in taken),
        int(statistics.median(one.memory for one in taken)),
        statistics.median(one.background for one in taken),
    )


def ratio(ours: Sequence[Taken], theirs: Sequence[Taken]) -> float:
    """How many times as long theirs took: the median over the pairs of runs that stood side by side."""
    return statistics.median(b.wall / a.wall for a, b in zip(ours, theirs, strict=True))
