"""Several builds as one graph: each is planned by itself, and one solver does the work of all.

Steps of different builds with the same cache key are the same work (`solve.py`): one build does it, the others take its
result. So each build keeps its own graph, labels, secrets and outputs. What they open is shared (`SharedInputs`).
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, NewType, cast

import msgspec

from polyarch.builder import solve
from polyarch.builder.cache.lost import LostLayers
from polyarch.builder.contexts.opener import SharedInputs
from polyarch.builder.history.entry import EntryWriter
from polyarch.builder.history.recorder import Recorder
from polyarch.builder.perform.environment import Result
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.pipeline import Build, Running, Work
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.result import BuildResult
from polyarch.builder.solve import FailedError, Outside
from polyarch.builder.vertices import VertexId
from polyarch.builder.workspace import Workspace
from polyarch.errors import CancelledError, PolyarchError
from polyarch.progress import Emit, ignore

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store

# At most so many steps at a time, unless one build alone may do more.
_TOGETHER = 8
# The name of a vertex among those of several builds: the number of its build, and its id.
_Joint = NewType("_Joint", str)


class PlannedBuild(msgspec.Struct, frozen=True, kw_only=True):
    """One of several builds; `emit` receives its progress."""

    request: BuildRequest
    registry: "Registry"
    emit: Emit = ignore


class _Member:
    """One build and its part of the work."""

    def __init__(self, number: int, running: Running, work: Work) -> None:
        assert isinstance(work.observer, Recorder)
        assert isinstance(work.performer, VertexPerformer)
        self.number = number
        self.performer = work.performer
        self.running = running
        self.work = work
        self.recorder = work.observer

    def joint(self, vertices: Iterable[VertexId]) -> tuple[_Joint, ...]:
        return tuple(_Joint(f"{self.number}/{vertex}") for vertex in vertices)


def build_all(
    builds: Mapping[str, PlannedBuild], store: "Store", *, keep_going: bool = False
) -> Iterator[tuple[str, BuildResult | PolyarchError]]:
    """Build all as one graph: each result or error, by the name of the build.

    Ends after the first error, and cancels the other work. With `keep_going`, the builds that do not depend on a failed
    step are finished. As with `pipeline.build`, the process may have no other thread.
    """
    lost = LostLayers()
    left = dict(builds)
    while left:
        with closing(_attempt(dict(left), store, SharedInputs(lost), keep_going=keep_going)) as outcomes:
            for name, outcome in outcomes:
                failed = isinstance(outcome, PolyarchError) or bool(outcome.failures)
                if failed and lost.found(left[name].emit):
                    break
                del left[name]
                yield name, outcome
            else:
                return


def _attempt(
    builds: Mapping[str, PlannedBuild], store: "Store", common: SharedInputs, *, keep_going: bool
) -> Generator[tuple[str, BuildResult | PolyarchError], None, None]:
    """Build all, as `build_all` does, and use the layers of caches although they may be lost."""
    with ExitStack() as stack:
        members: dict[str, _Member] = {}
        for number, (name, one) in enumerate(builds.items()):
            try:
                running = _running(one, store, common, stack)
                work = next(running)
                stack.callback(_cancel, running)
                members[name] = _Member(number, running, work)
            except PolyarchError as error:
                yield name, error
                if not keep_going:
                    return
        if not members:
            return
        solved = _solved(list(members.values()), keep_going)
        # A build that failed comes first: without `keep_going`, the others are not whole.
        for name in sorted(members, key=lambda name: not solved.failed(members[name])):
            member = members[name]
            try:
                yield name, solve.resumed(member.running, partial(solved.results_of, member))
            except PolyarchError as error:
                yield name, error
                if not keep_going:
                    return


def _running(one: PlannedBuild, store: "Store", common: SharedInputs, stack: ExitStack) -> Running:
    """A build. What it opens is open until `stack` ends, because the others may use it."""
    with EntryWriter(one.request, store) as entry:
        workspace = stack.enter_context(Workspace(one.request, store, one.registry, one.emit, common))
        entry.result = result = yield from stack.enter_context(Build(workspace, entry)).run()
    return result


def _cancel(running: Running) -> None:
    """End a build that waits for its work, if it still does."""
    # A generator that has ended raises what is thrown into it.
    with suppress(CancelledError):
        running.throw(CancelledError())


class _Solved:
    """The results of all builds, and the errors by the joint names of the vertices that failed."""

    def __init__(
        self, performer: "_JointPerformer", results: Mapping[_Joint, Result], errors: dict[str, PolyarchError]
    ):
        self._performer = performer
        self._results = results
        self._errors = errors

    def failed(self, member: _Member) -> bool:
        return bool(self._failures(member))

    def results_of(self, member: _Member) -> Mapping[VertexId, Result]:
        """The results of one build. Raises FailedError if one of its steps failed, in whichever build it was done."""
        prefix = f"{member.number}/"
        results = {
            VertexId(key.removeprefix(prefix)): result
            for key, result in self._results.items()
            if key.startswith(prefix)
        }
        failures = self._failures(member)
        if failures:
            raise FailedError(failures, results)
        for vertex in self._performer.taken(member):
            if vertex in results:
                member.performer.take(vertex, results[vertex])
        return results

    def _failures(self, member: _Member) -> dict[str, PolyarchError]:
        failed = {self._performer.work_of(key): error for key, error in self._errors.items()}
        found: dict[str, PolyarchError] = {}
        for vertex in solve.topological(list(member.work.targets), member.performer.inputs):
            (key,) = member.joint([vertex])
            error = failed.get(self._performer.work_of(key))
            if error is not None:
                found[vertex] = error
        return found


def _solved(members: Sequence[_Member], keep_going: bool) -> _Solved:
    performer = _JointPerformer(members)
    if not any(member.performer.runs for member in members):
        for member in members:
            member.performer.prefetch()
    targets = [key for member in members for key in member.joint(member.work.targets)]
    wanted = [member.work.workers for member in members]
    workers = max(*wanted, min(sum(wanted), _TOGETHER))
    observer = _JointObserver(performer)
    try:
        results = solve.solve(targets, performer, observer, workers=workers, keep_going=keep_going)
    except FailedError as failed:
        return _Solved(performer, cast(Mapping[_Joint, Result], failed.results), failed.errors)
    return _Solved(performer, results, {})


class _JointPerformer:
    """Implements `solve.Performer` for several builds, with the performer of each."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = {member.number: member for member in members}
        # The name of the work of each vertex, and the first vertex with this work.
        self._work: dict[str, str] = {}
        self._firsts: dict[str, str] = {}
        # Each distinct value of `VertexPerformer.shape`, with its number: a name must not have a secret in it.
        self._shapes: dict[object, int] = {}

    def of(self, key: _Joint) -> tuple[_Member, VertexId]:
        number, _, vertex = key.partition("/")
        return self._members[int(number)], VertexId(vertex)

    def work_of(self, key: str) -> str:
        """The name of the work of a vertex; the vertex itself if it has no cache key."""
        return self._work.get(key, key)

    def is_first(self, key: _Joint) -> bool:
        """Whether a vertex is the first with this work."""
        return self._firsts.get(self.work_of(key), key) == key

    def taken(self, member: _Member) -> Iterator[VertexId]:
        """The vertices of a build whose work another build may have done."""
        for key in self._work:
            owner, vertex = self.of(_Joint(key))
            if owner is member and not self.is_first(_Joint(key)):
                yield vertex

    def inputs(self, vertex: _Joint) -> tuple[_Joint, ...]:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        return member.joint(member.performer.inputs(own))

    def joins(self, vertex: _Joint) -> bool:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        return member.performer.joins(own)

    def cache_key(self, vertex: _Joint, inputs: Mapping[_Joint, str]) -> str:
        """Implements `solve.Performer`. The number of the shape follows the key."""
        member, own = self.of(vertex)
        key = member.performer.cache_key(own, {self.of(name)[1]: _bare(key) for name, key in inputs.items()})
        # What depends on a step with another shape is other work, too.
        shapes = {key.partition("#")[2] for key in inputs.values()}
        shape = self._shapes.setdefault((member.performer.shape(own), *sorted(shapes)), len(self._shapes))
        work = self._work[vertex] = f"{key}#{shape}"
        self._firsts.setdefault(work, vertex)
        return work

    def load(self, vertex: _Joint, cache_key: str) -> Result | None:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        return member.performer.load(own, _bare(cache_key))

    def prepare(self, pending: Iterable[_Joint]) -> None:
        """Implements `solve.Performer`."""
        todo: dict[int, list[VertexId]] = {number: [] for number in self._members}
        for vertex in pending:
            member, own = self.of(vertex)
            todo[member.number].append(own)
        for number, member in self._members.items():
            member.performer.prepare(todo[number])

    def perform(self, vertex: _Joint, cache_key: str, inputs: Mapping[_Joint, Result], outside: Outside) -> Result:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        given = {self.of(name)[1]: result for name, result in inputs.items()}
        return member.performer.perform(own, _bare(cache_key), given, outside)

    def cancel(self) -> None:
        """Implements `solve.Performer`."""
        for member in self._members.values():
            member.performer.cancel()


class _JointObserver:
    """Implements `solve.Observer`: the recorder of each build gets its vertices; shared work is shown once."""

    def __init__(self, performer: _JointPerformer) -> None:
        self._performer = performer

    def started(self, vertex: _Joint) -> None:
        """Implements `solve.Observer`."""
        member, own = self._performer.of(vertex)
        member.recorder.started(own, shown=self._performer.is_first(vertex))

    def waiting(self, vertex: _Joint, *, begins: bool) -> None:
        """Implements `solve.Observer`."""
        member, own = self._performer.of(vertex)
        member.recorder.waiting(own, begins=begins)

    def finished(
        self, vertex: _Joint, *, cached: bool = False, error: str = "", hint: str = "", canceled: bool = False
    ) -> None:
        """Implements `solve.Observer`."""
        member, own = self._performer.of(vertex)
        shown = self._performer.is_first(vertex)
        member.recorder.finished(own, cached=cached, error=error, hint=hint, canceled=canceled, shown=shown)


def _bare(key: str) -> str:
    return key.partition("#")[0]
