"""Build checks: each rule finds its mistake, and nothing else."""

from pathlib import Path

import pytest

from polyarch.dockerfile import checks, rules
from polyarch.dockerfile.ignorefile import Matcher
from polyarch.dockerfile.ignorefile import parse as parse_ignore
from polyarch.dockerfile.instructions.expansion import expand
from polyarch.dockerfile.parser import parse
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.stages import cut
from polyarch.oci import platform

BOTH = platform.parse_list(["linux/amd64,linux/arm64"])
ALL = checks.Options(experimental_all=True)


def found(text: str, *, chosen: checks.Options | None = ALL, both: bool = True) -> list[tuple[str, str, int]]:
    findings = checks.run(parse(text), chosen, platforms=BOTH if both else BOTH[:1])
    return [(one.rule.name, one.message, one.location.first) for one in findings]


GOOD = """\
# syntax=docker/dockerfile:1
# V the version
ARG V=1
# build compiles it
FROM --platform=$BUILDPLATFORM golang:${V} AS build
ARG TARGETARCH
WORKDIR /src
ENV PUBLIC_KEY=a KEY_FILE=b MONKEY=c
RUN GOARCH=$TARGETARCH go build
FROM build AS test
WORKDIR rel
FROM scratch
COPY --from=build /a /a
EXPOSE 80 443/udp $PORT
LABEL a=b
ENTRYPOINT ["/a"]
"""


def test_a_good_file_has_no_findings() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("text", "rule", "message", "line"),
    [
        ("FROM a AS Build", "StageNameCasing", "Stage name 'Build' should be lowercase", 1),
        ("FROM a as b", "FromAsCasing", "'as' and 'FROM' keywords' casing do not match", 1),
        ("from a AS b", "FromAsCasing", "'AS' and 'from' keywords' casing do not match", 1),
        ("FROM a\nRUN a \\\n\n b", "NoEmptyContinuation", "Empty continuation line", 3),
        (
            "FROM a\nrun b",
            "ConsistentInstructionCasing",
            "Command 'run' should match the case of the command majority (uppercase)",
            2,
        ),
        (
            "from a\nrun b\nRun c",
            "ConsistentInstructionCasing",
            "Command 'Run' should match the case of the command majority (lowercase)",
            3,
        ),
        (
            "FROM a AS b\nFROM c AS b",
            "DuplicateStageName",
            'Duplicate stage name "b", stage names should be unique',
            2,
        ),
        (
            "FROM a AS scratch",
            "ReservedStageName",
            'Stage name should not use the same name as reserved stage "scratch"',
            1,
        ),
        (
            "FROM a\nCMD b",
            "JSONArgsRecommended",
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
            2,
        ),
        (
            "FROM a\nMAINTAINER b",
            "MaintainerDeprecated",
            "Maintainer instruction is deprecated in favor of using label",
            2,
        ),
        (
            "FROM --platform=$BUILDPLATFROM a",
            "UndefinedArgInFrom",
            "FROM argument 'BUILDPLATFROM' is not declared (did you mean BUILDPLATFORM?)",
            1,
        ),
        (
            "FROM a\nWORKDIR b",
            "WorkdirRelativePath",
            'Relative workdir "b" can have unexpected results if the base image changes',
            2,
        ),
        (
            'FROM a\nCMD ["b"]\nCMD ["c"]',
            "MultipleInstructionsDisallowed",
            "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
            2,
        ),
        (
            "FROM a\nENV b c",
            "LegacyKeyValueFormat",
            '"ENV key=value" should be used instead of legacy "ENV key value" format',
            2,
        ),
        (
            "FROM --platform=${TARGETPLATFORM} a",
            "RedundantTargetPlatform",
            "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior",
            1,
        ),
        (
            "FROM a\nARG GITHUB_TOKEN",
            "SecretsUsedInArgOrEnv",
            'Do not use ARG or ENV instructions for sensitive data (ARG "GITHUB_TOKEN")',
            2,
        ),
        (
            "FROM a\nENV password=b",
            "SecretsUsedInArgOrEnv",
            'Do not use ARG or ENV instructions for sensitive data (ENV "password")',
            2,
        ),
        (
            "ARG TAG\nFROM a:${TAG}",
            "InvalidDefaultArgInFrom",
            "Default value for ARG a:${TAG} results in empty or invalid base image name",
            2,
        ),
        (
            "FROM --platform=linux/amd64 a",
            "FromPlatformFlagConstDisallowed",
            'FROM --platform flag should not use constant value "linux/amd64"',
            1,
        ),
        (
            "# something else\nFROM a AS b",
            "InvalidDefinitionDescription",
            "Comment for FROM should follow the format: `# b <description>`",
            2,
        ),
        (
            "FROM a\nEXPOSE 80/TCP",
            "ExposeProtoCasing",
            "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
            2,
        ),
        (
            "FROM a\nEXPOSE 80:80",
            "ExposeInvalidFormat",
            "EXPOSE instruction should not define an IP address or host-port mapping, found '80:80'",
            2,
        ),
        (
            "FROM a\nARG TARGETARCH=amd64",
            "TargetArgDefault",
            (
                "ARG TARGETARCH=amd64 is used for every platform: the default replaces the automatic value; "
                "write ARG TARGETARCH"
            ),
            2,
        ),
        (
            "ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM a",
            "TargetArgDefault",
            (
                "ARG BUILDPLATFORM=linux/amd64 is used for every platform: the default replaces the automatic value; "
                "write ARG BUILDPLATFORM"
            ),
            1,
        ),
        (
            "FROM --platform=$BUILDPLATFORM a\nRUN curl x/$(uname  -m)",
            "HostArchProbe",
            (
                "'uname -m' in a stage for $BUILDPLATFORM returns the architecture of the build machine, not of the "
                "image; use $TARGETARCH"
            ),
            2,
        ),
        (
            "FROM a\nRUN curl -O https://x.org/tool-linux-amd64.tgz",
            "FixedArchUrl",
            "'https://x.org/tool-linux-amd64.tgz' is for one architecture, in a build for linux/amd64, linux/arm64",
            2,
        ),
        (
            "FROM a\nADD https://x.org/x86_64/tool /",
            "FixedArchUrl",
            "'https://x.org/x86_64/tool' is for one architecture, in a build for linux/amd64, linux/arm64",
            2,
        ),
        (
            "FROM a\nRUN apt-get install -y libc6:i386",
            "FixedArchUrl",
            "'libc6:i386' is for one architecture, in a build for linux/amd64, linux/arm64",
            2,
        ),
    ],
)
def test_a_rule_finds_its_mistake_and_no_other_does(text: str, rule: str, message: str, line: int) -> None:
    assert found(text) == [(rule, message, line)]


