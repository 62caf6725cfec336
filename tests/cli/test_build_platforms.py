"""Builds in which platforms differ: options for one platform, one that fails, one with another's binaries."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import trees
from tests.needs import need
from tests.program import Program, Result

pytestmark = pytest.mark.integration
BOTH = "linux/amd64,linux/arm64"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return tmp_path / "context"


def build(
    polyarch: Program, context: Path, dockerfile: str, *flags: str | Path, check: bool = True, **files: str
) -> Result:
    trees.write(context, {**files, "Dockerfile": dockerfile})
    return polyarch("build", "--platform", BOTH, "-t", "app", *flags, context, check=check)


def environment(polyarch: Program, name: str, platform: str) -> Mapping[str, str]:
    config = polyarch("inspect", "--platform", platform, name).json()[0]["Config"]
    return dict(word.partition("=")[::2] for word in config.get("Env") or ())


def has(polyarch: Program, name: str) -> list[str]:
    """The platforms that a name has; none where there is no such name."""
    result = polyarch("inspect", "--format", "{{json .Platforms}}", name, check=False)
    return [entry["Platform"] for entry in result.json()] if result.status == 0 else []


# Values for one platform


def test_build_arguments_labels_and_targets_may_be_for_one_platform(
    polyarch: Program, busybox: str, context: Path
) -> None:
    dockerfile = """
        FROM busybox AS one
        ARG WORD=none
        ENV WORD=$WORD
        FROM one AS two
        ENV TARGET=two
    """
    build(
        polyarch,
        context,
        dockerfile,
        *("--build-arg", "WORD=all", "--build-arg", "linux/arm64:WORD=a:b/c", "--label", "linux/arm64:x=1"),
        *("--label", "example.org/key:linux/arm64:y=2", "--target", "two", "--target", "linux/arm64:one"),
    )
    mine, theirs = (environment(polyarch, "app", platform) for platform in BOTH.split(","))
    assert (mine["WORD"], mine.get("TARGET")) == ("all", "two")
    assert (theirs["WORD"], theirs.get("TARGET")) == ("a:b/c", None)
    labels = polyarch("inspect", "--platform", "linux/arm64", "app").json()[0]["Config"]["Labels"]
    assert labels == {"x": "1", "example.org/key:linux/arm64:y": "2"}


def test_the_index_has_the_baseline_before_its_variants_whatever_the_order_of_platform(
    polyarch: Program, context: Path
) -> None:
    wanted = "linux/amd64/v3,linux/arm64,linux/amd64,linux/amd64/v2"
    build(polyarch, context, "FROM scratch\nCOPY x /\n", "--platform", wanted, x="x")
    assert has(polyarch, "app") == ["linux/amd64", "linux/arm64", "linux/amd64/v2", "linux/amd64/v3"]


def test_a_build_context_may_be_for_one_platform(polyarch: Program, busybox: str, context: Path) -> None:
    common, special = trees.write(context / "c", {"w": "common"}), trees.write(context / "s", {"w": "special"})
    output = context / "out"
    build(
        polyarch,
        context,
        "FROM scratch\nCOPY --from=lib w /w\n",
        *("--build-context", f"lib={common}", "--build-context", f"linux/arm64:lib={special}"),
        *("-o", f"type=local,dest={output}"),
    )
    assert [(output / name / "w").read_text() for name in ("linux_amd64", "linux_arm64")] == ["common", "special"]


def test_a_secret_may_be_for_one_platform(polyarch: Program, busybox: str, context: Path) -> None:
    need("crun", "qemu-aarch64-static")
    trees.write(context, {"a": "first", "b": "second"})
    output = context / "out"
    build(
        polyarch,
        context,
        "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s > /seen\n",
        *("--secret", f"id=s,src={context / 'a'}", "--secret", f"linux/arm64:id=s,src={context / 'b'}"),
        *("-o", f"type=local,dest={output}"),
    )
    assert [(output / name / "seen").read_text() for name in ("linux_amd64", "linux_arm64")] == ["first", "second"]


def test_a_value_for_a_platform_that_is_not_built_is_refused(polyarch: Program, busybox: str, context: Path) -> None:
    result = build(polyarch, context, "FROM busybox\n", "--build-arg", "linux/s390x:A=1", check=False)
    assert result.status == 2
    assert "linux/s390x" in result.stderr


# One platform that fails

FAILS = """
FROM busybox
ARG WORD=good
COPY $WORD /
"""


def failing(polyarch: Program, context: Path, *flags: str, check: bool = False) -> Result:
    return build(polyarch, context, FAILS, "--build-arg", "linux/arm64:WORD=bad", *flags, check=check, good="1")


def test_with_keep_going_the_others_are_done_and_nothing_is_tagged(
    polyarch: Program, busybox: str, context: Path
) -> None:
    result = failing(polyarch, context, "--keep-going")
    assert result.status == 1
    assert "1 of 2 platforms failed, and nothing was tagged" in result.stderr
    assert re.search(r"^linux/arm64: .*bad", result.stderr, re.MULTILINE)
    assert "linux/amd64 is done" in result.stderr
    assert has(polyarch, "app") == []
    again = build(polyarch, context, FAILS, good="1")
    assert re.search(r"linux/amd64 1/1\] COPY.*\n#\d+ CACHED", again.stderr), again.stderr


def test_with_partial_what_works_is_tagged_and_the_build_ends_with_1(
    polyarch: Program, busybox: str, context: Path
) -> None:
    result = failing(polyarch, context, "--partial")
    assert result.status == 1
    assert has(polyarch, "app") == ["linux/amd64"]
    assert "linux/arm64 failed" in result.stderr


def test_without_either_the_first_failure_ends_the_build(polyarch: Program, busybox: str, context: Path) -> None:
    result = failing(polyarch, context)
    assert result.status == 1
    assert "platforms failed" not in result.stderr
    assert has(polyarch, "app") == []


def test_a_base_that_lacks_a_platform_is_survived_too(
    polyarch: Program, context: Path, busybox_tars: Mapping[str, Path]
) -> None:
    polyarch("import", "--platform", "linux/amd64", busybox_tars["linux/amd64"], "half")
    result = build(polyarch, context, "FROM half\n", "--partial", check=False)
    assert result.status == 1
    assert has(polyarch, "app") == ["linux/amd64"]
    assert "linux/arm64 failed" in result.stderr


def test_where_all_fail_there_is_nothing_partial(polyarch: Program, busybox: str, context: Path) -> None:
    result = build(polyarch, context, "FROM busybox\nCOPY gone /\n", "--partial", check=False)
    assert result.status == 1
    assert has(polyarch, "app") == []
    assert "2 of 2 platforms failed" in result.stderr


# Another platform's binaries


@pytest.fixture
def foreign(polyarch: Program, busybox: str, context: Path, busybox_tars: Mapping[str, Path]) -> str:
    """A Dockerfile that gives every platform amd64's binaries, one of them to start."""
    import tarfile

    context.mkdir(exist_ok=True)
    with tarfile.open(busybox_tars["linux/amd64"]) as tar:
        content = tar.extractfile("bin/busybox")
        assert content is not None
        for name in ("serve", "helper"):
            content.seek(0)
            (context / name).write_bytes(content.read())
            (context / name).chmod(0o755)
    return 'FROM busybox\nCOPY helper /opt/\nCOPY serve /usr/local/bin/\nENTRYPOINT ["serve"]\n'


