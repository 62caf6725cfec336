"""Examines several builds that share what they open, and finds what they have in common."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch.builder import solve
from polyarch.builder.contexts.opener import SharedInputs
from polyarch.builder.forecast import dry_run
from polyarch.builder.forecast.dry_run import DryRun, ForeseenWork
from polyarch.builder.forecast.nodes import NodeCollector
from polyarch.builder.forecast.values import Forecast, TargetForecast
from polyarch.builder.forecast.works import WorkNumbers
from polyarch.builder.history.recorder import BuildHistory
from polyarch.builder.joint import JointBuild, JointObserver, JointPerformer
from polyarch.builder.linked import LinkedBuild, LinkedImages
from polyarch.builder.pipeline import Build
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.workspace import Workspace
from polyarch.errors import PolyarchError
from polyarch.progress import Emit, ignore

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class ForecastTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One build to examine. `linked` says that only other targets need it."""

    request: BuildRequest
    registry: "Registry"
    emit: Emit = ignore
    linked: bool = False


class Forecaster:
    """Plans builds one after the other, and examines them as one graph, as a build of all does. It owns what they open,
    until it is left. Paths are shown from `here` on.
    """

    def __init__(self, store: "Store", here: Path) -> None:
        self._store = store
        self._here = here
        self._common = SharedInputs()
        self._stack = ExitStack()
        self._links: dict[str, LinkedBuild] = {}
        self._works: dict[str, ForeseenWork] = {}
        self._targets: dict[str, ForecastTarget] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, target: ForecastTarget) -> None:
        """Plan a build, after those that it uses. Raises what planning raises."""
        request = target.request
        workspace = Workspace(request, self._store, target.registry, target.emit, self._common)
        own = LinkedBuild(name)
        others = [self._links[other] for other in request.links()]
        links = LinkedImages(others, own, allow_foreign=request.plan.allow_foreign_base)
        opened = self._stack.enter_context(Build(self._stack.enter_context(workspace), links=links))
        self._works[name] = opened.foreseen()
        self._links[name] = own
        self._targets[name] = target

    def forecast(self) -> tuple[Forecast, Mapping[str, PolyarchError]]:
        """What the builds so far would do together, and the errors of those whose work cannot be known, by name."""
        parts = {
            name: JointBuild(number, name, work.performer, work.targets)
            for number, (name, work) in enumerate(self._works.items())
        }
        performer = JointPerformer(list(parts.values()))
        wanted = [key for part in parts.values() for key in part.joint(part.targets)]
        seen = solve.examine(wanted, performer, JointObserver(performer), keep_going=True)
        pending = frozenset(seen.pending)
        runs: dict[str, DryRun] = {}
        failed: dict[str, PolyarchError] = {}
        for name, part in parts.items():
            work = self._works[name]
            for vertex, error in performer.errors_of(part, seen.errors).items():
                failed.setdefault(name, work.located(vertex, error))
            if name in failed:
                continue
            joint = {key: part.joint([key])[0] for key in work.order()}
            record = dry_run.record(
                work,
                {key for key, one in joint.items() if one in seen.results},
                {key for key, one in joint.items() if one in pending},
                BuildHistory(self._store),
            )
            runs[name] = DryRun(
                request=work.request,
                record=record,
                plans=work.plans,
                graph=work.graph,
                keys={key: work.performer.key_of(key) for key in joint},
                works={key: performer.work_of(one) for key, one in joint.items()},
            )
        return self._shared(runs), failed

    def _shared(self, runs: Mapping[str, DryRun]) -> Forecast:
        works, collector = WorkNumbers(), NodeCollector(self._here)
        found = []
        for name, run in runs.items():
            target = self._targets[name]
            numbers = works.add(name, run)
            tags = tuple(one.tagged().familiar() for one in run.request.export.names)
            found.append(
                TargetForecast(
                    name=name,
                    record=run.record,
                    tags=tags,
                    contexts=run.request.links(),
                    linked=target.linked,
                    work={str(key): number for key, number in numbers.items()},
                    stages=collector.add(name, run, numbers, tags, linked=target.linked),
                )
            )
        return Forecast(targets=tuple(found), steps=works.steps(), nodes=collector.nodes(), edges=collector.edges())
