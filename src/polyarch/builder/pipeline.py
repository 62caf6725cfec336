"""A build from request to result: parse, plan each platform, solve once, assemble, send."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Self, cast

import msgspec

from polyarch import progress
from polyarch.builder import attestations, lint, solve
from polyarch.builder.bases import BaseResolver, of_request
from polyarch.builder.cache.caches import BuildCaches
from polyarch.builder.cache.lost import LostLayers, attempt
from polyarch.builder.contexts.opener import SharedInputs
from polyarch.builder.export import assemble
from polyarch.builder.export.assemble import Assembler
from polyarch.builder.export.exporter import Exporter
from polyarch.builder.export.streaming import RegistryUploads, no_upload
from polyarch.builder.failures import FailurePolicy, located
from polyarch.builder.history import emulation
from polyarch.builder.history.entry import EntryWriter
from polyarch.builder.history.recorder import BuildHistory, Recorder, stacks
from polyarch.builder.linked import LinkedImages
from polyarch.builder.perform.environment import Result, StepEnvironment, StepSettings
from polyarch.builder.perform.performer import VertexPerformer
from polyarch.builder.plan import planner
from polyarch.builder.plan.options import epoch_of
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.result import BuildResult
from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.builder.workspace import Workspace
from polyarch.contents.layer import Layer
from polyarch.dockerfile import directives, stages
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.rules import LintFinding
from polyarch.errors import BuildError, PolyarchError
from polyarch.oci import platform as platforms
from polyarch.transfer.copy import Sent

if TYPE_CHECKING:
    from polyarch.builder.contexts.ahead import WalksAhead
    from polyarch.builder.forecast.dry_run import ForeseenWork
    from polyarch.builder.judge import Judge
    from polyarch.builder.remote import RemoteRunner
    from polyarch.registry import Registry
    from polyarch.store import Store

_TRUE = ("1", "t", "true")
_VIOLATION_HINT = "`# check=error=true` makes an error of a warning"


def build(
    request: BuildRequest,
    store: "Store",
    registry: "Registry",
    emit: progress.Emit = progress.ignore,
    judge: "Judge | None" = None,
    remote: "RemoteRunner | None" = None,
    walks: "WalksAhead | None" = None,
) -> BuildResult:
    """Build for all platforms as one graph, and send the result to every output. What `judge` rejects is not sent.
    RUN steps are done where `remote` places them. `walks` has signatures of contexts.

    RUN steps move the calling process into a user namespace permanently, so it may have no other thread then. Raises
    DockerfileError with the lines that are wrong, BuildError if a step fails, and what the rooms below raise.
    """
    with EntryWriter(request, store) as entry:

        def once(lost: LostLayers) -> BuildResult:
            opening = Workspace(request, store, registry, emit, SharedInputs(lost, walks), judge, remote)
            with opening as workspace, Build(workspace, entry) as opened:
                running = opened.run()
                work = next(running)
                opened.performer.prefetch()
                return solve.resumed(running, work.solved)

        entry.result = result = attempt(once, lambda result: result.failures, emit)
        return result


def _dated(request: BuildRequest, dockerfile: Dockerfile) -> BuildRequest:
    """The request with an epoch: its own, else that of an ARG before the first FROM."""
    if request.plan.epoch is not None:
        return request
    cut = stages.cut(dockerfile)
    plan = request.plan
    found = epoch_of(stages.global_env(cut.global_args, {}, plan.arguments, dockerfile.escape))
    return msgspec.structs.replace(request, plan=msgspec.structs.replace(plan, epoch=found))


# A plan, and the layers of its image, lowest first.
Solved = tuple[Plan, tuple[Layer, ...]]


# A build that gave its work away, and continues when it gets the results.
Work = solve.Work[VertexId, Result]
Running = Generator[Work, Mapping[VertexId, Result], BuildResult]


class Build:
    """One build. It owns its performer, and nothing of the workspace.

    `links` are the images of other builds that it uses, and what those that use its own need to know.
    """

    def __init__(
        self,
        workspace: Workspace,
        entry: EntryWriter | None = None,
        *,
        links: LinkedImages | None = None,
    ) -> None:
        dockerfile = workspace.dockerfile
        request = _dated(workspace.request, dockerfile)
        if any(output.kind == "engine" for output in request.export.outputs):
            from polyarch.builder.export import engine

            request = engine.located(request)
        self._workspace = workspace
        self._entry = entry or EntryWriter(request, workspace.store)
        self._request = request
        self._dockerfile = dockerfile
        self._emit = workspace.emit
        self._graph = BuildGraph()
        self._failures = FailurePolicy(request.on_failure, len(request.platforms))
        epoch = request.plan.epoch
        self._created = assemble.timestamp(request.created if epoch is None else epoch)
        settings = _step_settings(request, self._created)
        self._caches = BuildCaches(workspace, request, self._graph)
        environment = StepEnvironment(
            settings=settings,
            store=workspace.store,
            source=workspace.source,
            scratch=workspace.scratch,
            contexts=workspace.contexts,
            remotes=workspace.remotes,
            results=self._caches.results,
            uploads=no_upload if workspace.judge else RegistryUploads(workspace.registry, request.export),
            common=workspace.common,
            remote=workspace.remote,
        )
        self._unchanged = False
        self.performer = VertexPerformer(self._graph, environment, workspace.emit)
        self._assembler = Assembler(
            workspace,
            self.performer.filesystems,
            request.export,
            request.host.workers,
            self.performer.is_stopped,
            epoch,
        )
        self._links = links or LinkedImages()
        self._attester = attestations.opened(request, self._graph, workspace, self._links, self._assembler)
        self._results: Mapping[VertexId, Result] = {}
        self._exporter = Exporter(
            workspace,
            self.performer.filesystems,
            request.export,
            request.plan.build_platform,
            self.performer.is_stopped,
            epoch,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.performer.close()
        self._caches.close()

    def run(self) -> Running:
        """The build: it gives its work, gets the results or FailedError, and sends its images to the outputs."""
        self._exporter.check()
        if not directives.is_dockerfile(self._dockerfile.syntax):
            self._emit(
                progress.Warned(
                    f"this builder does not support the frontend {self._dockerfile.syntax}, which "
                    f"{self._dockerfile.name} asks for: it is read as a Dockerfile"
                )
            )
        for doubt in platforms.doubts(self._request.platforms):
            self._emit(progress.Warned(doubt))
        for note in self._request.cache.notes:
            self._emit(progress.Warned(note))
        # Before a registry is asked, because its answer may take long.
        early = lint.unknown_stages(self._dockerfile, self._request)
        for finding in early:
            self._emit(lint.warning(finding, self._dockerfile, brief=True))
        self.performer.begin(self._dockerfile, self._request.platforms, self._request.plan.run)
        plans = self._plans(self._dockerfile)
        checked = lint.judge(self._dockerfile, self._request, [finding for plan in plans for finding in plan.findings])
        findings, warnings = list(checked.findings), list[progress.Warned]()
        try:
            if checked.violation:
                raise BuildError(checked.violation, _VIOLATION_HINT)
            return (yield from self._solve_and_export(plans, findings, warnings))
        finally:
            # At the end, where they are read; they may explain why the build failed.
            for finding in findings:
                if finding not in early:
                    self._emit(lint.warning(finding, self._dockerfile, brief=self._unchanged))
            for warning in warnings:
                self._emit(warning)

    def _assembling(self, survivors: list[Solved]) -> AbstractContextManager[None]:
        platforms = [plan.platform for plan, _ in survivors]
        return progress.reported(self._emit, "assemble", "exporting layers, configs and manifests", platforms)

    def _solve_and_export(
        self, plans: list[Plan], findings: list[LintFinding], warnings: list[progress.Warned]
    ) -> Running:
        """Solve, assemble and export. New findings and warnings are added to the lists."""
        request = self._request
        try:
            solved = yield from self._solve(plans)
        finally:
            checked = lint.judge_work(self._dockerfile, request, self.performer.findings())
            findings += checked.findings
        if checked.violation:
            raise BuildError(checked.violation, _VIOLATION_HINT)
        survivors = self._verified(solved, warnings)
        self._failures.raise_if_done([plan.platform for plan, _ in survivors])
        # An SBOM is made of the layers that an image has.
        blobs = not all(output.is_files for output in request.export.outputs)
        blobs = blobs or bool(request.export.attestations.sbom) or self._workspace.judge is not None
        with self._assembling(survivors) if blobs else nullcontext():
            image, keys = self._assembler.image, self._caches.keys
            images = tuple(image(plan, stack, self._created, blobs=blobs, keys=keys(plan)) for plan, stack in survivors)
        if self._workspace.judge is not None:
            from polyarch.builder.judge import accepted

            images = accepted(self._workspace.judge, images, self._workspace.source, self._failures)
            left = {image.platform for image in images}
            survivors = [(plan, stack) for plan, stack in survivors if plan.platform in left]
        attested = None
        if self._attester is not None:
            attested = self._attester.attest([plan for plan, _ in survivors], images, self._results, self._entry.steps)
        # As in BuildKit: the result is an index even for one platform.
        multi = request.plan.arguments.get("BUILDKIT_MULTI_PLATFORM", "").lower() in _TRUE
        roots = self._assembler.roots(images, attested.entries if attested else lambda _: (), always_index=multi)
        root = roots.get(True) or roots.get(False)
        if root is not None:
            self._links.own.root = root.digest
        sent: list[Sent] = []
        for output in request.export.outputs:
            given = roots.get(output.is_inline, images[0].descriptor)
            sent += self._exporter.send(output, images, given, attested.files(output) if attested is not None else None)
        self._caches.send(self._assembler, survivors, images)
        messages = [message for plan in plans for message in plan.warnings]
        messages += [lint.warning(finding, self._dockerfile).message for finding in findings]
        messages += [warning.message for warning in warnings]
        return BuildResult(
            descriptor=root,
            images=images,
            sent=tuple(sent),
            outputs=request.export.outputs,
            warnings=tuple(dict.fromkeys(messages)),
            failures=tuple(self._failures.failures),
            provenance=attested.provenance if attested is not None else {},
            reference=self._entry.reference,
            findings=tuple(dict.fromkeys(findings)),
            source=(self._dockerfile.name, self._dockerfile.text),
        )

    def _plans(self, dockerfile: Dockerfile) -> list[Plan]:
        bases: BaseResolver = self._links.resolver(of_request(self._workspace, self._request))
        plans = []
        for platform in self._request.platforms:
            with self._failures.of(platform):
                options = self._request.plan_for(platform, self._workspace.ignore)
                resolver = self._attester.resolver(platform, bases) if self._attester is not None else bases
                planned = planner.plan(dockerfile, options, platform, resolver, self._graph)
                if self._attester is not None:
                    self._attester.planned(planned)
                for message in planned.warnings:
                    self._emit(progress.Warned(message))
                plans.append(planned)
                if len(plans) == 1:
                    bases.prefetch(platform, self._request.platforms[1:])
        self._failures.raise_if_done([plan.platform for plan in plans], last=False)
        self._links.own.planned(plans)
        return plans

    def _solve(self, plans: list[Plan]) -> Generator[Work, Mapping[VertexId, Result], list[Solved]]:
        """Have the work done. Returns the plans whose layers were all made, with these layers."""
        layers = _targets(plans)
        targets = layers | {vertex: None for plan in plans for vertex in self._scanned(plan)}
        recorder = Recorder(self._graph, self._emit)
        early = self._assembler.early(plans)
        self.performer.want(layers, early)
        results: Mapping[VertexId, Result]
        errors: Mapping[str, PolyarchError] = {}
        try:
            workers = max(self._request.host.workers, len(plans))
            results = yield solve.Work(targets, self.performer, recorder, workers, self._failures.keeps_going)
        except solve.FailedError as failed:
            if not self._failures.keeps_going:
                raise located(self._graph, self._dockerfile, *next(iter(failed.errors.items()))) from failed
            results, errors = cast(Mapping[VertexId, Result], failed.results), failed.errors
        finally:
            early.close()
            self._unchanged = recorder.took_all_from_cache()
            self._remember(targets, plans, recorder)
        self._results = results
        self._caches.solved(self.performer.key_of, results)
        solved: list[Solved] = []
        for plan in plans:
            with self._failures.of(plan.platform):
                needed = self._graph.reach((*plan.layers, *self._scanned(plan)))
                failure = next(((key, error) for key, error in errors.items() if key in needed), None)
                if failure is not None:
                    raise located(self._graph, self._dockerfile, *failure)
                stack: list[Layer] = []
                for vertex in plan.layers:
                    made = results[vertex]
                    assert isinstance(made, tuple), vertex
                    stack.extend(made)
                solved.append((plan, tuple(stack)))
        return solved

    def _scanned(self, plan: Plan) -> tuple[VertexId, ...]:
        """The vertices that an SBOM needs besides the layers of the image."""
        return self._attester.scanned(plan) if self._attester is not None else ()

    def _remember(self, targets: Iterable[VertexId], plans: list[Plan], recorder: Recorder) -> None:
        """Store the record of the build for `explain`, even if the build failed."""
        order = solve.topological(list(targets), self.performer.inputs)
        done = recorder.steps(order, self.performer)
        steps = emulation.measured(done, self._graph, self.performer.key_of, self._workspace.store, self._emit)
        self._entry.steps = steps
        BuildHistory(self._workspace.store).remember(
            self._request,
            self._dockerfile.name,
            plans,
            steps,
            self._graph,
            stacks(self._graph, order),
            recorder,
            self.performer,
        )

    def foreseen(self) -> "ForeseenWork":
        """What `run` would do: its plans, of which nothing is performed."""
        from polyarch.builder.forecast.dry_run import ForeseenWork

        plans = self._plans(self._dockerfile)
        return ForeseenWork(
            request=self._request,
            dockerfile=self._dockerfile,
            graph=self._graph,
            plans=tuple(plans),
            targets=tuple(_targets(plans)),
            performer=self.performer,
        )

    def _verified(self, solved: list[Solved], warnings: list[progress.Warned]) -> list[Solved]:
        """The results that their platforms can run. Doubts are added to `warnings`."""
        mode = self._request.verify
        if mode == "error" and self._request.plan.allow_foreign_base:
            mode = "warn"
        if mode == "off":
            return solved
        from polyarch.builder.verify import PlatformVerifier

        files, known = self.performer.filesystems, self._caches.results.verdict
        verifier = PlatformVerifier(self._workspace.store, self._workspace.source, files, mode, known)
        good: list[Solved] = []
        for plan, stack in solved:
            # Builds that share a layer are verified at the same time: what the first learns is remembered.
            with self._failures.of(plan.platform), self._workspace.common.alone("verify"):
                warnings += verifier.verify(plan, stack)
                good.append((plan, stack))
        return good


def _targets(plans: Iterable[Plan]) -> dict[VertexId, None]:
    """The vertices of all layers of the result, each once."""
    return dict.fromkeys(vertex for plan in plans for vertex in plan.layers)


def _step_settings(request: BuildRequest, created: str) -> StepSettings:
    """How the steps of a build are done."""
    return StepSettings(
        created=created,
        search_path=request.host.search_path,
        compression=request.export.compression,
        secrets=request.all_secrets(),
        proxies=request.proxies,
        workers=request.host.workers,
        no_cache=request.cache.no_cache,
        emulators=request.host.emulators,
        epoch=request.plan.epoch,
    )
