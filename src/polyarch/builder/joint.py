"""The work of several builds as one graph.

Each build keeps its own graph, labels, secrets and outputs. Two of their vertices are the same work if they have the
same cache key and shape. The image of another build (`LinkedLayers`) is an edge to the file system that the image has
in the graph of that build.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NewType

from polyarch.builder import solve
from polyarch.builder.perform.environment import Result
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import VertexId
from polyarch.errors import BuildError, PolyarchError

if TYPE_CHECKING:
    from polyarch.builder.history.recorder import Recorder

# The name of a vertex among those of several builds: the number of its build, and its id.
Joint = NewType("Joint", str)
# The id of the export of a build.
END = VertexId("export")


class JointBuild:
    """One build's part of the work. `targets` are the vertices whose results it needs.

    Its last vertex among those of all builds is `end`, its `export`, which also waits for those of the builds `after`.
    A build that is only examined has neither an export nor a recorder.
    """

    def __init__(
        self,
        number: int,
        name: str,
        performer: VertexPerformer,
        targets: Sequence[VertexId],
        *,
        recorder: "Recorder | None" = None,
        export: Callable[[], None] | None = None,
        after: Sequence[str] = (),
    ) -> None:
        self.number = number
        self.name = name
        self.performer = performer
        self.targets = tuple(targets)
        self.recorder = recorder
        self.export = export
        self.after = tuple(after)
        (self.end,) = self.joint([END])

    def joint(self, vertices: Iterable[VertexId]) -> tuple[Joint, ...]:
        """The names of these vertices among those of all builds."""
        return tuple(Joint(f"{self.number}/{vertex}") for vertex in vertices)

    def vertices(self) -> list[VertexId]:
        """The vertices of this build, inputs first."""
        return solve.topological(list(self.targets), self.performer.inputs)


class JointPerformer:
    """Implements `solve.Performer` for several builds, with the performer of each. A build comes after those that it
    uses.
    """

    def __init__(self, parts: Sequence[JointBuild]) -> None:
        self._parts = {part.number: part for part in parts}
        self._named = {part.name: part for part in parts}
        # The results so far. Threads look up single ones while the solver adds others.
        self.results: Mapping[Joint, Result] = {}
        self._is_prepared = False
        # The name of the work of each vertex, and the first vertex with this work.
        self._work: dict[str, str] = {}
        self._firsts: dict[str, str] = {}
        # Each distinct value of `VertexPerformer.shape`, with its number: a name must not have a secret in it.
        self._shapes: dict[object, int] = {}

    def of(self, key: Joint) -> tuple[JointBuild, VertexId]:
        """The build of a vertex, and its id there."""
        number, _, vertex = key.partition("/")
        return self._parts[int(number)], VertexId(vertex)

    def work_of(self, key: str) -> str:
        """The name of the work of a vertex; the vertex itself if it has no cache key."""
        return self._work.get(key, key)

    def is_first(self, key: Joint) -> bool:
        """Whether a vertex is the first with this work."""
        return self._firsts.get(self.work_of(key), key) == key

    def results_of(self, part: JointBuild) -> dict[VertexId, Result]:
        """The results of a build so far."""
        found = ((vertex, self.results.get(*part.joint([vertex]))) for vertex in part.vertices())
        return {vertex: result for vertex, result in found if result is not None}

    def errors_of(self, part: JointBuild, errors: Mapping[str, PolyarchError]) -> dict[str, PolyarchError]:
        """The errors that concern a build, by its own vertices. `errors` are those of all builds."""
        failed = {self.work_of(key): error for key, error in errors.items()}
        found: dict[str, PolyarchError] = {}
        for vertex in part.vertices() if failed else ():
            (key,) = part.joint([vertex])
            error = failed.get(self.work_of(key))
            link = part.performer.link(vertex)
            if link is not None and any(self.work_of(one) in failed for one in solve.topological([key], self.inputs)):
                error = BuildError(f"its context {link.build} failed")
            if error is not None:
                found[vertex] = error
        return found

    def failed_before(self, build: JointBuild, errors: Mapping[str, PolyarchError]) -> str:
        """The build that was not exported because of one of these errors, so that this one was not; empty for none."""
        for name in build.after:
            if any(key in errors for key in solve.topological([self._named[name].end], self.inputs)):
                return name
        return ""

    # ── solve.Performer

    def inputs(self, vertex: Joint) -> tuple[Joint, ...]:
        """Implements `solve.Performer`."""
        part, own = self.of(vertex)
        if own == END:
            return (*part.joint(part.targets), *(self._named[name].end for name in part.after))
        link = part.performer.link(own)
        if link is not None:
            return self._named[link.build].joint([link.stack])
        return part.joint(part.performer.inputs(own))

    def joins(self, vertex: Joint) -> bool:
        """Implements `solve.Performer`."""
        part, own = self.of(vertex)
        return own != END and part.performer.joins(own)

    def cache_key(self, vertex: Joint, inputs: Mapping[Joint, str]) -> str:
        """Implements `solve.Performer`. The number of the shape follows the key."""
        part, own = self.of(vertex)
        if own == END:
            return vertex
        link = part.performer.link(own)
        if link is not None:
            (key,) = inputs.values()
            part.performer.link_key(own, _bare(key), self._named[link.build].performer, link.stack)
            return key
        key = part.performer.cache_key(own, {self.of(name)[1]: _bare(key) for name, key in inputs.items()})
        # What depends on a step with another shape is other work, too.
        shapes = {key.partition("#")[2] for key in inputs.values()}
        shape = self._shapes.setdefault((part.performer.shape(own), *sorted(shapes)), len(self._shapes))
        work = self._work[vertex] = f"{key}#{shape}"
        self._firsts.setdefault(work, vertex)
        return work

    def load(self, vertex: Joint, cache_key: str) -> "Result | None":
        """Implements `solve.Performer`."""
        part, own = self.of(vertex)
        return None if own == END else part.performer.load(own, _bare(cache_key))

    def prepare(self, pending: Iterable[Joint]) -> None:
        """Implements `solve.Performer`."""
        self._is_prepared = True
        todo: dict[int, list[VertexId]] = {number: [] for number in self._parts}
        for vertex in pending:
            part, own = self.of(vertex)
            if own != END:
                todo[part.number].append(own)
        for number, part in self._parts.items():
            part.performer.prepare(todo[number])

    def perform(self, vertex: Joint, cache_key: str, inputs: Mapping[Joint, Result], outside: Outside) -> Result:
        """Implements `solve.Performer`."""
        part, own = self.of(vertex)
        if own == END:
            assert part.export is not None, part.name
            part.export()
            return ()
        link = part.performer.link(own)
        if link is None:
            given = {self.of(name)[1]: result for name, result in inputs.items()}
            return part.performer.perform(own, _bare(cache_key), given, outside)
        (stack,) = inputs.values()
        if part.recorder is not None:
            # The solver does not report what only joins. Before anything is performed, all of it was in the cache.
            part.recorder.started(own)
            part.recorder.finished(own, cached=not self._is_prepared)
        return part.performer.linked(own, self._named[link.build].performer, link.stack, stack)

    def cancel(self) -> None:
        """Implements `solve.Performer`."""
        for part in self._parts.values():
            part.performer.cancel()


class JointObserver:
    """Implements `solve.Observer`: the recorder of each build gets its vertices; shared work is shown once."""

    def __init__(self, performer: JointPerformer) -> None:
        self._performer = performer

    def started(self, vertex: Joint) -> None:
        """Implements `solve.Observer`."""
        part, own = self._performer.of(vertex)
        if own != END and part.recorder is not None:
            part.recorder.started(own, shown=self._performer.is_first(vertex))

    def waiting(self, vertex: Joint, *, begins: bool) -> None:
        """Implements `solve.Observer`."""
        part, own = self._performer.of(vertex)
        if own != END and part.recorder is not None:
            part.recorder.waiting(own, begins=begins)

    def finished(
        self, vertex: Joint, *, cached: bool = False, error: str = "", hint: str = "", canceled: bool = False
    ) -> None:
        """Implements `solve.Observer`."""
        part, own = self._performer.of(vertex)
        if own == END or part.recorder is None:
            return
        shown = self._performer.is_first(vertex)
        part.recorder.finished(own, cached=cached, error=error, hint=hint, canceled=canceled, shown=shown)


def _bare(key: str) -> str:
    return key.partition("#")[0]
