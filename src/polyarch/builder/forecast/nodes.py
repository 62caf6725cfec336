"""The parts that builds are made of, each once: sources, stages and results, and what needs what."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from polyarch.builder.forecast import sources
from polyarch.builder.forecast.dry_run import DryRun
from polyarch.builder.forecast.values import EdgeKind, ForecastEdge, ForecastNode, NodeKind
from polyarch.builder.plan.planner import Plan
from polyarch.builder.plan.staged import PlannedStage
from polyarch.builder.vertices import (
    NOTHING,
    BuildGraph,
    CopyFiles,
    ImageLayers,
    LinkedLayers,
    RunCommand,
    Stacked,
    VertexId,
)

# A stage or a source that a stage needs: the number of a stage, or a vertex.
_Need = tuple[EdgeKind, int | VertexId]
# What has the layers of an image.
_IMAGES = (ImageLayers, LinkedLayers)


class _Stage:
    """A stage of one build, for all its platforms."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.work: dict[str, list[int]] = {}  # by platform
        self.needs: dict[_Need, None] = {}

    def numbers(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(number for work in self.work.values() for number in work))

    def note(self) -> str:
        works = list(self.work.values())
        same = len(works) > 1 and works[0] and all(work == works[0] for work in works)
        return "once for all platforms" if same else ""


class NodeCollector:
    """Collects the nodes of several builds. Stages of different builds with the same name and work are one node."""

    def __init__(self, here: Path) -> None:
        self._here = here
        self._nodes: dict[object, ForecastNode] = {}
        self._edges: dict[ForecastEdge, None] = {}

    def nodes(self) -> tuple[ForecastNode, ...]:
        """The nodes so far."""
        return tuple(self._nodes.values())

    def edges(self) -> tuple[ForecastEdge, ...]:
        """The edges so far."""
        return tuple(self._edges)

    def add(
        self, name: str, run: DryRun, numbers: Mapping[VertexId, int], tags: Iterable[str], *, linked: bool
    ) -> Mapping[str, str]:
        """Add the build `name`. Returns the name of the stage of each step, by the id of the step. The result of a
        `linked` build is only for other builds.
        """
        stages: dict[int, _Stage] = {}
        of_step: dict[str, str] = {}
        ends: dict[int, None] = {}
        for plan in run.plans:
            for stage in plan.stages:
                own = stages.setdefault(stage.index, _Stage(stage.name or f"stage-{stage.index}"))
                made = _own(run.graph, plan, stage)
                own.work[str(plan.platform)] = [numbers[key] for key in made]
                own.needs |= dict.fromkeys(_needs(run.graph, plan, stage, made))
                of_step |= dict.fromkeys(made, own.name)
            # The others are those that it needs, which are before it.
            ends[plan.stages[-1].index] = None
        ids: dict[int, str] = {}
        for index in sorted(stages):
            ids[index] = self._add_stage(name, run, stages[index], ids)
        users = [] if linked else [name]
        result = self._node("target", name, name, users, run.record.platforms, note=", ".join(tags))
        for index in ends:
            self._edges[ForecastEdge(ids[index], result, "result")] = None
        return of_step

    def _add_stage(self, target: str, run: DryRun, stage: _Stage, ids: Mapping[int, str]) -> str:
        starts = [(kind, self._start(target, run, need, stage, ids)) for kind, need in stage.needs]
        identity = (stage.name, stage.numbers(), tuple(starts))
        platforms = tuple(stage.work)
        found = self._node("stage", identity, stage.name, [target], platforms, stage.numbers(), stage.note())
        self._edges |= {ForecastEdge(start, found, kind): None for kind, start in starts}
        return found

    def _start(self, target: str, run: DryRun, need: int | VertexId, stage: _Stage, ids: Mapping[int, str]) -> str:
        """The id of the node that a stage needs."""
        if isinstance(need, int):
            return ids[need]
        found = sources.source(run, need)
        assert found is not None, need
        name = sources.below(found.name, self._here)
        return self._node(found.kind, found.identity, name, [target], tuple(stage.work), note=found.note)

    def _node(
        self,
        kind: NodeKind,
        identity: object,
        name: str,
        targets: Iterable[str],
        platforms: Iterable[str],
        work: tuple[int, ...] = (),
        note: str = "",
    ) -> str:
        """The id of a node, which gets these targets and platforms, too."""
        known = self._nodes.get((kind, identity))
        self._nodes[kind, identity] = ForecastNode(
            id=known.id if known else f"n{len(self._nodes)}",
            kind=kind,
            name=name,
            targets=tuple(dict.fromkeys([*(known.targets if known else ()), *targets])),
            platforms=tuple(dict.fromkeys([*(known.platforms if known else ()), *platforms])),
            work=work,
            note=known.note if known else note,
        )
        return self._nodes[kind, identity].id


def _own(graph: BuildGraph, plan: Plan, stage: PlannedStage) -> list[VertexId]:
    """The steps of a stage, without those of the stage or image that it starts from."""
    start = _stacks(plan)[stage.parent] if stage.parent is not None else NOTHING
    found: list[VertexId] = []
    key = stage.stack
    while key and key != start:
        stacked = graph.vertices[key]
        assert isinstance(stacked, Stacked), key
        found.append(stacked.layers)
        key = stacked.below
    return [key for key in reversed(found) if not isinstance(graph.vertices[key], _IMAGES)]


def _needs(graph: BuildGraph, plan: Plan, stage: PlannedStage, made: Iterable[VertexId]) -> list[_Need]:
    """What a stage starts from, copies from and mounts."""
    found: list[_Need] = []
    if stage.parent is not None:
        found.append(("FROM", stage.parent))
    else:
        bottom = graph.layers(stage.stack)[:1]
        found += [("FROM", key) for key in bottom if isinstance(graph.vertices[key], _IMAGES)]
    stacks = _stacks(plan)
    named = {stacks[index]: index for index in reversed(stage.sources)}
    used: dict[int, EdgeKind] = {}
    for key in made:
        value = graph.vertices[key]
        read: list[tuple[EdgeKind, VertexId]] = []
        if isinstance(value, CopyFiles):
            read = [("COPY", part.source) for part in value.parts]
        elif isinstance(value, RunCommand):
            read = [("mount", mount.source) for mount in value.mounts]
        for kind, source in read:
            if source in named:
                used.setdefault(named[source], kind)
            else:
                found += [(kind, one) for one in _outside(graph, source)]
    return found + [(used.get(index, "COPY"), index) for index in stage.sources]


def _outside(graph: BuildGraph, source: VertexId) -> Iterable[VertexId]:
    """The sources that a file system or other input is made of, if it is not a stage."""
    if not source:
        return []
    value = graph.vertices[source]
    if isinstance(value, Stacked):
        return [key for key in graph.layers(source) if isinstance(graph.vertices[key], _IMAGES)]
    return [source] if value.__struct_config__.tag != "Inline" else []


def _stacks(plan: Plan) -> dict[int, VertexId]:
    return {stage.index: stage.stack for stage in plan.stages}
