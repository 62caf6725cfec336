"""Many random inputs for a target, counted."""

import random
import time
import traceback
from typing import NamedTuple

from polyarch.errors import PolyarchError
from tests.fuzz.mutate import mutated, random_edits
from tests.fuzz.targets import TARGETS

SLOW = 5.0


class Tried(NamedTuple):
    """The results. `wrong` has a report of each input that was neither read nor refused, or took too long."""

    inputs: int
    refused: int
    slowest: float
    wrong: list[str]


def many(name: str, seconds: float, seed: int) -> Tried:
    """Try mutations of the target's seeds for so long; ends early after ten failures."""
    target = TARGETS[name]
    dice = random.Random(f"{seed} {name}")
    deadline = time.monotonic() + seconds
    inputs = refused = 0
    slowest = 0.0
    wrong: list[str] = []
    while time.monotonic() < deadline and len(wrong) < 10:
        raw = mutated(dice.choice(target.seeds), random_edits(dice), tar=target.tar)
        started = time.monotonic()
        try:
            target.run(raw)
        except PolyarchError:
            refused += 1
        except Exception:
            wrong.append(f"{name}: {raw[:300]!r}\n{traceback.format_exc(limit=-3)}")
        took = time.monotonic() - started
        if took > SLOW:
            wrong.append(f"{name}: {took:.1f} s for {raw[:300]!r}")
        slowest = max(slowest, took)
        inputs += 1
    return Tried(inputs, refused, slowest, wrong)
