"""A forecast: what several builds would do together, as values for text, JSON, pages and pictures."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.builder.history.record import BuildRecord

NodeKind = Literal["context", "image", "download", "repository", "stage", "target"]
EdgeKind = Literal["FROM", "COPY", "mount", "result"]
State = Literal["cached", "to do", "not needed", ""]


class ForecastStep(msgspec.Struct, frozen=True):
    """One piece of work, done once for all targets that need it. It is `counted` if it makes a layer."""

    targets: tuple[str, ...]
    state: State
    counted: bool


class ForecastNode(msgspec.Struct, frozen=True, kw_only=True):
    """What a build is made of: a context, an image, a stage, or the result of a target.

    It is needed by `targets`, and is shared if these are several. `work` are the numbers of its steps in
    `Forecast.steps`. `note` is one more line to show.
    """

    id: str
    kind: NodeKind
    name: str
    targets: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    work: tuple[int, ...] = ()
    note: str = ""

    @property
    def is_shared(self) -> bool:
        """Whether several targets need it."""
        return len(self.targets) > 1


class ForecastEdge(msgspec.Struct, frozen=True):
    """`end` needs `start`. The kind "result" leads to a target."""

    start: str
    end: str
    kind: EdgeKind


class TargetForecast(msgspec.Struct, frozen=True, kw_only=True):
    """One target: its steps as a record, and for each step the number of its work, and the stage that it is in.

    `contexts` are the targets that are contexts of this one. `linked` says that only other targets need it.
    """

    name: str
    record: BuildRecord
    tags: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    linked: bool = False
    work: Mapping[str, int] = {}
    stages: Mapping[str, str] = {}


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What several builds would do together, in the order in which they would be done."""

    targets: tuple[TargetForecast, ...]
    steps: tuple[ForecastStep, ...]
    nodes: tuple[ForecastNode, ...]
    edges: tuple[ForecastEdge, ...]

    def count(self, node: ForecastNode, state: State) -> int:
        """How many steps of a node are in this state."""
        return sum(self.steps[number].state == state for number in node.work)

    def state(self, node: ForecastNode) -> State:
        """What is to be done for a node; empty for one without steps."""
        states = {self.steps[number].state for number in node.work}
        return next((state for state in _STATES if state in states), "")

    def others(self, target: TargetForecast, step: str) -> tuple[str, ...]:
        """The other targets that need the same work as a step of this one."""
        number = target.work.get(step)
        return () if number is None else tuple(one for one in self.steps[number].targets if one != target.name)


_STATES: tuple[State, ...] = ("to do", "cached", "not needed")
