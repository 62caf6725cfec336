"""Running the build checks, and filtering their findings.

`run` runs the checks that need only the text. Checks that need more (the environment of a base image, its platform, the
ignore file) are functions that the planner calls. `wanted` filters the findings of both.
"""

import posixpath
import re
from collections.abc import Container, Iterable, Iterator, Mapping

import msgspec

from polyarch.dockerfile import rules, suggest, words
from polyarch.dockerfile.checks_platform import PLATFORM_CHECKS
from polyarch.dockerfile.checks_text import TEXT_CHECKS
from polyarch.dockerfile.ignorefile import Matcher
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.copying import Copy
from polyarch.dockerfile.instructions.running import Run
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.rules import RULES, LintFinding, LintRule
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.stages import AUTOMATIC, Stages, cut, global_env
from polyarch.errors import UsageError
from polyarch.oci import reference
from polyarch.oci.platform import Platform, normalize

__all__ = ["RULES", "LintFinding", "LintRule", "Options", "options", "run", "violation", "wanted"]

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_NO_ENVIRONMENT = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options in `# check=`: rules to skip, experimental rules to run, and whether a finding fails the build."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def wants(self, rule: LintRule) -> bool:
        """Return whether findings of `rule` are reported."""
        if self.skip_all or rule.name in self.skip:
            return False
        return not rule.experimental or self.experimental_all or rule.name in self.experimental


def options(text: str) -> Options:
    """Return the options in `skip=A,B;error=true;experimental=all`. Raises DockerfileError, without a location."""
    values: dict[str, object] = {}
    for part in text.split(";") if text.strip() else ():
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            raise DockerfileError(f"invalid check option {words.quoted(part)}")
        match key:
            case "skip" | "experimental":
                values[f"{key}_all"] = value == "all"
                values[key] = frozenset(name.strip() for name in value.split(",")) if value != "all" else frozenset()
            case "error":
                if value not in _TRUE + _FALSE:
                    raise DockerfileError(f"failed to parse check option {words.quoted(part)}")
                values[key] = value in _TRUE
            case _:
                raise DockerfileError(f"invalid check option {words.quoted(key)}")
    return msgspec.convert(values, Options)


def run(
    dockerfile: Dockerfile,
    chosen: Options | None = None,
    *,
    platforms: tuple[Platform, ...] = (),
    automatic: Mapping[str, str] | None = None,
) -> tuple[LintFinding, ...]:
    """Return the findings of the checks that need only the text, in the order of lines.

    `chosen` are the options in BUILDKIT_DOCKERFILE_CHECK; without it, the file's own `# check=` decides. `platforms`
    are those that the build is for; `automatic` are the automatic arguments for one of them. Raises DockerfileError if
    the file has no stages or its `# check=` does not parse.
    """
    stages = cut(dockerfile)
    findings: list[LintFinding] = [*_empty_continuations(dockerfile)]
    for check in TEXT_CHECKS:
        findings.extend(check(stages))
    for platform_check in PLATFORM_CHECKS:
        findings.extend(platform_check(stages, platforms))
    findings.extend(undefined_in_from(stages))
    findings.extend(invalid_default_in_from(stages, automatic or dict.fromkeys(AUTOMATIC, "linux")))
    return wanted(findings, dockerfile, chosen)


def wanted(
    findings: Iterable[LintFinding], dockerfile: Dockerfile, chosen: Options | None = None
) -> tuple[LintFinding, ...]:
    """Return the findings, without duplicates, that are not skipped by the options or by a `# check=skip=` comment.

    The comment applies to the instruction below it.
    """
    decided = options(dockerfile.check) if chosen is None else chosen
    own = {instruction.location: _own_options(instruction) for instruction in dockerfile.instructions}
    order = {rule.name: number for number, rule in enumerate(RULES)}
    kept = {
        finding: None
        for finding in findings
        if decided.wants(finding.rule)
        and not any(
            location.first <= finding.location.first <= location.last
            and (local.skip_all or finding.rule.name in local.skip)
            for location, local in own.items()
        )
    }
    return tuple(sorted(kept, key=lambda finding: (finding.location.first, order[finding.rule.name])))


def violation(findings: Iterable[LintFinding], dockerfile: Dockerfile, chosen: Options | None = None) -> str:
    """Return the reason to fail the build, or an empty string if the findings are only warnings."""
    decided = options(dockerfile.check) if chosen is None else chosen
    names = sorted({finding.rule.name for finding in findings})
    return f"lint violation found for rules: {', '.join(names)}" if decided.error and names else ""


def _own_options(instruction: Instruction) -> Options:
    for comment in instruction.comments:
        key, equals, value = comment.partition("=")
        if equals and key.strip() == "check":
            try:
                return options(value)
            except DockerfileError:
                return Options()
    return Options()


