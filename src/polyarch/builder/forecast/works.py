"""The work of several builds, each piece with a number: what is the same work is said by `builder/joint.py`."""

from collections.abc import Hashable, Mapping

from polyarch.builder.forecast import sources
from polyarch.builder.forecast.dry_run import DryRun
from polyarch.builder.forecast.values import ForecastStep, State
from polyarch.builder.history.record import StepRecord
from polyarch.builder.vertices import CopyFiles, MakeDirectory, RunCommand, Stacked, VertexId

_LAYERS = (CopyFiles, MakeDirectory, RunCommand)
_ORDER: tuple[State, ...] = ("to do", "cached", "not needed")


class WorkNumbers:
    """Gives each piece of work a number, in the order in which the builds name them."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._targets: dict[int, list[str]] = {}
        self._states: dict[int, set[State]] = {}
        self._counted: set[int] = set()

    def add(self, name: str, run: DryRun) -> Mapping[VertexId, int]:
        """The numbers of the steps of the build `name`."""
        found: dict[VertexId, int] = {}
        for key, name_of_work in run.works.items():
            value = run.graph.vertices[key]
            if isinstance(value, Stacked):
                continue
            source = sources.source(run, key)
            work: Hashable = name_of_work if source is None else (source.kind, source.identity)
            found[key] = number = self._numbers.setdefault(work, len(self._numbers))
            self._targets.setdefault(number, []).append(name)
            if isinstance(value, _LAYERS):
                self._counted.add(number)
        for step in run.record.steps:
            self._states.setdefault(found[VertexId(step.id)], set()).add(_state(step))
        return found

    def steps(self) -> tuple[ForecastStep, ...]:
        """The work of all builds so far, by number."""
        return tuple(
            ForecastStep(
                tuple(dict.fromkeys(self._targets[number])),
                next((state for state in _ORDER if state in self._states.get(number, ())), ""),
                number in self._counted,
            )
            for number in range(len(self._numbers))
        )


def _state(step: StepRecord) -> State:
    return "cached" if step.cached else "to do" if step.done else "not needed"
