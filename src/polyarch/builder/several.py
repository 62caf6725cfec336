"""Several builds as one graph: each is planned by itself, and one solver does the work of all.

All builds are planned before anything runs: then it is known whether the process has to enter a user namespace, which
it can only do while it has one thread. What they open is shared (`SharedInputs`).
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder import solve
from polyarch.builder.cache.lost import LostLayers
from polyarch.builder.contexts.opener import SharedInputs
from polyarch.builder.history.entry import EntryWriter
from polyarch.builder.history.recorder import Recorder
from polyarch.builder.joint import JointBuild, JointObserver, JointPerformer
from polyarch.builder.linked import LinkedBuild, LinkedImages
from polyarch.builder.perform.environment import Result
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.pipeline import Build, Running, Work
from polyarch.builder.request.input import DirectoryContext
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.result import BuildResult
from polyarch.builder.solve import FailedError
from polyarch.builder.vertices import VertexId
from polyarch.builder.workspace import Workspace
from polyarch.errors import BuildError, CancelledError, PolyarchError
from polyarch.progress import Emit, ignore

if TYPE_CHECKING:
    from polyarch.builder.remote import RemoteRunner
    from polyarch.registry import Registry
    from polyarch.store import Store

# At most so many steps at a time, unless one build alone may do more.
_TOGETHER = 8


class PlannedBuild(msgspec.Struct, frozen=True, kw_only=True):
    """One of several builds; `emit` receives its progress."""

    request: BuildRequest
    registry: "Registry"
    emit: Emit = ignore


class _Member:
    """One build and its part of the work. `result` is there when it has been exported."""

    def __init__(self, number: int, name: str, one: PlannedBuild, running: Running, work: Work) -> None:
        assert isinstance(work.observer, Recorder)
        assert isinstance(work.performer, VertexPerformer)
        self.running = running
        self.work = work
        self.performer = work.performer
        self.result: BuildResult | None = None
        # Provenance names the images that were used by their digests.
        after = one.request.links() if one.request.export.attestations else ()
        self.part = JointBuild(
            number, name, work.performer, work.targets, recorder=work.observer, export=self._export, after=after
        )
        self.joint: JointPerformer | None = None

    def outcome(
        self, performer: JointPerformer, errors: Mapping[str, PolyarchError]
    ) -> BuildResult | PolyarchError | None:
        """The result of the build, or its error. A build that goes on has a result that leaves out what failed. None if
        it was only cancelled.
        """
        if self.result is not None:
            return self.result
        if self.part.end in errors:
            return errors[self.part.end]
        found = performer.errors_of(self.part, errors)
        if not found:
            before = performer.failed_before(self.part, errors)
            return BuildError(f"not exported, because its context {before} was not") if before else None
        results = performer.results_of(self.part)

        def failing() -> Mapping[VertexId, Result]:
            raise FailedError(found, results)

        try:
            return solve.resumed(self.running, failing)
        except PolyarchError as error:
            return error

    def _export(self) -> None:
        """Let the build continue with the results of its work."""
        assert self.joint is not None
        results = self.joint.results_of(self.part)
        for vertex, result in results.items():
            # Another build may have done the work.
            if not self.joint.is_first(*self.part.joint([vertex])):
                self.performer.take(vertex, result)
        self.result = solve.resumed(self.running, lambda: results)


def build_all(
    builds: Mapping[str, PlannedBuild],
    store: "Store",
    *,
    keep_going: bool = False,
    remote: "RemoteRunner | None" = None,
) -> Iterator[tuple[str, BuildResult | PolyarchError]]:
    """Build all as one graph: each result or error, by the name of the build. A build is after those that it links to.

    A build is exported as soon as its steps are done, while those of others run. Ends after the first error, and
    cancels the other work. With `keep_going`, the builds that do not depend on a failed step are finished. As with
    `pipeline.build`, the process may have no other thread, and RUN steps are done where `remote` places them.
    """
    lost = LostLayers()
    left = dict(builds)
    while left:
        needed = _with_links(builds, left)
        attempt = _attempt(needed, set(left), store, SharedInputs(lost), remote, keep_going=keep_going)
        with closing(attempt) as outcomes:
            for name, outcome in outcomes:
                failed = isinstance(outcome, PolyarchError) or bool(outcome.failures)
                if failed and lost.found(left[name].emit):
                    break
                del left[name]
                yield name, outcome
            else:
                return


def _with_links(builds: Mapping[str, PlannedBuild], wanted: Collection[str]) -> dict[str, PlannedBuild]:
    """The wanted builds and those whose images they use."""
    needed = set(wanted)
    for name in reversed(list(builds)):
        if name in needed:
            needed.update(builds[name].request.links())
    return {name: one for name, one in builds.items() if name in needed}


def _attempt(
    builds: Mapping[str, PlannedBuild],
    wanted: Collection[str],
    store: "Store",
    common: SharedInputs,
    remote: "RemoteRunner | None",
    *,
    keep_going: bool,
) -> Generator[tuple[str, BuildResult | PolyarchError], None, None]:
    """Build the `wanted` ones, as `build_all` does, and use the layers of caches although they may be lost."""
    with ExitStack() as stack:
        planning = _Planning(store, common, remote, stack)
        # Mistakes in Dockerfiles are found before a registry is asked.
        for step in (planning.open, planning.plan):
            for name, one in builds.items():
                try:
                    step(name, one)
                except PolyarchError as error:
                    planning.failed.add(name)
                    if name in wanted:
                        yield name, error
                    if not keep_going:
                        return
        members = planning.members
        if not members:
            return
        performer, errors = _solve(members, wanted, keep_going)
        outcomes = {name: members[name].outcome(performer, errors) for name in members if name in wanted}
        # The complete ones first: without `keep_going`, nothing follows an error.
        for name, found in sorted(outcomes.items(), key=lambda pair: members[pair[0]].result is None):
            if found is not None:
                yield name, found
            if isinstance(found, PolyarchError) and not keep_going:
                return


class _Planning:
    """Opens and plans builds, one after the other. What it opens stays open until `stack` ends: builds share it."""

    def __init__(self, store: "Store", common: SharedInputs, remote: "RemoteRunner | None", stack: ExitStack) -> None:
        self._store = store
        self._common = common
        self._remote = remote
        self._stack = stack
        self._workspaces: dict[str, Workspace] = {}
        self._links: dict[str, LinkedBuild] = {}
        self.members: dict[str, _Member] = {}
        self.failed: set[str] = set()

    def open(self, name: str, one: PlannedBuild) -> None:
        """Open a build, and parse its Dockerfile unless that has to be fetched."""
        workspace = Workspace(one.request, self._store, one.registry, one.emit, self._common, remote=self._remote)
        self._workspaces[name] = self._stack.enter_context(workspace)
        if isinstance(one.request.input.context, DirectoryContext):
            _ = workspace.dockerfile

    def plan(self, name: str, one: PlannedBuild) -> None:
        """Plan a build, after those that it links to. Raises BuildError if one of these could not be planned."""
        if name in self.failed:
            return
        for other in one.request.links():
            if other in self.failed:
                raise BuildError(f"not built, because its context {other} failed")
        links = [self._links[other] for other in one.request.links()]
        self._links[name] = own = LinkedBuild(name)
        images = LinkedImages(links, own, allow_foreign=one.request.plan.allow_foreign_base)
        running = self._running(self._workspaces[name], images)
        work = next(running)
        self._stack.callback(_cancel, running)
        self.members[name] = _Member(len(self.members), name, one, running, work)

    def _running(self, workspace: Workspace, links: LinkedImages) -> Running:
        with EntryWriter(workspace.request, self._store) as entry:
            opened = self._stack.enter_context(Build(workspace, entry, links=links))
            entry.result = result = yield from opened.run()
        return result


def _cancel(running: Running) -> None:
    """End a build that waits for its work, if it still does."""
    # A generator that has ended raises what is thrown into it.
    with suppress(CancelledError):
        running.throw(CancelledError())


def _solve(
    members: Mapping[str, _Member], wanted: Collection[str], keep_going: bool
) -> tuple[JointPerformer, Mapping[str, PolyarchError]]:
    """Do the work of all builds, and export the wanted ones. Returns the errors by the joint names of the vertices that
    failed.
    """
    if not any(member.performer.runs for member in members.values()):
        for member in members.values():
            member.performer.prefetch()
    workers = _workers([member.work.workers for member in members.values()])
    performer = JointPerformer([member.part for member in members.values()])
    for member in members.values():
        member.joint = performer
    observer = JointObserver(performer)
    targets = [member.part.end for name, member in members.items() if name in wanted]
    try:
        seen = solve.examine(targets, performer, observer, keep_going=keep_going)
        performer.results = seen.results
        solve.perform(seen, performer, observer, workers=workers, keep_going=keep_going)
    except FailedError as failed:
        return performer, failed.errors
    return performer, {}


def _workers(wanted: Sequence[int]) -> int:
    return max(*wanted, min(sum(wanted), _TOGETHER))
