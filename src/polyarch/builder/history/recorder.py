"""Records a build while it runs, and finds the records of builds."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.history import record
from polyarch.builder.history.record import BuildRecord, How, StepRecord, StepRun
from polyarch.builder.request.input import ContextSource, DirectoryContext, MainContext, RemoteContext, StreamContext
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import (
    BuildGraph,
    Context,
    CopyFiles,
    Git,
    Http,
    MakeDirectory,
    RunCommand,
    Stacked,
    VertexId,
)
from polyarch.oci import digest as digests
from polyarch.oci.platform import Platform
from polyarch.oci.urls import redact
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.builder.plan.planner import Plan
    from polyarch.builder.remote import StepReport
    from polyarch.store import Store

_BUILDS: Table[str, BuildRecord] = Table(tables.BUILD, record.encode, record.decode)
_FILES: Table[str, Mapping[str, str]] = Table(
    tables.FILES, encoding.to_msgpack, msgspec.msgpack.Decoder(dict[str, str]).decode
)
# A longer list takes too much space. Without it, `explain` shows only that files changed.
_MOST_FILES = 20_000
# Not shown: opening a context is instant, and fetchers report their own progress.
_SILENT = (Context, Http, Git)


class Selecting(Protocol):
    """Knows which files of a context a vertex copies, what the caches outside of the store said about it, and where
    another machine did it.
    """

    def selection(self, vertex: VertexId) -> tuple[str, Callable[[], Mapping[str, str]]] | None: ...
    def found(self, vertex: VertexId, *, cached: bool) -> tuple[str, ...]: ...
    def report(self, vertex: VertexId) -> "StepReport | None": ...


class Recorder:
    """Implements `solve.Observer`: reports vertices by their labels, and records them. It owns nothing.

    Times are of a monotonic clock.
    """

    def __init__(self, graph: BuildGraph, emit: progress.Emit) -> None:
        self._graph = graph
        self._emit = emit
        self._start = time.monotonic()
        self._mutex = threading.Lock()
        self._begun: dict[VertexId, float] = {}
        self._ended: dict[VertexId, float] = {}
        self._ends: dict[VertexId, progress.Finished] = {}
        self._hints: dict[VertexId, str] = {}
        # How long each vertex has waited, and since when the waiting ones wait.
        self._waited: dict[VertexId, float] = {}
        self._waiting: dict[VertexId, float] = {}

    def started(self, vertex: VertexId, *, shown: bool = True) -> None:
        """Implements `solve.Observer`. Without `shown`, it is only recorded: another build reports the same work."""
        with self._mutex:
            self._begun[vertex] = time.monotonic()
        if shown and not isinstance(self._graph.vertices[vertex], _SILENT):
            label = self._graph.labels[vertex]
            self._emit(progress.Started(vertex, label.name, tuple(map(str, label.platforms))))

    def waiting(self, vertex: VertexId, *, begins: bool) -> None:
        """Implements `solve.Observer`."""
        now = time.monotonic()
        with self._mutex:
            if begins:
                self._waiting[vertex] = now
            else:
                self._waited[vertex] = self._waited.get(vertex, 0.0) + now - self._waiting.pop(vertex)

    def finished(
        self,
        vertex: VertexId,
        *,
        cached: bool = False,
        error: str = "",
        hint: str = "",
        canceled: bool = False,
        shown: bool = True,
    ) -> None:
        """Implements `solve.Observer`."""
        end = progress.Finished(vertex, cached, error, canceled)
        with self._mutex:
            self._ended[vertex], self._ends[vertex] = time.monotonic(), end
            if hint:
                self._hints[vertex] = hint
        if shown and not isinstance(self._graph.vertices[vertex], _SILENT):
            self._emit(end)

    def steps(self, order: Iterable[VertexId], performer: Selecting) -> tuple[StepRecord, ...]:
        """The records of these vertices, which are in order, inputs first."""
        vertices = self._graph.vertices
        return tuple(self._step(vertex, performer) for vertex in order if not isinstance(vertices[vertex], Stacked))

    def took_all_from_cache(self) -> bool:
        """Whether there were steps and all of them were cached: then an earlier build was the same."""
        layers = (CopyFiles, MakeDirectory, RunCommand)
        steps = [end.cached for vertex, end in self._ends.items() if isinstance(self._graph.vertices[vertex], layers)]
        return bool(steps) and all(steps)

    def seconds(self) -> float:
        """The seconds since the build began."""
        return time.monotonic() - self._start

    def _step(self, vertex: VertexId, performer: Selecting) -> StepRecord:
        begun, ended = self._begun.get(vertex), self._ended.get(vertex)
        end = self._ends.get(vertex, progress.Finished(vertex))
        waited = self._waited.get(vertex, 0.0)
        spent = ended - begun - waited if ended is not None and begun is not None and not end.cached else 0.0
        report = performer.report(vertex)
        if report is not None:
            # The solver's wait is for the other machine.
            return _done_there(self._step_here(vertex, performer, end, report.seconds, 0.0), report, spent + waited)
        return self._step_here(vertex, performer, end, spent, waited)

    def _step_here(
        self, vertex: VertexId, performer: Selecting, end: progress.Finished, spent: float, waited: float
    ) -> StepRecord:
        begun = self._begun.get(vertex)
        return step(
            self._graph,
            vertex,
            performer,
            cached=end.cached,
            done=vertex in self._ended,
            begun=round(begun - self._start, 3) if begun is not None else 0.0,
            seconds=round(spent, 3),
            waited=round(waited, 3),
            error=end.error,
            hint=self._hints.get(vertex, ""),
            canceled=end.canceled,
        )


def _done_there(step: StepRecord, report: "StepReport", total: float) -> StepRecord:
    """The record of a step that another machine did, and that took `total` seconds in all."""
    reasons = (*step.reasons, f"{report.member} had its result") if report.cached else step.reasons
    sent = round(max(total - report.seconds, 0.0), 3)
    ran = StepRun(how=report.how, member=report.member, sent=sent)
    return msgspec.structs.replace(step, ran=ran, reasons=reasons)


def step(
    graph: BuildGraph,
    vertex: VertexId,
    performer: Selecting,
    *,
    cached: bool,
    done: bool = False,
    begun: float = 0.0,
    seconds: float = 0.0,
    waited: float = 0.0,
    error: str = "",
    hint: str = "",
    canceled: bool = False,
) -> StepRecord:
    """The record of a vertex."""
    label = graph.labels[vertex]
    selection = performer.selection(vertex)
    return StepRecord(
        id=vertex,
        name=label.name,
        platforms=tuple(map(str, label.platforms)),
        kind=record.kind(graph, vertex),
        cached=cached,
        done=done,
        begun=begun,
        seconds=seconds,
        waited=waited,
        canceled=canceled,
        ran=StepRun(how=_how(graph, vertex)),
        error="\n".join(filter(None, [error.partition("\n")[0], hint])),
        parts=record.parts(graph, vertex),
        files=selection[0] if selection is not None else "",
        inputs=record.needed(graph, vertex),
        reasons=performer.found(vertex, cached=cached),
    )


def stacks(graph: BuildGraph, order: Iterable[VertexId]) -> dict[str, tuple[str, str]]:
    """The file systems among the vertices in `order`, for `BuildRecord.stacks`."""
    found = ((vertex, graph.vertices[vertex]) for vertex in order)
    return {vertex: (value.below, value.layers) for vertex, value in found if isinstance(value, Stacked)}


def _how(graph: BuildGraph, vertex: VertexId) -> How:
    value = graph.vertices[vertex]
    return how_of(value.platform) if isinstance(value, RunCommand) else ""


def how_of(platform: Platform) -> Literal["native", "emulated"]:
    """How this machine runs programs of a platform."""
    from polyarch.sandbox.host import host_platform, related

    host = host_platform().architecture
    if platform.architecture == host:
        return "native"
    if platform.architecture not in related(host):
        return "emulated"
    # Only a probe tells, which takes code that a cached build for other platforms does without.
    from polyarch.sandbox.emulation import runs_natively

    return "native" if runs_natively(platform) else "emulated"


class BuildHistory:
    """The records of builds in a store's cache. It owns nothing."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def of_image(self, name: str) -> BuildRecord | None:
        """The last build that gave its result this name, a complete reference."""
        return self._get(f"name {name}")

    def of_context(self, request: BuildRequest, dockerfile: str) -> BuildRecord | None:
        """The last build of this Dockerfile in this context."""
        return self._get(_place(request, dockerfile))

    def files(self, name: str) -> Mapping[str, str]:
        """A list of files by its name; empty if it is unknown."""
        return (_FILES.get(self._store.cache, name) if name else None) or {}

    def remember(
        self,
        request: BuildRequest,
        dockerfile: str,
        plans: "Sequence[Plan]",
        steps: tuple[StepRecord, ...],
        graph: BuildGraph,
        stacks: Mapping[str, tuple[str, str]],
        recorder: Recorder,
        performer: Selecting,
    ) -> None:
        """Store the record of a build, with reasons for the steps that were not cached."""
        for step in steps:
            selection = performer.selection(VertexId(step.id)) if step.files else None
            # A stored list is not made again: in a build without changes that would be most of the work.
            if selection is not None and not _FILES.has(self._store.cache, step.files):
                files = selection[1]()
                if len(files) > _MOST_FILES:
                    files = {}  # stored empty, so that the next build does not count them again
                _FILES.put(self._store.cache, step.files, files)
        if any(not step.cached for step in steps if step.kind != "Context"):
            steps = record.explained(
                steps, stacks, self._before(request, dockerfile), self.files, disabled=_disabled(request, graph)
            )
        names = tuple(str(name.tagged()) for name in request.export.names)
        build = BuildRecord(
            names=names,
            context=context_location(request.input.context),
            dockerfile=dockerfile,
            target=request.plan.target,
            platforms=tuple(str(plan.platform) for plan in plans),
            begun=request.created,
            seconds=round(recorder.seconds(), 3),
            steps=steps,
            stacks=stacks,
        )
        keys = (_place(request, dockerfile), *(f"name {name}" for name in names))
        _BUILDS.put_many(self._store.cache, [(key, build) for key in keys])

    def predict(
        self,
        request: BuildRequest,
        dockerfile: str,
        platforms: Sequence[str],
        steps: Sequence[StepRecord],
        graph: BuildGraph,
        stacks: Mapping[str, tuple[str, str]],
        performer: Selecting,
    ) -> BuildRecord:
        """The record of a dry run: which steps would be done, and why, compared with the last build."""
        selections = (performer.selection(VertexId(step.id)) for step in steps)
        lists = dict(filter(None, selections))

        def files(name: str) -> Mapping[str, str]:
            return lists[name]() if name in lists else self.files(name)

        return BuildRecord(
            names=(),
            context=context_location(request.input.context),
            dockerfile=dockerfile,
            target=request.plan.target,
            platforms=tuple(platforms),
            begun=request.created,
            seconds=0.0,
            steps=record.explained(
                steps, stacks, self._before(request, dockerfile), files, disabled=_disabled(request, graph)
            ),
            stacks=stacks,
        )

    def _before(self, request: BuildRequest, dockerfile: str) -> BuildRecord | None:
        """The build to compare with: the last one of this Dockerfile in this context under the same name, because
        targets of a bake file often differ in arguments only. Else the last one under any name.
        """
        place = (context_location(request.input.context), dockerfile, request.plan.target)
        for name in request.export.names:
            found = self.of_image(str(name.tagged()))
            if found is not None and (found.context, found.dockerfile, found.target) == place:
                return found
        return self.of_context(request, dockerfile)

    def _get(self, key: str) -> BuildRecord | None:
        return _BUILDS.get(self._store.cache, key)


def _disabled(request: BuildRequest, graph: BuildGraph) -> Mapping[str, str]:
    """The vertices whose cached results are not used by request, each with the option that asks for it."""
    if request.cache.no_cache:
        return dict.fromkeys(graph.vertices, "--no-cache")
    return dict.fromkeys(graph.uncached, "--no-cache-filter")


def _place(request: BuildRequest, dockerfile: str) -> str:
    """The cache key for a project: where its context is, the name of its Dockerfile, and the target stage."""
    match request.input.context:
        case RemoteContext(url):
            # A digest, because the URL may have a password or a token.
            where = str(digests.of(url.encode("utf-8", "surrogateescape")))
        case DirectoryContext(path):
            where = str(path.absolute())
        case _:
            where = ""
    return f"path {where}\0{dockerfile}\0{request.plan.target}"


def context_location(context: "MainContext | ContextSource | None") -> str:
    """A context to be shown: without the password or token that a URL may have."""
    match context:
        case DirectoryContext(path):
            return str(path)
        case RemoteContext(url):
            return redact(url)
        case StreamContext():
            return "-"
    return ""
