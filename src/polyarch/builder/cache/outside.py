"""The caches outside of the store, as a build uses them: what it asks, and what it sends when it is done."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.buildcache.carrier import Around
from polyarch.builder import verify
from polyarch.builder.cache.export import CacheExporter, DoneStep, PlatformSteps
from polyarch.builder.cache.remote import RemoteResults
from polyarch.builder.cache.results import LocalResults
from polyarch.builder.export.assemble import Assembler, timestamp
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.input import StreamContext
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, CopyFiles, MakeDirectory, RunCommand, VertexId
from polyarch.contents.layer import Layer

if TYPE_CHECKING:
    from polyarch.builder.workspace import Workspace

KeyOf = Callable[[VertexId], str]

# A plan, its layers, and these layers as they were exported, which is nothing if only files were.
BuiltPlan = tuple[Plan, Sequence[Layer], Sequence[Layer]]

_STEPS = (CopyFiles, MakeDirectory, RunCommand)


def results(workspace: "Workspace", request: BuildRequest) -> RemoteResults:
    """The results of the store and of `--cache-from`; the caller closes them."""
    epoch = request.plan.epoch
    return RemoteResults(
        LocalResults(workspace.store),
        request.cache.sources,
        _around(workspace, request),
        workspace.source,
        request.platforms,
        None if epoch is None else timestamp(epoch),
        workspace.common.lost,
        # What came from standard input cannot be read again.
        eager=isinstance(request.input.context, StreamContext),
    )


def send(
    workspace: "Workspace",
    request: BuildRequest,
    assembler: Assembler,
    graph: BuildGraph,
    built: Iterable[BuiltPlan],
    key_of: KeyOf,
    done: Mapping[VertexId, Result],
) -> None:
    """Send what was built to every `--cache-to`. Raises as `CacheExporter.send` does."""
    exporter = CacheExporter(
        workspace.source,
        assembler,
        _around(workspace, request),
        request.host,
        workspace.common.lost,
        exact_times=request.plan.epoch is None,
    )
    found: list[PlatformSteps] = []
    for plan, stack, exported in built:
        steps = _steps(plan, graph, key_of, done)
        checked = verify.verdict(workspace.store, plan, stack, exported) if exported else None
        found.append(msgspec.structs.replace(steps, verdict=checked))
    exporter.send(request.cache.targets, found)


def keys(plan: Plan, graph: BuildGraph, key_of: KeyOf, done: Mapping[VertexId, Result]) -> tuple[str, ...]:
    """The key of the step that made each layer of an image, lowest first; empty for the layers of its base."""
    found: list[str] = []
    for vertex in plan.layers:
        layers = done[vertex]
        assert isinstance(layers, tuple), vertex
        found += [key_of(vertex) if isinstance(graph.vertices[vertex], _STEPS) else ""] * len(layers)
    return tuple(found)


def _steps(plan: Plan, graph: BuildGraph, key_of: KeyOf, done: Mapping[VertexId, Result]) -> PlatformSteps:
    needed = [vertex for vertex in graph.reach(plan.layers) if isinstance(graph.vertices[vertex], _STEPS)]
    in_image = frozenset(plan.layers)
    found: list[DoneStep] = []
    for vertex in needed:
        layers = done.get(vertex)
        if isinstance(layers, tuple) and len(layers) == 1:
            name = graph.labels[vertex].name
            found.append(DoneStep(key=key_of(vertex), name=name, layer=layers[0], in_image=vertex in in_image))
    commands = [value for vertex in needed if isinstance(value := graph.vertices[vertex], RunCommand)]
    mounts = dict.fromkeys(mount.id for command in commands for mount in command.mounts if mount.kind == "cache")
    return PlatformSteps(platform=plan.platform, steps=found, keys=frozenset(map(key_of, needed)), mounts=tuple(mounts))


def _around(workspace: "Workspace", request: BuildRequest) -> Around:
    return Around(store=workspace.store, registry=workspace.registry, now=request.created, emit=workspace.emit)
