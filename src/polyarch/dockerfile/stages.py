"""A Dockerfile cut into stages: who is who, which is the target, what a build may be told from outside."""

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
# What a RUN sees without an ARG, and what neither its cache key nor the history holds.
PROXIES = (*_PROXIES, *(name.lower() for name in _PROXIES))


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage. `name` is lowercase, empty where it has none; `instructions` are those behind its FROM."""

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
        """The stage that `--target name` means; the last one where it is empty. A number is no name."""
        if not name:
            return self.stages[-1]
        found = self._last(name.lower(), len(self.stages))
        if found is None:
            meant = suggest.nearest(name.lower(), [stage.name for stage in self.stages if stage.name])
            reason = f"target stage {words.quoted(name)} could not be found"
            names = ", ".join(stage.name for stage in self.stages if stage.name)
            raise DockerfileError(
                f"{reason} (did you mean {meant}?)" if meant else reason,
                f"the stages are {names}" if names else "no stage of this file has a name",
                name=self.dockerfile.name,
            )
        return found

    def base(self, image: str, stage: Stage) -> Stage | None:
        """The earlier stage that the expanded `FROM image` of `stage` means, None for an image.

        Names are lowercase and this is compared as it stands: `FROM Base` never means a stage.
        """
        return self._last(image, stage.index)

    def source(self, name: str, stage: Stage) -> Stage | None:
        """The earlier stage that `COPY --from=name` in `stage` means, by name in any case or by number.

        None for what must be a named context or an image. Raises DockerfileError, without a place, for the stage
        itself, a later one, and a number that no stage has.
        """
        if name.isascii() and name.lstrip("+").isdigit():
            index = int(name[:9])
            if index >= len(self.stages):
                raise DockerfileError(f"invalid stage index {index}", f"there are {len(self.stages)} stages, from 0")
            return self._earlier(self.stages[index], name, stage, "copy")
        return self._source(name, stage, "copy")

    def mount_source(self, name: str, stage: Stage) -> Stage | None:
        """As `source`, for the `from=` of a RUN mount, where a number is no stage."""
        return self._source(name, stage, "mount")

    def _source(self, name: str, stage: Stage, verb: str) -> Stage | None:
        found = self._last(name.lower(), stage.index) or self._last(name.lower(), len(self.stages))
        return None if found is None else self._earlier(found, name, stage, verb)

    def _earlier(self, found: Stage, name: str, stage: Stage, verb: str) -> Stage:
        if found.index == stage.index:
            raise DockerfileError(f"circular dependency detected on stage: {name}")
        if found.index > stage.index:
            current = stage.name or f"stage-{stage.index}"
            raise DockerfileError(
                f"cannot {verb} from stage {words.quoted(name)}, it needs to be defined before current stage "
                f"{words.quoted(current)}",
                "move it before this stage",
            )
        return found

    def _last(self, name: str, before: int) -> Stage | None:
        """The last stage of that name: later ones shadow earlier ones."""
        if not name:
            return None
        numbers = self._numbers.get(name, ())
        place = bisect_left(numbers, before)
        return self.stages[numbers[place - 1]] if place else None


def cut(dockerfile: Dockerfile) -> Stages:
    """The stages. Raises DockerfileError for an instruction before the first FROM, and where there is no FROM."""
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
                "no build stage in current context", instruction.location, hint="a FROM must stand before it"
            )
    if not stages:
        raise dockerfile.error("dockerfile contains no stages to build", hint="it needs a FROM")
    return Stages(
        dockerfile,
        tuple(global_args),
        tuple(
            Stage(index=index, name=from_.name.lower(), from_=from_, instructions=tuple(instructions))
            for index, (from_, instructions) in enumerate(stages)
        ),
    )


def automatic_args(build: Platform, target: Platform, target_stage: str = "") -> dict[str, str]:
    """The arguments that every build has in the global scope; `target_stage` is what `--target` says."""
    found: dict[str, str] = {}
    for side, platform in (("BUILD", build), ("TARGET", target)):
        found[f"{side}PLATFORM"] = str(platform)
        found[f"{side}OS"] = platform.os
        found[f"{side}OSVERSION"] = platform.os_version
        found[f"{side}ARCH"] = platform.architecture
        found[f"{side}VARIANT"] = platform.variant
    found["TARGETSTAGE"] = target_stage or "default"
    return found


def global_env(
    args: Sequence[Arg], automatic: Mapping[str, str], build_args: Mapping[str, str], escape: str = "\\"
) -> dict[str, str]:
    """What FROM may name: the automatic arguments and the global ARGs, each default seeing those before it.

    A build argument overrides both. Raises DockerfileError, without a place, for a default that does not expand.
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
    """What a comment above an ARG or FROM says of `name`: `# name what it is for`."""
    return next((line.removeprefix(f"{name} ") for line in comments if name and line.startswith(f"{name} ")), "")
