"""The stages of a Dockerfile: names, targets, and the arguments that a build provides."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from polyarch.dockerfile import suggest, words
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.stages import Arg, From
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.source import DockerfileError
from polyarch.oci.platform import Platform

AUTOMATIC = (
    *(f"{side}{part}" for side in ("BUILD", "TARGET") for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")),
    "TARGETSTAGE",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
# Variables that a RUN gets without an ARG, and that are neither in its cache key nor in the history.
PROXIES = (*_PROXIES, *(name.lower() for name in _PROXIES))


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage. `name` is lowercase, or empty; `instructions` are those after its FROM."""

    index: int
    name: str
    from_: From
    instructions: tuple[Instruction, ...]


class Stages(msgspec.Struct, frozen=True):
    """The stages in order, and the ARGs before the first FROM."""

    dockerfile: Dockerfile
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    _numbers: dict[str, list[int]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for stage in self.stages:
            self._numbers.setdefault(stage.name, []).append(stage.index)

    def target(self, name: str = "") -> Stage:
        """Return the stage that `--target name` means, or the last one if `name` is empty. Numbers are not accepted."""
        if not name:
            return self.stages[-1]
        stage = self._last(name.lower(), len(self.stages))
        if stage is None:
            meant = suggest.nearest(name.lower(), [stage.name for stage in self.stages if stage.name])
            reason = f"target stage {words.quoted(name)} could not be found"
            names = ", ".join(stage.name for stage in self.stages if stage.name)
            raise DockerfileError(
                f"{reason} (did you mean {meant}?)" if meant else reason,
                f"the stages are {names}" if names else "no stage of this file has a name",
                name=self.dockerfile.name,
            )
        return stage

    def base(self, image: str, stage: Stage) -> Stage | None:
        """Return the earlier stage that the expanded `FROM image` of `stage` means; None if it means an image.

        Stage names are lowercase, and the comparison is case-sensitive: `FROM Base` never means a stage.
        """
        return self._last(image, stage.index)

    def source(self, name: str, stage: Stage) -> Stage | None:
        """Return the earlier stage that `COPY --from=name` in `stage` means, by number or by name in any case.

        Returns None for a named context or an image. Raises DockerfileError, without a location, for the stage itself,
        for a later one, and for a number that no stage has.
        """
        if name.isascii() and name.lstrip("+").isdigit():
            index = int(name[:9])
            if index >= len(self.stages):
                raise DockerfileError(f"invalid stage index {index}", f"there are {len(self.stages)} stages, from 0")
            return self._earlier(self.stages[index], name, stage, "copy")
        return self._source(name, stage, "copy")

    def mount_source(self, name: str, stage: Stage) -> Stage | None:
        """Return the earlier stage that `from=` of a RUN mount means. Like `source`, but a number is not a stage."""
        return self._source(name, stage, "mount")

    def on_build_platform(self) -> frozenset[int]:
        """Return the numbers of the stages whose platform is that of the machine, as far as their text says it."""
        found: set[int] = set()
        for stage in self.stages:
            parent = self.base(stage.from_.image, stage)
            if "BUILDPLATFORM" in stage.from_.platform if parent is None else parent.index in found:
                found.add(stage.index)
        return frozenset(found)

    def _source(self, name: str, stage: Stage, verb: str) -> Stage | None:
        source = self._last(name.lower(), stage.index) or self._last(name.lower(), len(self.stages))
        return None if source is None else self._earlier(source, name, stage, verb)

    def _earlier(self, source: Stage, name: str, stage: Stage, verb: str) -> Stage:
        if source.index == stage.index:
            raise DockerfileError(f"circular dependency detected on stage: {name}")
        if source.index > stage.index:
            current = stage.name or f"stage-{stage.index}"
            raise DockerfileError(
                f"cannot {verb} from stage {words.quoted(name)}, it needs to be defined before current stage "
                f"{words.quoted(current)}",
                "move that stage before this one",
            )
        return source

    def _last(self, name: str, before: int) -> Stage | None:
        """Return the last stage of that name before number `before`: later stages shadow earlier ones."""
        if not name:
            return None
        numbers = self._numbers.get(name, ())
        place = bisect_left(numbers, before)
        return self.stages[numbers[place - 1]] if place else None


def cut(dockerfile: Dockerfile) -> Stages:
    """Return the stages. Raises DockerfileError for an instruction before the first FROM, and if there is no FROM."""
    global_args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for instruction in dockerfile.instructions:
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            global_args.append(instruction)
        else:
            raise dockerfile.error(
                "no build stage in current context", instruction.location, hint="add a FROM before it"
            )
    if not stages:
        raise dockerfile.error("dockerfile contains no stages to build", hint="add a FROM")
    return Stages(
        dockerfile,
        tuple(global_args),
        tuple(
            Stage(index=index, name=from_.name.lower(), from_=from_, instructions=tuple(instructions))
            for index, (from_, instructions) in enumerate(stages)
        ),
    )


def automatic_args(build: Platform, target: Platform, target_stage: str = "") -> dict[str, str]:
    """Return the automatic arguments in the global scope; `target_stage` is the value of `--target`."""
    values: dict[str, str] = {}
    for side, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{side}PLATFORM"] = str(platform)
        values[f"{side}OS"] = platform.os
        values[f"{side}OSVERSION"] = platform.os_version
        values[f"{side}ARCH"] = platform.architecture
        values[f"{side}VARIANT"] = platform.variant
    values["TARGETSTAGE"] = target_stage or "default"
    return values


def global_env(
    args: Sequence[Arg], automatic: Mapping[str, str], build_args: Mapping[str, str], escape: str = "\\"
) -> dict[str, str]:
    """Return the environment of FROM: the automatic arguments and the global ARGs.

    Each default is expanded with those before it. A build argument overrides both. Raises DockerfileError, without a
    location, for a default that does not expand.
    """
    env = {name: build_args.get(name, value) for name, value in automatic.items()}
    for arg in args:
        for name, default in arg.pairs:
            if name in build_args:
                env[name] = build_args[name]
            elif default is not None:
                env[name] = words.expand(default, env, escape).text
    return env


def description(comments: Sequence[str], name: str) -> str:
    """Return the description of `name` in the comments above an ARG or FROM: `# name description`."""
    return next((line.removeprefix(f"{name} ") for line in comments if name and line.startswith(f"{name} ")), "")
