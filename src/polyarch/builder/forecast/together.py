"""Examines several builds that share what they open, and finds what they have in common."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch.builder.contexts.opener import SharedInputs
from polyarch.builder.forecast.dry_run import DryRun
from polyarch.builder.forecast.linked import LinkedImages
from polyarch.builder.forecast.nodes import NodeCollector
from polyarch.builder.forecast.values import Forecast, TargetForecast
from polyarch.builder.forecast.works import WorkNumbers
from polyarch.builder.pipeline import Build
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.workspace import Workspace
from polyarch.progress import Emit, ignore

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class ForecastTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One build to examine. `links` are the earlier builds that make its contexts, by the words of these contexts.
    `linked` says that only other targets need it.
    """

    request: BuildRequest
    registry: "Registry"
    emit: Emit = ignore
    links: Mapping[str, str] = {}
    linked: bool = False


class Forecaster:
    """Examines builds one after the other. It owns what they open, until it is left. Paths are shown from `here` on."""

    def __init__(self, store: "Store", here: Path) -> None:
        self._store = store
        self._here = here
        self._common = SharedInputs()
        self._stack = ExitStack()
        self._runs: dict[str, DryRun] = {}
        self._targets: dict[str, ForecastTarget] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, target: ForecastTarget) -> None:
        """Examine a build, after those that it uses. Raises what `builder.dry_run` raises."""
        request = target.request
        workspace = Workspace(request, self._store, target.registry, target.emit, self._common)
        opened = self._stack.enter_context(Build(self._stack.enter_context(workspace)))
        images = {word: self._runs[other].images for word, other in target.links.items()}
        links = LinkedImages(images, allow_foreign=request.plan.allow_foreign_base)
        self._runs[name] = opened.dry_run(name, links)
        self._targets[name] = target

    def forecast(self) -> Forecast:
        """What the builds so far would do together."""
        works, collector = WorkNumbers(), NodeCollector(self._here)
        found = []
        for name, run in self._runs.items():
            target = self._targets[name]
            numbers = works.add(name, run)
            tags = tuple(one.tagged().familiar() for one in run.request.export.names)
            found.append(
                TargetForecast(
                    name=name,
                    record=run.record,
                    tags=tags,
                    contexts=tuple(dict.fromkeys(target.links.values())),
                    linked=target.linked,
                    work={str(key): number for key, number in numbers.items()},
                    stages=collector.add(name, run, numbers, tags, linked=target.linked),
                )
            )
        return Forecast(targets=tuple(found), steps=works.steps(), nodes=collector.nodes(), edges=collector.edges())