def _empty_continuations(dockerfile: Dockerfile) -> Iterator[LintFinding]:
    for location in dockerfile.empty_continuations:
        yield LintFinding(rules.NO_EMPTY_CONTINUATION, "Empty continuation line", location)


def undefined_in_from(stages: Stages) -> Iterator[LintFinding]:
    """UndefinedArgInFrom: FROM may use only global and automatic arguments."""
    declared = {*AUTOMATIC, *(name for arg in stages.global_args for name, _ in arg.pairs)}
    for stage in stages.stages:
        for text in (stage.from_.platform, stage.from_.image):
            for name in _names(text, stages.dockerfile.escape):
                if name not in declared:
                    meant = suggest.nearest(name, declared)
                    hint = f" (did you mean {meant}?)" if meant else ""
                    message = f"FROM argument '{name}' is not declared{hint}"
                    yield LintFinding(rules.UNDEFINED_ARG_IN_FROM, message, stage.from_.location)


def _names(text: str, escape: str) -> tuple[str, ...]:
    try:
        return words.expand(text, {}, escape).unmatched
    except DockerfileError:
        return ()


def invalid_default_in_from(stages: Stages, automatic: Mapping[str, str]) -> Iterator[LintFinding]:
    """InvalidDefaultArgInFrom: the image that FROM names if no build arguments are given."""
    escape = stages.dockerfile.escape
    try:
        env = global_env(stages.global_args, automatic, {}, escape)
    except DockerfileError:
        return
    for stage in stages.stages:
        try:
            reference.parse(words.expand(stage.from_.image, env, escape).text)
        except (DockerfileError, UsageError):
            message = f"Default value for ARG {stage.from_.image} results in empty or invalid base image name"
            yield LintFinding(rules.INVALID_DEFAULT_ARG_IN_FROM, message, stage.from_.location)


def unknown_stages(stages: Stages, contexts: Iterable[str] = ()) -> Iterator[LintFinding]:
    """UnknownStage: a `--from` or `from=` that resembles a stage's name, but is not a context or an image of a FROM."""
    images = {re.split("[:@]", stage.from_.image)[0] for stage in stages.stages}
    known = {*images, *contexts}
    for stage in stages.stages:
        earlier = [previous.name for previous in stages.stages[: stage.index] if previous.name]
        for instruction in stage.instructions:
            if isinstance(instruction, Copy):
                named = [(f"--from={instruction.from_}", instruction.from_)]
            elif isinstance(instruction, Run):
                named = [(f"from={name}", name) for name in instruction.mount_sources]
            else:
                continue
            for flag, name in named:
                if not re.fullmatch(r"[\w-]*[A-Za-z][\w-]*", name) or name in known or name.lower() in earlier:
                    continue
                meant = suggest.nearest(name.lower(), earlier)
                if meant:
                    message = f"{flag}: there is no stage {name} (did you mean {meant}?), so it is taken for an image"
                    yield LintFinding(rules.UNKNOWN_STAGE, message, instruction.location)


def undefined_variables(
    instruction: Instruction, unmatched: Iterable[str], declared: Container[str], env: Mapping[str, str]
) -> Iterator[LintFinding]:
    """UndefinedVar.

    `unmatched` is the second result of `expand`; `declared` are the stage's ARGs, with or without a value.
    """
    for name in unmatched:
        if name not in declared and name not in _NO_ENVIRONMENT:
            meant = suggest.nearest(name, env)
            hint = f" (did you mean ${meant}?)" if meant else ""
            yield LintFinding(rules.UNDEFINED_VAR, f"Usage of undefined variable '${name}'{hint}", instruction.location)


def base_image_platform(image: str, expected: Platform, actual: Platform, location: Location) -> Iterator[LintFinding]:
    """InvalidBaseImagePlatform.

    BuildKit compares only OS and architecture; this check also finds an arm/v7 base in an arm/v6 build.
    """
    wants, has = normalize(expected), normalize(actual)
    if (wants.os, wants.architecture) != (has.os, has.architecture) or (
        wants.architecture == "arm" and wants.variant < has.variant
    ):
        message = (
            f"Base image {image} was pulled with platform {words.quoted(str(has))}, "
            f"expected {words.quoted(str(wants))} for current build"
        )
        yield LintFinding(rules.INVALID_BASE_IMAGE_PLATFORM, message, location)


def ignored_sources(keyword: str, sources: Iterable[str], ignore: Matcher, location: Location) -> Iterator[LintFinding]:
    """CopyIgnoredFile, for the expanded sources of a COPY or ADD from a context.

    A source is not reported if a `!` pattern could include something below it.
    """
    for source in sources:
        path = posixpath.normpath(source).lstrip("/") or "."
        if ignore.matches(path) and (not ignore.has_exclusions or ignore.skips(path, ignore.enter(path))):
            message = (
                f"Attempting to {keyword.capitalize()} file {words.quoted(path)} that is excluded by .dockerignore"
            )
            yield LintFinding(rules.COPY_IGNORED_FILE, message, location)
