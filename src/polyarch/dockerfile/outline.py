"""The contents of `--call=targets` and `--call=outline`: the targets of a Dockerfile, and the inputs of a target."""

from collections.abc import Iterator, Mapping

import msgspec

from polyarch.dockerfile import words
from polyarch.dockerfile.instructions.copying import Copy
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.instructions.mounts import Mount
from polyarch.dockerfile.instructions.mounts import parse as parse_mount
from polyarch.dockerfile.instructions.running import Run
from polyarch.dockerfile.instructions.stages import Arg
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.stages import AUTOMATIC, Stage, Stages, description


class TargetStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that can be a target. `base` and `platform` are as written."""

    name: str
    description: str
    base: str
    platform: str
    default: bool
    location: Location


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """A build argument. `value` is its default, None if it has none."""

    name: str
    description: str
    value: str | None
    location: Location


class Needed(msgspec.Struct, frozen=True):
    """A secret or an ssh socket that a RUN mounts."""

    name: str
    required: bool
    location: Location


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of the build of one target."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    secrets: tuple[Needed, ...]
    ssh: tuple[Needed, ...]


def targets(stages: Stages) -> tuple[TargetStage, ...]:
    """Return all stages, in order."""
    last = stages.stages[-1].index
    return tuple(
        TargetStage(
            name=stage.name,
            description=description(stage.from_.comments, stage.name),
            base=stage.from_.image,
            platform=stage.from_.platform,
            default=stage.index == last,
            location=stage.from_.location,
        )
        for stage in stages.stages
    )


def outline(stages: Stages, target: Stage, env: Mapping[str, str]) -> Outline:
    """Return the inputs of the build of `target`. `env` is the environment of FROM (`stages.global_env`).

    Raises DockerfileError if an instruction copies from or mounts a stage that it cannot.
    """
    needed = reachable(stages, target, env)
    arguments: dict[str, Argument] = {}
    for argument in (
        *_global(stages, needed, env),
        *(local for stage in needed for local in _local(stage, env, stages)),
    ):
        known = arguments.get(argument.name)
        # The first one with a description wins: a stage repeats the declaration of a global argument.
        if known is None or (not known.description and argument.description):
            arguments[argument.name] = argument
    mounts = [
        (run.location, mount)
        for stage in needed
        for run in stage.instructions
        if isinstance(run, Run)
        for mount in _mounts(run, env, stages)
    ]
    return Outline(
        name=target.name,
        description=description(target.from_.comments, target.name),
        arguments=tuple(arguments.values()),
        secrets=_needed(mounts, "secret"),
        ssh=_needed(mounts, "ssh"),
    )


def reachable(stages: Stages, target: Stage, env: Mapping[str, str]) -> tuple[Stage, ...]:
    """Return the stages that the build of `target` needs, `target` included, in the order of the file."""
    reached: dict[int, Stage] = {}
    waiting = [target]
    while waiting:
        stage = waiting.pop()
        if stage.index not in reached:
            reached[stage.index] = stage
            waiting.extend(_direct(stages, stage, env))
    return tuple(reached[index] for index in sorted(reached))


def _direct(stages: Stages, stage: Stage, env: Mapping[str, str]) -> Iterator[Stage]:
    try:
        base = stages.base(words.expand(stage.from_.image, env, stages.dockerfile.escape).text, stage)
    except DockerfileError as error:
        raise stages.dockerfile.placed(error, stage.from_.location) from error
    if base is not None:
        yield base
    for instruction in stage.instructions:
        sources: list[Stage | None] = []
        try:
            if isinstance(instruction, Copy) and instruction.from_:
                sources = [stages.source(instruction.from_, stage)]
            elif isinstance(instruction, Run):
                sources = [stages.mount_source(name, stage) for name in instruction.mount_sources]
        except DockerfileError as error:
            raise stages.dockerfile.placed(error, instruction.location) from error
        yield from (source for source in sources if source is not None)


def _global(stages: Stages, needed: tuple[Stage, ...], env: Mapping[str, str]) -> Iterator[Argument]:
    """Yield the global arguments that a FROM uses or a stage declares."""
    escape = stages.dockerfile.escape
    used = {
        name
        for stage in needed
        for instruction in stage.instructions
        if isinstance(instruction, Arg)
        for name, _ in instruction.pairs
    }
    for stage in needed:
        for text in (stage.from_.image, stage.from_.platform):
            used.update(words.expand(text, env, escape).matched, words.expand(text, env, escape).unmatched)
    for arg in stages.global_args:
        for name, _ in arg.pairs:
            if name in used:
                yield _argument(arg, name, env.get(name))


def _local(stage: Stage, env: Mapping[str, str], stages: Stages) -> Iterator[Argument]:
    for arg in stage.instructions:
        if isinstance(arg, Arg):
            for name, default in arg.pairs:
                if name not in AUTOMATIC:
                    value = env.get(name) if default is None else _value(default, env, stages.dockerfile.escape)
                    yield _argument(arg, name, value)


def _value(default: str, env: Mapping[str, str], escape: str) -> str:
    try:
        return words.expand(default, env, escape).text
    except DockerfileError:
        return default


def _argument(arg: Arg, name: str, value: str | None) -> Argument:
    return Argument(name=name, description=description(arg.comments, name), value=value, location=arg.location)


def _mounts(run: Run, env: Mapping[str, str], stages: Stages) -> Iterator[Mount]:
    for flag in run.mount_flags:
        try:
            yield parse_mount(flag, Expander(env, stages.dockerfile.escape))
        except DockerfileError as error:
            raise stages.dockerfile.placed(error, run.location) from error


def _needed(mounts: list[tuple[Location, Mount]], kind: str) -> tuple[Needed, ...]:
    """Return each secret or ssh socket once; it is required if any RUN requires it."""
    needed: dict[str, Needed] = {}
    for location, mount in mounts:
        if mount.kind == kind and (mount.id not in needed or mount.required):
            needed[mount.id] = Needed(mount.id, mount.required, location)
    return tuple(needed.values())
