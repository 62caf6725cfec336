"""The checks that BuildKit does not have: mistakes that show only on the second platform."""

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
# A script that looks at the platform chooses among fixed names.
_CHOOSES = r"TARGET(?:PLATFORM|ARCH|VARIANT)"


def target_defaults(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """TargetArgDefault: before the first FROM the default beats the automatic value for FROM, in a stage for RUN."""
    declared = (one for stage in stages.stages for one in stage.instructions if isinstance(one, Arg))
    for arg in (*stages.global_args, *declared):
        for name, default in arg.pairs:
            if name in AUTOMATIC and default is not None:
                message = (
                    f"ARG {name}={default} holds for every platform: the default beats the automatic value; "
                    f"write ARG {name}"
                )
                yield LintFinding(rules.TARGET_ARG_DEFAULT, message, arg.location)


def host_probes(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """HostArchProbe."""
    on_build_platform: set[int] = set()
    for stage in stages.stages:
        parent = stages.base(stage.from_.image, stage)
        inherited = parent is not None and parent.index in on_build_platform
        if not (inherited or (parent is None and "BUILDPLATFORM" in stage.from_.platform)):
            continue
        on_build_platform.add(stage.index)
        for one in stage.instructions:
            found = re.search(_PROBES, _script(one))
            if found:
                message = (
                    f"'{' '.join(found[0].split())}' in a stage for $BUILDPLATFORM names the architecture of the "
                    "building machine, not of the image; use $TARGETARCH"
                )
                yield LintFinding(rules.HOST_ARCH_PROBE, message, one.location)


def platforms_of_stages(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """StagePlatform: not where the stage has the same platform anyhow."""
    for stage in stages.stages:
        root = parent = stages.base(stage.from_.image, stage)
        while root is not None and (above := stages.base(root.from_.image, root)) is not None:
            root = above
        if parent is None or root is None or not stage.from_.platform:
            continue
        if _target(stage.from_.platform) != _target(root.from_.platform):
            message = (
                f"--platform={stage.from_.platform} has no effect: {parent.name or parent.index} is a stage, for "
                f"{root.from_.platform or 'the target platform'}; write it on line {root.from_.location.first}"
            )
            yield LintFinding(rules.STAGE_PLATFORM, message, stage.from_.location)


def _target(platform: str) -> str:
    """The words of a --platform, empty for the target's."""
    plain = re.sub(r"\$\{(\w+)\}", r"$\1", platform.strip("\"'"))
    return "" if plain == "$TARGETPLATFORM" else plain


def fixed_architectures(stages: Stages, platforms: tuple[Platform, ...]) -> Iterator[LintFinding]:
    """FixedArchUrl: only where there is more than one platform, and a stage is made for each."""
    if len(platforms) < 2:
        return
    for stage in stages.stages:
        if _one_platform(stage):
            continue
        for one in stage.instructions:
            for words in _fixed(one):
                message = f"'{words}' is of one architecture, in a build for {', '.join(map(str, platforms))}"
                yield LintFinding(rules.FIXED_ARCH_URL, message, one.location)


def _one_platform(stage: Stage) -> bool:
    """Whether the stage is made for one constant platform or that of the building machine."""
    platform = stage.from_.platform
    return bool(platform) and ("$" not in platform or "BUILDPLATFORM" in platform)


def _fixed(one: Instruction) -> Iterator[str]:
    if isinstance(one, Add):
        yield from (source for source in one.sources if re.match(_URL, source) and re.search(_TOKEN, source))
    script = _script(one)
    if not script or re.search(_CHOOSES, script) or re.search(_PROBES, script):
        return
    yield from (url for url in re.findall(_URL, script) if re.search(_TOKEN, url))
    if re.search(_INSTALLS, script):
        yield from re.findall(_PACKAGE, script)


def _script(one: Instruction) -> str:
    """What a RUN says, its heredocs included; empty for other instructions."""
    if not isinstance(one, Run):
        return ""
    return "\n".join((" ".join(one.arguments), *(document.content for document in one.heredocs)))


PLATFORM_CHECKS: tuple[Callable[[Stages, tuple[Platform, ...]], Iterable[LintFinding]], ...] = (
    target_defaults,
    host_probes,
    fixed_architectures,
    platforms_of_stages,
)
