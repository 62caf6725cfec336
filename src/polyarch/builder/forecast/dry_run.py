"""What a build would do now: its plans, the keys of its vertices, and what the cache has. Nothing is performed."""

from collections.abc import Callable, Hashable, Mapping, Sequence

import msgspec

from polyarch.builder.export.assemble import ComposedImage
from polyarch.builder.forecast.linked import LinkedBuild, LinkedImages, linked_image
from polyarch.builder.history.record import LINK, BuildRecord
from polyarch.builder.history.recorder import BuildHistory, stacks, step
from polyarch.builder.perform.environment import Result
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.solve import Examined
from polyarch.builder.vertices import BuildGraph, ImageLayers, VertexId
from polyarch.contents.layer import Layer


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A build that was examined. `keys` are the cache keys of vertices, `shapes` what their results depend on besides.

    `links` are the other builds whose images it uses, by the vertices that have their layers; `images` are those that
    it would make itself.
    """

    request: BuildRequest
    record: BuildRecord
    plans: tuple[Plan, ...]
    graph: BuildGraph
    keys: Mapping[VertexId, str]
    shapes: Mapping[VertexId, Hashable]
    links: Mapping[VertexId, str]
    images: LinkedBuild


class Dry(msgspec.Struct, frozen=True):
    """The parts of an examined build. `image` composes the image of a plan, if its layers need no work."""

    request: BuildRequest
    dockerfile: str
    graph: BuildGraph
    plans: tuple[Plan, ...]
    seen: Examined[VertexId, Result]
    performer: VertexPerformer
    linked: LinkedImages
    image: Callable[[Plan, Sequence[Layer]], ComposedImage | None]


def dry_run_of(name: str, dry: Dry, history: BuildHistory) -> DryRun:
    """What the build `name` would do, compared with the last build of its context."""
    graph, seen, performer = dry.graph, dry.seen, dry.performer
    links = {key: found for key in seen.order if (found := _link(graph, key, dry.linked))}
    pending = set(seen.pending)
    steps = []
    for key in seen.order:
        if performer.joins(key):
            continue
        one = step(graph, key, performer, cached=key in seen.results, done=key in pending)
        if key in links and key in pending:
            reason = f"{links[key]} is built first"
            one = msgspec.structs.replace(one, kind=LINK, name=f"FROM target:{links[key]}", reasons=(reason,))
        steps.append(one)
    record = history.predict(
        dry.request,
        dry.dockerfile,
        [str(plan.platform) for plan in dry.plans],
        steps,
        graph,
        stacks(graph, seen.order),
        performer,
    )
    return DryRun(
        request=dry.request,
        record=record,
        plans=dry.plans,
        graph=graph,
        keys=dict(seen.keys),
        shapes={key: performer.shape(key) for key in seen.order},
        links=links,
        images=LinkedBuild(name, {plan.platform: linked_image(name, plan, _composed(dry, plan)) for plan in dry.plans}),
    )


def _link(graph: BuildGraph, key: VertexId, linked: LinkedImages) -> str:
    value = graph.vertices[key]
    return linked.name(value.manifest) if isinstance(value, ImageLayers) else ""


def _composed(dry: Dry, plan: Plan) -> ComposedImage | None:
    layers: list[Layer] = []
    for vertex in plan.layers:
        made = dry.seen.results.get(vertex)
        if made is None:
            return None
        assert isinstance(made, tuple), vertex
        layers += made
    return dry.image(plan, layers)