@pytest.mark.parametrize(
    "text",
    [
        'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD b',
        'FROM a AS b\nSHELL ["/bin/bash", "-c"]\nFROM b\nCMD c',
        "FROM a\nWORKDIR /b\nWORKDIR c",
        "FROM a AS b\nWORKDIR /b\nFROM b\nWORKDIR c",
        "FROM a\nWORKDIR $HOME",
        "FROM --platform=linux/amd64 a AS build-amd64",
        "FROM --platform=$BUILDPLATFORM a",
        "FROM a\nRUN uname -m",
        "FROM --platform=$BUILDPLATFORM a\nRUN ls archive arch",
        "FROM --platform=$BUILDPLATFORM a\nRUN curl https://x.org/tool-amd64",
        "FROM a\nARG TARGETARCH\nRUN case $TARGETARCH in amd64) curl https://x.org/tool-x86_64;; esac",
        "FROM a\nRUN curl https://x.org/tool-${TARGETARCH}.tgz",
        "FROM a\nRUN curl https://x.org/charms/x64ish",
        "FROM a\nCOPY --chown=x:amd64 b c",
    ],
)
def test_what_is_right_is_not_found(text: str) -> None:
    assert found(text) == []


def test_a_fixed_architecture_is_right_where_only_one_platform_is_built() -> None:
    text = "FROM a\nRUN curl -O https://x.org/tool-linux-amd64.tgz"
    assert found(text, both=False) == []
    assert [one[0] for one in found(text)] == ["FixedArchUrl"]


def test_the_check_directive_leaves_rules_out() -> None:
    mistakes = "FROM a AS B\nCMD c\n"
    assert [one[0] for one in found(mistakes, chosen=None)] == ["StageNameCasing", "JSONArgsRecommended"]
    assert [one[0] for one in found(f"# check=skip=StageNameCasing\n{mistakes}", chosen=None)] == [
        "JSONArgsRecommended"
    ]
    assert found(f"# check=skip=all\n{mistakes}", chosen=None) == []


def test_an_experimental_rule_is_asked_for_by_name() -> None:
    text = "# other\nFROM a AS b\n"
    assert found(text, chosen=None) == []
    asked = f"# check=experimental=InvalidDefinitionDescription\n{text}"
    assert [one[0] for one in found(asked, chosen=None)] == ["InvalidDefinitionDescription"]


