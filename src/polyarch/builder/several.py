"""Several builds as one graph: each is planned by itself, and one solver does the work of all.

Steps of different builds with the same cache key are the same work (`solve.py`): one build does it, the others take its
result. So each build keeps its own graph, labels, secrets and outputs. What they open is shared (`SharedInputs`).
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, NewType

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
    from polyarch.builder.remote import RemoteRunner
    from polyarch.registry import Registry
    from polyarch.store import Store

# At most so many steps at a time, unless one build alone may do more.
_TOGETHER = 8
# The name of a vertex among those of several builds: the number of its build, and its id.
_Joint = NewType("_Joint", str)
# The id of the export of a build.
_END = VertexId("export")


class PlannedBuild(msgspec.Struct, frozen=True, kw_only=True):
    """One of several builds; `emit` receives its progress."""

    request: BuildRequest
    registry: "Registry"
    emit: Emit = ignore


class _Member:
    """One build and its part of the work. `result` is there when it has been exported.

    Its last vertex among those of all builds is `end`, the export, which needs the results of all its targets.
    """

    def __init__(self, number: int, running: Running, work: Work) -> None:
        assert isinstance(work.observer, Recorder)
        assert isinstance(work.performer, VertexPerformer)
        self.number = number
        self.performer = work.performer
        self.running = running
        self.work = work
        self.recorder = work.observer
        self.result: BuildResult | None = None
        (self.end,) = self.joint([_END])

    def joint(self, vertices: Iterable[VertexId]) -> tuple[_Joint, ...]:
        return tuple(_Joint(f"{self.number}/{vertex}") for vertex in vertices)


def build_all(
    builds: Mapping[str, PlannedBuild],
    store: "Store",
    *,
    keep_going: bool = False,
    remote: "RemoteRunner | None" = None,
) -> Iterator[tuple[str, BuildResult | PolyarchError]]:
    """Build all as one graph: each result or error, by the name of the build.

    A build is exported as soon as its steps are done, while those of others run. Ends after the first error, and
    cancels the other work. With `keep_going`, the builds that do not depend on a failed step are finished. As with
    `pipeline.build`, the process may have no other thread, and RUN steps are done where `remote` places them.
    """
    lost = LostLayers()
    left = dict(builds)
    while left:
        with closing(_attempt(dict(left), store, SharedInputs(lost), remote, keep_going=keep_going)) as outcomes:
            for name, outcome in outcomes:
                failed = isinstance(outcome, PolyarchError) or bool(outcome.failures)
                if failed and lost.found(left[name].emit):
                    break
                del left[name]
                yield name, outcome
            else:
                return


def _attempt(
    builds: Mapping[str, PlannedBuild],
    store: "Store",
    common: SharedInputs,
    remote: "RemoteRunner | None",
    *,
    keep_going: bool,
) -> Generator[tuple[str, BuildResult | PolyarchError], None, None]:
    """Build all, as `build_all` does, and use the layers of caches although they may be lost."""
    with ExitStack() as stack:
        members: dict[str, _Member] = {}
        for number, (name, one) in enumerate(builds.items()):
            try:
                running = _running(one, store, common, stack, remote)
                work = next(running)
                stack.callback(_cancel, running)
                members[name] = _Member(number, running, work)
            except PolyarchError as error:
                yield name, error
                if not keep_going:
                    return
        if not members:
            return
        performer = _JointPerformer(list(members.values()))
        errors = _solve(performer, keep_going)
        # The complete ones first: without `keep_going`, nothing follows an error.
        for name, member in sorted(members.items(), key=lambda pair: pair[1].result is None):
            found = member.result or performer.failed(member, errors)
            if found is not None:
                yield name, found
            if isinstance(found, PolyarchError) and not keep_going:
                return


def _running(
    one: PlannedBuild, store: "Store", common: SharedInputs, stack: ExitStack, remote: "RemoteRunner | None"
) -> Running:
    """A build. What it opens is open until `stack` ends, because the others may use it."""
    with EntryWriter(one.request, store) as entry:
        workspace = stack.enter_context(Workspace(one.request, store, one.registry, one.emit, common, remote=remote))
        entry.result = result = yield from stack.enter_context(Build(workspace, entry)).run()
    return result


def _cancel(running: Running) -> None:
    """End a build that waits for its work, if it still does."""
    # A generator that has ended raises what is thrown into it.
    with suppress(CancelledError):
        running.throw(CancelledError())


def _solve(performer: "_JointPerformer", keep_going: bool) -> Mapping[str, PolyarchError]:
    """Do the work of all builds, and export them. Returns the errors by the joint names of the vertices that failed."""
    members = performer.members
    if not any(member.performer.runs for member in members):
        for member in members:
            member.performer.prefetch()
    wanted = [member.work.workers for member in members]
    workers = max(*wanted, min(sum(wanted), _TOGETHER))
    observer = _JointObserver(performer)
    try:
        seen = solve.examine([member.end for member in members], performer, observer, keep_going=keep_going)
        performer.results = seen.results
        solve.perform(seen, performer, observer, workers=workers, keep_going=keep_going)
    except FailedError as failed:
        return failed.errors
    return {}


class _JointPerformer:
    """Implements `solve.Performer` for several builds, with the performer of each."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = {member.number: member for member in members}
        # The results so far. Threads look up single ones while the solver adds others.
        self.results: Mapping[_Joint, Result] = {}
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

    @property
    def members(self) -> tuple[_Member, ...]:
        """All builds."""
        return tuple(self._members.values())

    def failed(self, member: _Member, errors: Mapping[str, PolyarchError]) -> BuildResult | PolyarchError | None:
        """The error of a build that was not exported, or the result if it leaves out what failed; None if it was only
        cancelled.
        """
        if member.end in errors:
            return errors[member.end]
        failed = {self.work_of(key): error for key, error in errors.items()}
        found: dict[str, PolyarchError] = {}
        for vertex in _vertices(member):
            error = failed.get(self.work_of(*member.joint([vertex])))
            if error is not None:
                found[vertex] = error
        if not found:
            return None
        results = self._results_of(member)

        def failing() -> Mapping[VertexId, Result]:
            raise FailedError(found, results)

        try:
            return solve.resumed(member.running, failing)
        except PolyarchError as error:
            return error

    def _export(self, member: _Member) -> None:
        """Let a build continue with the results of its work."""
        results = self._results_of(member)
        for vertex, result in results.items():
            # Another build may have done the work.
            if not self.is_first(*member.joint([vertex])):
                member.performer.take(vertex, result)
        member.result = solve.resumed(member.running, lambda: results)

    def _results_of(self, member: _Member) -> dict[VertexId, Result]:
        found = ((vertex, self.results.get(*member.joint([vertex]))) for vertex in _vertices(member))
        return {vertex: result for vertex, result in found if result is not None}

    def inputs(self, vertex: _Joint) -> tuple[_Joint, ...]:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        return member.joint(member.work.targets if own == _END else member.performer.inputs(own))

    def joins(self, vertex: _Joint) -> bool:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        return own != _END and member.performer.joins(own)

    def cache_key(self, vertex: _Joint, inputs: Mapping[_Joint, str]) -> str:
        """Implements `solve.Performer`. The number of the shape follows the key."""
        member, own = self.of(vertex)
        if own == _END:
            return vertex
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
        return None if own == _END else member.performer.load(own, _bare(cache_key))

    def prepare(self, pending: Iterable[_Joint]) -> None:
        """Implements `solve.Performer`."""
        todo: dict[int, list[VertexId]] = {number: [] for number in self._members}
        for vertex in pending:
            member, own = self.of(vertex)
            if own != _END:
                todo[member.number].append(own)
        for number, member in self._members.items():
            member.performer.prepare(todo[number])

    def perform(self, vertex: _Joint, cache_key: str, inputs: Mapping[_Joint, Result], outside: Outside) -> Result:
        """Implements `solve.Performer`."""
        member, own = self.of(vertex)
        if own == _END:
            self._export(member)
            return ()
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
        if own != _END:
            member.recorder.started(own, shown=self._performer.is_first(vertex))

    def waiting(self, vertex: _Joint, *, begins: bool) -> None:
        """Implements `solve.Observer`."""
        member, own = self._performer.of(vertex)
        if own != _END:
            member.recorder.waiting(own, begins=begins)

    def finished(
        self, vertex: _Joint, *, cached: bool = False, error: str = "", hint: str = "", canceled: bool = False
    ) -> None:
        """Implements `solve.Observer`."""
        member, own = self._performer.of(vertex)
        if own == _END:
            return
        shown = self._performer.is_first(vertex)
        member.recorder.finished(own, cached=cached, error=error, hint=hint, canceled=canceled, shown=shown)


def _vertices(member: _Member) -> list[VertexId]:
    """The vertices of a build, inputs first."""
    return solve.topological(list(member.work.targets), member.performer.inputs)


def _bare(key: str) -> str:
    return key.partition("#")[0]
