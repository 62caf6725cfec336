"""What a build would do now: its plans, the keys of its vertices, and what the cache has. Nothing is performed."""

from collections.abc import Collection, Mapping

import msgspec

from polyarch.builder import solve
from polyarch.builder.failures import located
from polyarch.builder.history.record import LINK, BuildRecord
from polyarch.builder.history.recorder import BuildHistory, stacks, step
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.dockerfile.parser import Dockerfile
from polyarch.errors import PolyarchError


class ForeseenWork(msgspec.Struct, frozen=True, kw_only=True):
    """A build that was planned. `targets` are the vertices of the layers of its result."""

    request: BuildRequest
    dockerfile: Dockerfile
    graph: BuildGraph
    plans: tuple[Plan, ...]
    targets: tuple[VertexId, ...]
    performer: VertexPerformer

    def order(self) -> list[VertexId]:
        """Its vertices, inputs first."""
        return solve.topological(list(self.targets), self.performer.inputs)

    def located(self, vertex: str, error: PolyarchError) -> PolyarchError:
        """The error of a vertex with the lines of the Dockerfile."""
        return located(self.graph, self.dockerfile, vertex, error)


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A build that was examined. `keys` are the cache keys of vertices. Those with an equal name in `works` are the
    same work, also in other builds.
    """

    request: BuildRequest
    record: BuildRecord
    plans: tuple[Plan, ...]
    graph: BuildGraph
    keys: Mapping[VertexId, str]
    works: Mapping[VertexId, str]


def record(
    work: ForeseenWork, cached: Collection[VertexId], pending: Collection[VertexId], history: BuildHistory
) -> BuildRecord:
    """The steps of a build, compared with the last build of its context. `cached` have a result, `pending` would be
    done.
    """
    graph, performer, order = work.graph, work.performer, work.order()
    steps = []
    for key in order:
        link = performer.link(key)
        if performer.joins(key) and link is None:
            continue
        one = step(graph, key, performer, cached=key in cached, done=key in pending)
        if link is not None and one.kind == LINK and one.done:
            one = msgspec.structs.replace(one, reasons=(f"{link.build} is built first",))
        steps.append(one)
    return history.predict(
        work.request,
        work.dockerfile.name,
        [str(plan.platform) for plan in work.plans],
        steps,
        graph,
        stacks(graph, order),
        performer,
    )