def test_a_comment_above_an_instruction_leaves_a_rule_out_there_alone() -> None:
    text = "FROM a\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n"
    assert [(one[0], one[2]) for one in found(text)] == [("LegacyKeyValueFormat", 4)]


def test_findings_fail_a_build_only_where_that_is_asked() -> None:
    file = parse("# check=error=true\nFROM a AS B\nCMD c\n")
    findings = checks.run(file)
    assert checks.violation(findings, file) == "lint violation found for rules: JSONArgsRecommended, StageNameCasing"
    assert checks.violation((), file) == ""
    assert checks.violation(findings, file, checks.Options()) == ""


@pytest.mark.parametrize("text", ["skip", "error=maybe", "other=1", "skip=all;error"])
def test_check_options_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        checks.options(text)


def test_an_undefined_variable_is_found_unless_the_stage_declares_it() -> None:
    instruction = parse("FROM a\nENV b=$HOEM$ARGUED$X").instructions[1]
    env = {"HOME": "/root"}
    _, unmatched = expand(instruction, env)
    assert [one.message for one in checks.undefined_variables(instruction, unmatched, ["ARGUED"], env)] == [
        "Usage of undefined variable '$HOEM' (did you mean $HOME?)",
        "Usage of undefined variable '$X'",
    ]


@pytest.mark.parametrize(
    ("wants", "has", "wrong"),
    [
        ("linux/arm64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v2", False),
    ],
)
def test_a_base_image_of_another_platform_is_found(wants: str, has: str, wrong: bool) -> None:
    findings = list(checks.base_image_platform("a", platform.parse(wants), platform.parse(has), Location(1, 1)))
    assert bool(findings) is wrong
    if wrong:
        assert findings[0].message.startswith(f'Base image a was pulled with platform "{has}", expected "{wants}"')


def test_a_copied_file_that_is_ignored_is_found() -> None:
    ignore = Matcher(parse_ignore("*.md\ndocs\n"))
    findings = list(checks.ignored_sources("COPY", ("./README.md", "/docs/a", "src"), ignore, Location(1, 1)))
    assert [one.message for one in findings] == [
        'Attempting to Copy file "README.md" that is excluded by .dockerignore',
        'Attempting to Copy file "docs/a" that is excluded by .dockerignore',
    ]
    taken_back = Matcher(parse_ignore("*.md\nsub\n!README.md\n!sub/keep\n"))
    findings = list(
        checks.ignored_sources("COPY", ("a.md", "README.md", "sub", "sub/keep"), taken_back, Location(1, 1))
    )
    assert [one.message.split()[4] for one in findings] == ['"a.md"']


@pytest.mark.parametrize(
    ("line", "contexts", "found"),
    [
        ("COPY --from=buildr a /", (), ["buildr"]),
        ("COPY --from=BUILDR a /", (), ["BUILDR"]),
        ("RUN --mount=from=bilder,target=/x true", (), ["bilder"]),
        ("COPY --from=builder a /", (), []),
        ("COPY --from=Builder a /", (), []),
        ("COPY --from=0 a /", (), []),
        ("COPY --from=buildr a /", ("buildr",), []),
        ("COPY --from=docker.io/buildr a /", (), []),
        ("COPY --from=buildr:1 a /", (), []),
        ("COPY --from=nodes a /", (), []),
        ("COPY --from=alpine a /", (), []),
    ],
)
def test_a_stage_that_is_nearly_named_is_found(line: str, contexts: tuple[str, ...], found: list[str]) -> None:
    text = f"FROM nodes:20 AS node\nFROM scratch AS builder\nFROM scratch\n{line}\n"
    said = list(checks.unknown_stages(cut(parse(text)), contexts))
    assert [one.message.split("no stage ")[1].split()[0] for one in said] == found
    assert all("(did you mean builder?)" in one.message and one.location.first == 4 for one in said)


def test_there_are_buildkits_rules_and_our_own_each_once() -> None:
    names = [rule.name for rule in rules.RULES]
    assert len(names) == len(set(names)) == 31
    assert [rule.name for rule in rules.RULES if rule.ours] == [
        "TargetArgDefault",
        "HostArchProbe",
        "FixedArchUrl",
        "UnknownOwner",
        "NothingToCopy",
        "StagePlatform",
        "UnusableDirectory",
        "SharedCache",
        "UnknownStage",
    ]


def test_our_own_rules_are_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/build-checks.md").read_text()
    assert [rule.name for rule in rules.RULES if rule.ours and f"| `{rule.name}` |" not in page] == []
