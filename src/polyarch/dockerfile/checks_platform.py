"""Checks that BuildKit does not have: mistakes that appear only on a second platform."""

import re
from collections.abc import Callable, Iterable, Iterator

from polyarch.dockerfile import rules
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.copying import Add
from polyarch.dockerfile.instructions.running import Run
from polyarch.dockerfile.instructions.stages import Arg
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.stages import AUTOMATIC, Stage, Stages
from polyarch.oci.platform import Platform

_PROBES = (
    r"uname\s+(?:-\w*[mpi]\w*|--machine|--processor)|dpkg\s+--print-architecture|apk\s+--print-arch"
    r"|rpm\s+--eval\s+['\"]?%\{?_arch|(?<![\w./-])arch(?=\s*[)`])"
)
_ARCHITECTURE = (
    r"(?:amd64|x86_64|x86-64|x64|i386|i686|arm64|aarch64|armhf|armv[5-8]l?|ppc64le|powerpc64le|s390x|riscv64|loong64)"
)
_TOKEN = rf"(?i)(?<![A-Za-z0-9]){_ARCHITECTURE}(?![A-Za-z0-9])"
_URL = r"(?:https?|ftp)://[^\s'\"|;&<>)`]+"
_PACKAGE = rf"(?<![\w:/])[a-z0-9][a-z0-9+.-]*:{_ARCHITECTURE}(?![\w:/])"
_INSTALLS = r"\b(?:apt|apt-get|dpkg|aptitude)\b"
# A script that uses one of these chooses among fixed names itself.
_CHOOSES = r"TARGET(?:PLATFORM|ARCH|VARIANT)"


def target_defaults(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """TargetArgDefault: a default replaces the automatic value, in FROM if it is global, in RUN if it is in a stage."""
    declared = (
        instruction for stage in stages.stages for instruction in stage.instructions if isinstance(instruction, Arg)
    )
    for arg in (*stages.global_args, *declared):
        for name, default in arg.pairs:
            if name in AUTOMATIC and default is not None:
                message = (
                    f"ARG {name}={default} is used for every platform: the default replaces the automatic value; "
                    f"write ARG {name}"
                )
                yield LintFinding(rules.TARGET_ARG_DEFAULT, message, arg.location)


def host_probes(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """HostArchProbe: a command in a stage for $BUILDPLATFORM that asks for the machine's architecture."""
    for number in sorted(stages.on_build_platform()):
        for instruction in stages.stages[number].instructions:
            probe = re.search(_PROBES, _script(instruction))
            if probe:
                message = (
                    f"'{' '.join(probe[0].split())}' in a stage for $BUILDPLATFORM returns the architecture of the "
                    "build machine, not of the image; use $TARGETARCH"
                )
                yield LintFinding(rules.HOST_ARCH_PROBE, message, instruction.location)


def platforms_of_stages(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """StagePlatform: a --platform on a stage that starts from another stage, unless both platforms are the same."""
    for stage in stages.stages:
        root = parent = stages.base(stage.from_.image, stage)
        while root is not None and (above := stages.base(root.from_.image, root)) is not None:
            root = above
        if parent is None or root is None or not stage.from_.platform:
            continue
        if _target(stage.from_.platform) != _target(root.from_.platform):
            message = (
                f"--platform={stage.from_.platform} has no effect: {parent.name or parent.index} is a stage for "
                f"{root.from_.platform or 'the target platform'}; move it to line {root.from_.location.first}"
            )
            yield LintFinding(rules.STAGE_PLATFORM, message, stage.from_.location)


def _target(platform: str) -> str:
    """Return the text of a --platform; empty if it is the target platform."""
    plain = re.sub(r"\$\{(\w+)\}", r"$\1", platform.strip("\"'"))
    return "" if plain == "$TARGETPLATFORM" else plain


def fixed_architectures(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """FixedArchUrl: only for several platforms, in a stage that is built for each of them."""
    if len(platforms) < 2:
        return
    for stage in stages.stages:
        if _one_platform(stage):
            continue
        for instruction in stage.instructions:
            for words in _fixed(instruction):
                message = f"'{words}' is for one architecture, in a build for {', '.join(map(str, platforms))}"
                yield LintFinding(rules.FIXED_ARCH_URL, message, instruction.location)


def _one_platform(stage: Stage) -> bool:
    """Return whether the stage is built for a constant platform or for the platform of the build machine."""
    platform = stage.from_.platform
    return bool(platform) and ("$" not in platform or "BUILDPLATFORM" in platform)


def _fixed(instruction: Instruction) -> Iterator[str]:
    if isinstance(instruction, Add):
        yield from (source for source in instruction.sources if re.match(_URL, source) and re.search(_TOKEN, source))
    script = _script(instruction)
    if not script or re.search(_CHOOSES, script) or re.search(_PROBES, script):
        return
    yield from (url for url in re.findall(_URL, script) if re.search(_TOKEN, url))
    if re.search(_INSTALLS, script):
        yield from re.findall(_PACKAGE, script)


def _script(instruction: Instruction) -> str:
    """Return the command of a RUN with its heredocs; empty for other instructions."""
    if not isinstance(instruction, Run):
        return ""
    return "\n".join((" ".join(instruction.arguments), *(document.content for document in instruction.heredocs)))


PLATFORM_CHECKS: tuple[Callable[[Stages, tuple[Platform, ...]], Iterable[LintFinding]], ...] = (
    target_defaults,
    host_probes,
    fixed_architectures,
    platforms_of_stages,
)