def test_an_entrypoint_of_another_architecture_is_an_error_that_names_the_step(
    polyarch: Program, foreign: str, context: Path
) -> None:
    for _ in range(2):  # found, then remembered
        result = build(polyarch, context, foreign, check=False)
        assert result.status == 1
        assert "[linux/arm64] the entrypoint serve is a binary for amd64" in result.stderr
        assert "COPY serve /usr/local/bin/" in result.stderr
        assert has(polyarch, "app") == []


def test_other_foreign_binaries_are_warnings(polyarch: Program, foreign: str, context: Path) -> None:
    harmless = foreign.replace("ENTRYPOINT", "LABEL x=").replace('x= ["serve"]', "x=1")
    result = build(polyarch, context, harmless)
    assert "WARNING: [linux/arm64] /opt/helper: a binary for amd64" in result.stderr
    assert "linux/amd64] /opt/helper" not in result.stderr
    assert has(polyarch, "app") == BOTH.split(",")


def test_the_verification_can_warn_only_be_off_and_be_told_what_is_meant(
    polyarch: Program, foreign: str, context: Path
) -> None:
    warned = build(polyarch, context, foreign, "--verify-platforms=warn")
    assert "WARNING: [linux/arm64] the entrypoint serve" in warned.stderr
    silent = build(polyarch, context, foreign, "--verify-platforms=off")
    assert "a binary for" not in silent.stderr
    meant = foreign.replace("ENTRYPOINT", "LABEL org.polyarch.check.allow=/opt\nENTRYPOINT")
    assert "/opt/helper" not in build(polyarch, context, meant, "--verify-platforms=warn").stderr
    assert polyarch("check", "app", check=False).status == 1


def test_what_a_run_leaves_is_verified_where_it_lies(polyarch: Program, foreign: str, context: Path) -> None:
    need("crun", "qemu-aarch64-static")
    dockerfile = (
        "FROM busybox AS tools\nCOPY helper /opt/\nFROM tools\nRUN cp /opt/helper /srv-helper && rm /opt/helper\n"
    )
    result = build(polyarch, context, dockerfile, "-o", f"type=local,dest={context / 'out'}")
    assert "WARNING: [linux/arm64] /srv-helper: a binary for amd64" in result.stderr


def test_a_partial_build_leaves_out_the_platform_that_would_not_start(
    polyarch: Program, foreign: str, context: Path
) -> None:
    result = build(polyarch, context, foreign, "--partial", check=False)
    assert result.status == 1
    assert has(polyarch, "app") == ["linux/amd64"]
    polyarch("check", "app")


# Flags that docker's users type


@pytest.mark.parametrize(
    "flags",
    [
        ["--rm"],
        ["--force-rm"],
        ["--rm=false", "--force-rm=true", "--compress"],
        ["--builder", "default"],
        ["--attest", "type=provenance,disabled=true", "--attest=type=sbom,disabled=true"],
        ["--provenance=false", "--sbom=0"],
    ],
)
def test_flags_of_docker_that_change_nothing_leave_the_context_alone(
    polyarch: Program, context: Path, flags: list[str]
) -> None:
    trees.write(context, {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    assert polyarch("build", "-q", *flags, context).stdout.startswith("sha256:")
