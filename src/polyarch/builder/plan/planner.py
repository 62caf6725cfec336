"""From the stages of a Dockerfile to the vertices and the image config of one platform.

A stage is planned when something needs it, once. It sees only the stages before it. The only outside information is
the config of base images (`Resolver`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from polyarch.builder.plan import config, copying, remote, running, scans, staged
from polyarch.builder.plan.copying import Copying, is_step
from polyarch.builder.plan.names import Contexts
from polyarch.builder.plan.options import PlanOptions, Resolver
from polyarch.builder.plan.running import Running
from polyarch.builder.plan.scans import Scans
from polyarch.builder.plan.staged import PlannedStage, Related
from polyarch.builder.plan.state import StageState, of_image, scratch, with_path
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, CopyPart, ImageLayers, Vertex, VertexId
from polyarch.dockerfile import checks, ignorefile, parser, stages, words
from polyarch.dockerfile.instructions import config as config_syntax
from polyarch.dockerfile.instructions import copying as copying_syntax
from polyarch.dockerfile.instructions import running as running_syntax
from polyarch.dockerfile.instructions import stages as stages_syntax
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.expansion import expand
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.stages import Stage
from polyarch.errors import NotFoundError, PolyarchError, UsageError
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.config import History, ImageConfig
from polyarch.oci.platform import Platform

# No suggestions for more findings than this: such a Dockerfile was written by a program, not mistyped.
_SEARCHES = 100
_GIVE_VALUE = "give the ARG before the first FROM a default, or a value with --build-arg"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's image: its layer vertices, lowest first, and its config without diff ids.

    Entries of `history` that this build adds have no `created`. `findings` are those of build checks that need a plan.
    `stack` is the file system of the image, a `Stacked`; `scans` are what an SBOM covers besides it; `stages` are those
    that the image needs.
    """

    platform: Platform
    layers: tuple[VertexId, ...]
    stack: VertexId = NOTHING
    config: ImageConfig
    history: tuple[History, ...]
    warnings: tuple[str, ...] = ()
    findings: tuple[LintFinding, ...] = ()
    scans: Scans = Scans()
    stages: tuple[PlannedStage, ...] = ()


def plan(
    dockerfile: Dockerfile, options: PlanOptions, platform: Platform, resolver: Resolver, graph: BuildGraph
) -> Plan:
    """The plan of the target stage for `platform`; its vertices are added to `graph`.

    Raises DockerfileError with the lines that are wrong, and what the resolver raises.
    """
    return _Planner(dockerfile, options, platform, resolver, graph).plan()


def check(
    dockerfile: Dockerfile,
    options: PlanOptions,
    platform: Platform,
    resolver: Resolver,
    unresolved: Collection[str] = (),
) -> tuple[LintFinding, ...]:
    """The findings that need a plan, in the target stage, or in all stages if no target is given.

    If `resolver` adds to `unresolved` before it raises, the stages on that base are skipped. Raises as `plan` does.
    """
    planner = _Planner(dockerfile, options, platform, resolver, BuildGraph())
    return planner.check(unresolved)


