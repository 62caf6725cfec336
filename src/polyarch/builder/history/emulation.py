"""What emulation costs: how long steps took natively and under emulation, and how long an emulated one would take
natively.

The store remembers both for each step, and for each command, whatever its platform: `RUN make` for two platforms is the
same command. Where both are known, their ratio is one of the measurements for that platform.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.history.record import EmulationCost, StepRecord
from polyarch.builder.vertices import BuildGraph, RunCommand, VertexId
from polyarch.oci import digest as digests
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.store import Store

# Without any measurement. qemu-user 7.2 on amd64 takes from 7 times as long (hashing) to 18 times (loops of a shell),
# and 10 to 15 times to start a program (docs/performance.md, "Emulation").
USUAL_RATIO = 10.0
# Shorter steps (in seconds) show how long a container takes to start.
_SHORTEST = 0.2
# Measurements of a platform that are kept, the newest.
_KEPT = 64
# From so many seconds of emulation on, a build says what it cost.
_NOTABLE = 5.0


class Durations(msgspec.Struct, frozen=True):
    """How long a step or command took at last, in seconds: natively (0 if it never ran so), and by architecture under
    emulation.
    """

    native: float = 0.0
    emulated: dict[str, float] = {}


_DURATIONS: Table[str, Durations] = Table(
    tables.DURATIONS, msgspec.msgpack.encode, msgspec.msgpack.Decoder(Durations).decode
)
# How many times longer commands took under emulation, by command; one row for each architecture.
_RATIOS: Table[str, dict[str, float]] = Table(
    tables.RATIOS, msgspec.msgpack.encode, msgspec.msgpack.Decoder(dict[str, float]).decode
)


def measured(
    steps: Sequence[StepRecord],
    graph: BuildGraph,
    key_of: Callable[[VertexId], str],
    store: "Store",
    emit: progress.Emit,
) -> tuple[StepRecord, ...]:
    """The steps, those that were emulated with the seconds that they would have taken natively. Remembers how long each
    took, and says what emulation cost if that is much.
    """
    ran = [
        (step, _MeasuredStep(graph.vertices[VertexId(step.id)], key_of(VertexId(step.id)), store))
        for step in steps
        if step.how and step.seconds and not (step.cached or step.error or step.canceled)
    ]
    for step, place in ran:
        if step.seconds >= _SHORTEST:
            place.learn(step)
    known = {step.id: place.priced(step) for step, place in ran if step.how == "emulated"}
    found = tuple(known.get(step.id, step) for step in steps)
    for cost in costs(found):
        if cost.seconds >= _NOTABLE:
            with progress.reported(emit, f"emulation {cost.platform}", str(cost)):
                pass
    return found


def costs(steps: Sequence[StepRecord]) -> tuple[EmulationCost, ...]:
    """What emulation cost, for each platform that had emulated steps."""
    found: dict[str, list[StepRecord]] = {}
    for step in steps:
        if step.how == "emulated" and step.ran.native_seconds:
            found.setdefault(", ".join(step.platforms), []).append(step)
    member = any(step.ran.member for step in steps)
    return tuple(
        EmulationCost(
            platform=platform,
            seconds=round(sum(step.seconds for step in group), 3),
            native_seconds=round(sum(step.ran.native_seconds for step in group), 3),
            basis="; ".join(dict.fromkeys(step.ran.basis for step in sorted(group, key=lambda step: -step.seconds))),
            member=member,
        )
        for platform, group in found.items()
    )


class _MeasuredStep:
    """What is known of one step that ran. It owns nothing."""

    def __init__(self, vertex: Any, key: str, store: "Store") -> None:
        assert isinstance(vertex, RunCommand)
        self._store = store
        self._architecture = vertex.platform.architecture
        # By a command, and not by its output or files: these differ between platforms.
        command = digests.of(encoding.to_json([vertex.argv, vertex.scripts, vertex.cwd, vertex.user]))
        self._command = command
        self._rows = (f"step {key}", f"command {command}")

    def learn(self, step: StepRecord) -> None:
        """Remember how long the step took."""
        for row in self._rows:
            known = _DURATIONS.get(self._store.cache, row) or Durations()
            if step.how == "native":
                known = Durations(step.seconds, known.emulated)
            else:
                known = Durations(known.native, {**known.emulated, self._architecture: step.seconds})
            _DURATIONS.put(self._store.cache, row, known)
            for architecture, seconds in known.emulated.items():
                if known.native:
                    self._learn_ratio(architecture, seconds / known.native)

    def priced(self, step: StepRecord) -> StepRecord:
        """An emulated step with the seconds that it would have taken natively, and how these are known."""
        for row, basis in zip(self._rows, ("the same step ran natively", "the same command ran natively"), strict=True):
            known = _DURATIONS.get(self._store.cache, row)
            if known is not None and known.native:
                return _with_estimate(step, min(known.native, step.seconds), basis)
        ratios = sorted((_RATIOS.get(self._store.cache, self._architecture) or {}).values())
        if ratios:
            ratio = max(ratios[len(ratios) // 2], 1.0)
            basis = f"other commands took {ratio:.1f} times as long"
        else:
            ratio, basis = USUAL_RATIO, f"emulation usually takes about {USUAL_RATIO:.0f} times as long"
        return _with_estimate(step, round(step.seconds / ratio, 3), basis)

    def _learn_ratio(self, architecture: str, ratio: float) -> None:
        known = dict(_RATIOS.get(self._store.cache, architecture) or {})
        known.pop(self._command, None)
        known[self._command] = round(ratio, 3)
        _RATIOS.put(self._store.cache, architecture, dict(list(known.items())[-_KEPT:]))


def _with_estimate(step: StepRecord, seconds: float, basis: str) -> StepRecord:
    ran = msgspec.structs.replace(step.ran, native_seconds=seconds, basis=basis)
    return msgspec.structs.replace(step, ran=ran)
