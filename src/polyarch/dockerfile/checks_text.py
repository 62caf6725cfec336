"""BuildKit's checks that need only the text."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from polyarch.dockerfile import rules, words
from polyarch.dockerfile.instructions import config, healthcheck, ports
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.stages import Arg
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.stages import Stage, Stages
from polyarch.errors import UsageError
from polyarch.oci import platform

T = TypeVar("T", bound=Instruction)

_RESERVED = frozenset(("context", "scratch"))
_SECRET = r"(?i)(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)"
_NO_SECRET = r"(?i)(?:_|^)(?:public|file|version)(?:_|$)"


def stage_names(stages: Stages) -> Iterator[LintFinding]:
    """StageNameCasing, ReservedStageName and DuplicateStageName."""
    seen: set[str] = set()
    for stage in stages.stages:
        from_ = stage.from_
        if from_.name != stage.name:
            message = f"Stage name '{from_.name}' should be lowercase"
            yield LintFinding(rules.STAGE_NAME_CASING, message, from_.location)
        if stage.name in _RESERVED:
            message = f"Stage name should not use the same name as reserved stage {words.quoted(stage.name)}"
            yield LintFinding(rules.RESERVED_STAGE_NAME, message, from_.location)
        if stage.name in seen:
            message = f"Duplicate stage name {words.quoted(stage.name)}, stage names should be unique"
            yield LintFinding(rules.DUPLICATE_STAGE_NAME, message, from_.location)
        if stage.name:
            seen.add(stage.name)


def as_casing(stages: Stages) -> Iterator[LintFinding]:
    """FromAsCasing."""
    for stage in stages.stages:
        keyword, as_keyword = stage.from_.keyword, stage.from_.as_keyword
        # ConsistentInstructionCasing reports a FROM in mixed case.
        if (keyword.islower() and as_keyword != as_keyword.lower()) or (
            keyword.isupper() and as_keyword != as_keyword.upper()
        ):
            message = f"'{as_keyword}' and '{keyword}' keywords' casing do not match"
            yield LintFinding(rules.FROM_AS_CASING, message, stage.from_.location)


def instruction_casing(stages: Stages) -> Iterator[LintFinding]:
    """ConsistentInstructionCasing. As in BuildKit, global ARGs are not counted."""
    everything: list[Instruction] = [
        instruction for stage in stages.stages for instruction in (stage.from_, *stage.instructions)
    ]
    lower = sum(instruction.keyword.islower() for instruction in everything)
    upper = sum(instruction.keyword.isupper() for instruction in everything)
    casing = "lowercase" if lower > upper else "uppercase"
    for instruction in everything:
        if instruction.keyword != (instruction.keyword.lower() if lower > upper else instruction.keyword.upper()):
            message = f"Command '{instruction.keyword}' should match the case of the command majority ({casing})"
            yield LintFinding(rules.CONSISTENT_INSTRUCTION_CASING, message, instruction.location)


def shell_form(stages: Stages) -> Iterator[LintFinding]:
    """JSONArgsRecommended. A stage with a SHELL instruction uses the shell form on purpose."""
    with_shell: set[int] = set()
    for stage in stages.stages:
        parent = stages.base(stage.from_.image, stage)
        if parent is not None and parent.index in with_shell:
            with_shell.add(stage.index)
        for instruction in stage.instructions:
            if isinstance(instruction, config.Shell):
                with_shell.add(stage.index)
            elif (
                isinstance(instruction, config.Cmd | config.Entrypoint)
                and instruction.form == "shell"
                and stage.index not in with_shell
            ):
                message = (
                    f"JSON arguments recommended for {instruction.keyword} to prevent unintended behavior related to "
                    "OS signals"
                )
                yield LintFinding(rules.JSON_ARGS_RECOMMENDED, message, instruction.location)


def maintainers(stages: Stages) -> Iterator[LintFinding]:
    """MaintainerDeprecated."""
    for instruction in _every(stages, config.Maintainer):
        message = "Maintainer instruction is deprecated in favor of using label"
        yield LintFinding(rules.MAINTAINER_DEPRECATED, message, instruction.location)


def workdirs(stages: Stages) -> Iterator[LintFinding]:
    """WorkdirRelativePath, for the first WORKDIR of a stage and its base stages: later ones are relative to it."""
    with_workdir: set[int] = set()
    for stage in stages.stages:
        parent = stages.base(stage.from_.image, stage)
        given = parent is not None and parent.index in with_workdir
        for instruction in stage.instructions:
            if isinstance(instruction, config.Workdir):
                # The value of a leading variable is not known from the text.
                if not given and not instruction.path.strip("'\"").startswith(("/", "$")):
                    message = (
                        f"Relative workdir {words.quoted(instruction.path)} can have unexpected results if the base "
                        "image changes"
                    )
                    yield LintFinding(rules.WORKDIR_RELATIVE_PATH, message, instruction.location)
                given = True
        if given:
            with_workdir.add(stage.index)


def used_once(stages: Stages) -> Iterator[LintFinding]:
    """MultipleInstructionsDisallowed. The earlier instruction is reported, because it has no effect."""
    for stage in stages.stages:
        last: dict[type[Instruction], Instruction] = {}
        for instruction in stage.instructions:
            if isinstance(instruction, config.Cmd | config.Entrypoint | healthcheck.Healthcheck):
                earlier = last.get(type(instruction))
                if earlier is not None:
                    message = (
                        f"Multiple {instruction.keyword} instructions should not be used in the same stage because "
                        "only the last one will be used"
                    )
                    yield LintFinding(rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, message, earlier.location)
                last[type(instruction)] = instruction


def legacy_pairs(stages: Stages) -> Iterator[LintFinding]:
    """LegacyKeyValueFormat."""
    for stage in stages.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, config.Env | config.Label) and any(pair.legacy for pair in instruction.pairs):
                name = type(instruction).__name__.upper()
                message = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
                yield LintFinding(rules.LEGACY_KEY_VALUE_FORMAT, message, instruction.location)


def secrets(stages: Stages) -> Iterator[LintFinding]:
    """SecretsUsedInArgOrEnv."""
    for stage in stages.stages:
        for instruction in stage.instructions:
            names: Sequence[str] = ()
            if isinstance(instruction, Arg):
                names = [name for name, _ in instruction.pairs]
            elif isinstance(instruction, config.Env):
                names = [pair.key for pair in instruction.pairs]
            for name in names:
                if re.search(_SECRET, name) and not re.search(_NO_SECRET, name):
                    message = (
                        "Do not use ARG or ENV instructions for sensitive data "
                        f"({type(instruction).__name__.upper()} {words.quoted(name)})"
                    )
                    yield LintFinding(rules.SECRETS_USED_IN_ARG_OR_ENV, message, instruction.location)


def platform_flags(stages: Stages) -> Iterator[LintFinding]:
    """RedundantTargetPlatform and FromPlatformFlagConstDisallowed."""
    for stage in stages.stages:
        text = stage.from_.platform
        try:
            expansion = words.expand(text, {"TARGETPLATFORM": "*"}, stages.dockerfile.escape)
        except DockerfileError:
            continue
        if expansion.text == "*" and expansion.matched == ("TARGETPLATFORM",) and not expansion.unmatched:
            message = f"Setting platform to predefined {text} in FROM is redundant as this is the default behavior"
            yield LintFinding(rules.REDUNDANT_TARGET_PLATFORM, message, stage.from_.location)
        elif text and not expansion.matched and not expansion.unmatched:
            yield from _constant_platform(stage, expansion.text)


def _constant_platform(stage: Stage, text: str) -> Iterator[LintFinding]:
    try:
        constant = platform.parse(text)
    except UsageError:
        return
    # A stage that is named after its platform uses a constant on purpose.
    if constant.os not in stage.name and constant.architecture not in stage.name:
        message = f"FROM --platform flag should not use constant value {words.quoted(text)}"
        yield LintFinding(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, message, stage.from_.location)


def descriptions(stages: Stages) -> Iterator[LintFinding]:
    """InvalidDefinitionDescription."""
    args = [*stages.global_args, *_every(stages, Arg)]
    named: list[tuple[Instruction, list[str]]] = [(arg, [name for name, _ in arg.pairs]) for arg in args]
    named += [(stage.from_, [stage.name] if stage.name else []) for stage in stages.stages]
    for instruction, names in named:
        comments = [comment for comment in instruction.comments if not comment.startswith("check=")]
        if comments and names and comments[-1].split(" ")[0] not in names:
            example = names[0] if len(names) == 1 else "<arg_key>"
            message = f"Comment for {instruction.keyword.upper()} should follow the format: `# {example} <description>`"
            yield LintFinding(rules.INVALID_DEFINITION_DESCRIPTION, message, instruction.location)


def exposed(stages: Stages) -> Iterator[LintFinding]:
    """ExposeProtoCasing and ExposeInvalidFormat. Words with variables are skipped: their values are not known."""
    for instruction in _every(stages, config.Expose):
        for specification in instruction.specifications:
            if "$" in specification:
                continue
            try:
                port = ports.parse(specification)
            except DockerfileError:
                continue
            if port.protocol != port.protocol.lower():
                message = f"Defined protocol '{specification}' in EXPOSE instruction should be lowercase"
                yield LintFinding(rules.EXPOSE_PROTO_CASING, message, instruction.location)
            if port.ip or port.host:
                message = (
                    f"EXPOSE instruction should not define an IP address or host-port mapping, found '{specification}'"
                )
                yield LintFinding(rules.EXPOSE_INVALID_FORMAT, message, instruction.location)


def _every(stages: Stages, kind: type[T]) -> Iterator[T]:
    for stage in stages.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, kind):
                yield instruction


TEXT_CHECKS: tuple[Callable[[Stages], Iterable[LintFinding]], ...] = (
    stage_names,
    as_casing,
    instruction_casing,
    shell_form,
    maintainers,
    workdirs,
    used_once,
    legacy_pairs,
    secrets,
    platform_flags,
    descriptions,
    exposed,
)