class _Planner:
    """Plans the stages of one Dockerfile for one platform."""

    def __init__(
        self, dockerfile: Dockerfile, options: PlanOptions, platform: Platform, resolver: Resolver, graph: BuildGraph
    ) -> None:
        self._dockerfile = dockerfile
        self._options = options
        self._platform = platform
        self._resolver = resolver
        self._graph = graph
        self._stages = stages.cut(dockerfile)
        self._target = self._stages.target(options.target)
        stage_name = options.target or self._stages.stages[-1].name
        automatic = stages.automatic_args(options.build_platform, platform, stage_name)
        self._globals = stages.global_env(self._stages.global_args, automatic, options.arguments, dockerfile.escape)
        self._planned: dict[int, StageState] = {}
        self._images: dict[str, StageState] = {}
        self._contexts = Contexts(options.contexts)
        self._warnings: list[str] = []
        self._findings: list[LintFinding] = []
        ignored = ignorefile.parse(options.ignore)
        self._ignored = ignorefile.matcher(ignored) if ignored else None

    def check(self, unresolved: Collection[str]) -> tuple[LintFinding, ...]:
        works = [self.plan] if self._options.target else [partial(self._stage, one) for one in self._stages.stages]
        for work in works:
            try:
                work()
            except PolyarchError:
                if not unresolved:
                    raise
        return tuple(self._findings)

    def plan(self) -> Plan:
        for stage in self._stages.stages:
            self._check_name(stage)
        state = self._stage(self._target)
        self._check_content(state)
        finished = state.finished()
        labels = finished.labels | dict(self._options.labels)
        image = finished.with_run(Labels=labels) if labels else finished
        return Plan(
            platform=self._platform,
            layers=self._graph.layers(state.layers),
            stack=state.layers,
            config=image.with_platform(self._platform),
            history=tuple(state.history),
            warnings=tuple(dict.fromkeys(self._warnings)),
            findings=tuple(self._findings),
            scans=scans.scans(self._stages.stages, self._planned, self._target.index, self._globals),
            stages=staged.staged(self._stages.stages, self._planned, self._related),
        )

    def _check_name(self, stage: Stage) -> None:
        """Check the name in FROM, which must be valid even in a stage that is not built."""
        source = stage.from_
        try:
            name = self._expand_global(source.image, "base name")
            if source.platform:
                self._platform_of(source.platform)
            if name != "scratch" and self._stages.base(name, stage) is None:
                try:
                    references.parse(name)
                except UsageError as error:
                    unset = words.expand(source.image, self._globals, self._dockerfile.escape).unmatched
                    raise UsageError(error.message, f"{unset[0]}: {_GIVE_VALUE}" if unset else error.hint) from error
        except PolyarchError as error:
            if isinstance(error, DockerfileError):
                raise self._dockerfile.placed(error, source.location) from error
            raise self._located(error, source) from error

    def _check_content(self, state: StageState) -> None:
        """Check that the content of the image is for the platform in its config."""
        if not state.layers or platforms.serves(state.platform, self._platform):
            return
        message = f"the target stage is for {state.platform}, but the image is built for {self._platform}"
        if not self._options.allow_foreign_base:
            raise self._dockerfile.error(
                message,
                self._target.from_.location,
                hint="start the last stage FROM an image for the target platform (without --platform), "
                "or accept the mismatch with --allow-foreign-base",
            )
        self._warnings.append(message)

    # ── stages

    def _stage(self, stage: Stage) -> StageState:
        """The planned stage. Iterative: stages may be nested thousands deep."""
        pending = [stage]
        while pending:
            last = pending[-1]
            missing = [needed for needed in self._needs(last) if needed.index not in self._planned]
            if missing and last.index not in self._planned:
                pending += reversed(missing)
                continue
            if last.index not in self._planned:
                self._planned[last.index] = self._plan_stage(last)
            pending.pop()
        return self._planned[stage.index]

    def _needs(self, stage: Stage) -> list[Stage]:
        """The earlier stages that a stage names."""
        parent, sources = self._related(stage)
        return [*sources] if parent is None else [parent, *sources]

    def _related(self, stage: Stage) -> Related:
        """Bad names are ignored here, and reported when planned."""
        if stage.name and self._contexts.find(stage.name, self._platform) is not None:
            return None, ()
        parent: Stage | None = None
        found: list[Stage | None] = []
        with suppress(PolyarchError):
            parent = self._stages.base(self._expand_global(stage.from_.image, "base name"), stage)
            for instruction in stage.instructions:
                if isinstance(instruction, copying_syntax.Copy) and instruction.from_:
                    found.append(self._named(instruction.from_, stage, index=True))
                elif isinstance(instruction, running_syntax.Run):
                    found += [self._named(name, stage, index=False) for name in instruction.mount_sources]
        return parent, [needed for needed in found if needed is not None]

    def _named(self, name: str, stage: Stage, *, index: bool) -> Stage | None:
        """The earlier stage that `--from=name` or `from=name` means in `stage`."""
        if self._contexts.find(name, self._platform) is not None:
            return None
        return self._stages.source(name, stage) if index else self._stages.mount_source(name, stage)

    def _plan_stage(self, stage: Stage) -> StageState:
        try:
            replaced = self._contexts.find(stage.name, self._platform) if stage.name else None
            if replaced is not None:
                return with_path(self._from_outside(stage.name, self._platform, stage.from_))
            state = self._begin(stage)
        except DockerfileError as error:
            raise self._dockerfile.placed(error, stage.from_.location) from error
        except PolyarchError as error:
            raise self._located(error, stage.from_) from error
        triggers = tuple(state.config.run.get("OnBuild") or ())
        state = state.configured(OnBuild=None)
        todo = [(parser.parse_trigger(text), True) for text in triggers]
        todo += [(instruction, False) for instruction in stage.instructions]
        total = sum(is_step(instruction) for instruction, _ in todo)
        count = 0
        for instruction, triggered in todo:
            count += is_step(instruction)
            name = staged.step_name(stage, f"{count}/{total}", instruction, triggered, len(self._stages.stages) == 1)
            location = stage.from_ if triggered else instruction
            try:
                state = self._dispatch(stage, state, instruction, name)
            except DockerfileError as error:
                raise self._dockerfile.placed(error, location.location) from error
            except PolyarchError as error:
                raise self._located(error, location) from error
        return state

    def _located(self, error: PolyarchError, instruction: Instruction) -> PolyarchError:
        """The same error with the lines of the instruction."""
        if "\n" in error.message:
            return error
        return self._dockerfile.error(error.message, instruction.location, hint=error.hint)

    def _begin(self, stage: Stage) -> StageState:
        """The state of a stage after FROM."""
        source = stage.from_
        name = self._expand_global(source.image, "base name")
        parent = self._stages.base(name, stage)
        if parent is not None:
            # The stage's own --platform is ignored, as BuildKit does: the files are those of the parent.
            state = self._stage(parent)
            # The parent's arguments are visible here, too, but its variables take precedence.
            env = state.env.updated(state.table("Env")) if state.arguments else state.env
            return msgspec.structs.replace(state, cmd_set=False, env=env)
        platform = self._platform_of(source.platform) if source.platform else self._platform
        if name == "scratch":
            return with_path(scratch(self._platform))
        return with_path(self._from_outside(name, platform, source))

    def _expand_global(self, text: str, what: str) -> str:
        found = words.expand(text, self._globals, self._dockerfile.escape)
        if not found.text:
            raise UsageError(f"{what} ({text}) should not be blank", _GIVE_VALUE)
        return found.text

    def _platform_of(self, text: str) -> Platform:
        found = words.expand(text, self._globals, self._dockerfile.escape).text
        if not found:
            raise UsageError(f"empty platform value from expression {text}", _GIVE_VALUE)
        platform = platforms.parse(found)
        self._warnings += platforms.doubts([platform])
        return platform

    def _from_outside(self, name: str, platform: Platform, instruction: Instruction) -> StageState:
        """A named context or an image as a stage of its own."""
        key = self._contexts.find(name, platform)
        if key is not None and not self._options.contexts[key]:
            files = self._add(Context(str(key)), f"load context {key}", instruction)
            layer = CopyFiles(base=NOTHING, parts=(CopyPart(source=files, path="/"),), destination="/")
            state = scratch(platform)
            added = self._graph.stack(NOTHING, self._add(layer, f"[context {key}]", instruction))
            return state.with_layer(added, f"COPY {key} / # buildkit")
        image = self._options.contexts[key] if key is not None else name
        base = self._resolver.image(image, platform)
        self._findings += checks.base_image_platform(name, platform, base.config.platform, instruction.location)
        if base.warning:
            platform = base.config.platform
        layers = NOTHING
        if base.config.diff_ids:
            added = self._add(base.linked or ImageLayers(base.manifest), f"FROM {base.name}", instruction)
            layers = self._graph.stack(NOTHING, added)
        return of_image(base.config, layers, platform)

    def _source(self, stage: Stage, state: StageState, name: str, instruction: Instruction, *, index: bool) -> VertexId:
        """The file system or context that `--from=name` or `from=name` means for a stage."""
        key = self._contexts.find(name, self._platform)
        if key is not None and not self._options.contexts[key]:
            return self._add(Context(str(key)), f"load context {key}", instruction)
        found = self._named(name, stage, index=index)
        if found is not None:
            return self._stage(found).layers
        if name not in self._images:
            self._images[name] = (
                scratch(self._platform)
                if name == "scratch" and key is None
                else self._image_or_no_stage(name, stage, instruction)
            )
        return self._images[name].layers

    def _image_or_no_stage(self, name: str, stage: Stage, instruction: Instruction) -> StageState:
        """The image `name`. If there is none, the error lists the earlier stages, because one of them may be meant."""
        try:
            return self._from_outside(name, self._platform, instruction)
        except PolyarchError as error:
            earlier = [named.name for named in self._stages.stages[: stage.index] if named.name]
            if not earlier or any(character in name for character in "/:@.") or isinstance(error, DockerfileError):
                raise
            there = f"the stages before it are {', '.join(earlier)}"
            raise NotFoundError(f"{error.message}; there is no stage {name}: {there}", error.hint) from error

    # ── instructions

    def _dispatch(self, stage: Stage, state: StageState, instruction: Instruction, name: str) -> StageState:
        if isinstance(instruction, stages_syntax.Arg):
            return self._declare(state, instruction)
        instruction, unset = expand(instruction, state.env, self._dockerfile.escape)
        self._findings += checks.undefined_variables(instruction, unset, state.arguments, self._near(state.env))
        self._findings += self._ignored_sources(instruction)

        def add(vertex: Vertex, label: str) -> VertexId:
            key = self._add(vertex, label, instruction)
            if stage.name in self._options.uncached_stages and stage.name:
                self._graph.uncached.add(key)
            return key

        match instruction:
            case running_syntax.Run() | config_syntax.Workdir():
                tools = Running(
                    add=add,
                    stack=self._graph.stack,
                    source=lambda source: self._source(stage, state, source, instruction, index=False),
                    options=self._options,
                )
                if isinstance(instruction, running_syntax.Run):
                    return running.run(state, instruction, tools, name)
                return running.workdir(state, instruction, tools, name)
            case copying_syntax.Copy():
                source = None
                if instruction.from_:
                    copying.require_constant(instruction.from_, self._dockerfile.escape)
                    source = self._source(stage, state, instruction.from_, instruction, index=True)
                return copying.copy(state, instruction, source, self._copying(add), name)
            case copying_syntax.Add():
                return copying.add(state, instruction, self._copying(add), name)
            case _:
                return config.configure(state, instruction)

    def _copying(self, add: Callable[[Vertex, str], VertexId]) -> Copying:
        return Copying(add=add, stack=self._graph.stack, epoch=self._options.epoch)

    def _near(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """The names to suggest for a variable that is not set. Each search looks at all of them."""
        return env if len(self._findings) < _SEARCHES else {}

    def _ignored_sources(self, instruction: Instruction) -> Iterable[LintFinding]:
        if self._ignored is None or not isinstance(instruction, copying_syntax.Copy | copying_syntax.Add):
            return ()
        if isinstance(instruction, copying_syntax.Copy) and instruction.from_:
            return ()
        local = [path for path in instruction.sources if not remote.is_http(path) and remote.git(path) is None]
        return checks.ignored_sources(instruction.keyword, local, self._ignored, instruction.location)

    def _declare(self, state: StageState, instruction: stages_syntax.Arg) -> StageState:
        """ARG: a build argument, else the default given here, else what is set globally (the automatic ones too)."""
        env, arguments, words_of_history = state.env, state.arguments, []
        for key, default in instruction.pairs:
            value = self._options.arguments.get(key)
            if value is None and default is not None:
                found = words.expand(default, env, self._dockerfile.escape)
                self._findings += checks.undefined_variables(instruction, found.unmatched, arguments, self._near(env))
                value = found.text
            elif value is None:
                value = self._globals.get(key)
            if value is not None and key not in scans.NOT_ENVIRONMENT:
                env = env.updated({key: value})
            arguments = arguments.updated({key: value or ""})
            words_of_history.append(key if value is None else f"{key}={value}")
        state = state.recorded(f"ARG {' '.join(words_of_history)}")
        return msgspec.structs.replace(state, env=env, arguments=arguments)

    def _add(self, vertex: Vertex, name: str, instruction: Instruction) -> VertexId:
        lines = (instruction.location.first, instruction.location.last)
        return self._graph.add(vertex, name, self._platform, lines)
