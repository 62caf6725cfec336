"""`explain`: what a build did, or would do, and why."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import trees
from tests.needs import need
from tests.program import Program

pytestmark = pytest.mark.integration
BOTH = "linux/amd64,linux/arm64"
DOCKERFILE = """
FROM busybox
ARG WORD=one
COPY a b /data/
RUN echo $WORD > /word
RUN echo last > /last
"""


@pytest.fixture
def build(polyarch: Program, busybox: str, tmp_path: Path) -> Callable[..., Any]:
    """Change files, build the context, and return what `explain` says of each step for amd64."""
    need("crun", "qemu-aarch64-static")
    trees.write(tmp_path / "context", {"Dockerfile": DOCKERFILE, "a": "1", "b": "1"})

    def built(*flags: str, status: int = 0, **files: str) -> dict[str, dict[str, Any]]:
        trees.write(tmp_path / "context", files)
        context = tmp_path / "context"
        result = polyarch("build", "--platform", BOTH, "-t", "app", *flags, context, check=False)
        assert result.status == status, str(result)
        return steps(polyarch("explain", "--json", "app").json())

    return built


def steps(document: dict[str, Any], platform: str = "linux/amd64") -> dict[str, dict[str, Any]]:
    """The steps for a platform, by the beginning of their instruction."""
    found = {}
    for step in document["steps"]:
        if platform in step["platforms"] and step["kind"] != "Context":
            text = re.sub(r"^\[.*?\] ", "", step["name"])
            found[" ".join(text.partition("@")[0].split()[:2])] = step
    return found


def why(step: dict[str, Any]) -> str:
    return "; ".join(step["reasons"])


def test_a_step_that_waits_for_a_locked_cache_holds_up_no_other_and_its_waiting_is_told(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    # More that wait than there are places at work.
    count = (os.cpu_count() or 2) + 1
    mount = "--mount=type=cache,target=/c,id=one,sharing=locked"
    run = f"RUN {mount} test ! -e /c/busy && touch /c/busy && sleep 0.6 && rm /c/busy && touch /out"
    stages = [f"FROM {busybox} AS s{number}\n{run} && echo {number}\n" for number in range(count)]
    free = f"FROM {busybox} AS free\nRUN echo free >/out\n"
    copies = "".join(f"COPY --from={name} /out /{name}\n" for name in ("free", *(f"s{each}" for each in range(count))))
    trees.write(tmp_path / "context", {"Dockerfile": f"{''.join(stages)}{free}FROM scratch\n{copies}"})
    polyarch("build", "-t", "app", tmp_path / "context")
    said = polyarch("explain", "--json", "app").json()
    locked = [one for one in said["steps"] if mount in one["name"]]
    waited = sorted(one["waited"] for one in locked)
    assert waited[0] == 0 < waited[1]
    # The last waits for the whole of the one before it.
    assert waited[-1] >= 0.6
    assert all(one["seconds"] >= 0.6 for one in locked)
    other = next(one for one in said["steps"] if "echo free" in one["name"])
    assert other["begun"] < min(one["begun"] + one["seconds"] for one in locked if one["waited"] == 0)
    table, _, advice = polyarch("explain", "app").stdout.partition("Advice:")
    assert re.search(r"\d\.\d s, waited \d\.\d s", table)
    assert "sharing=locked" in advice


def test_the_first_build_has_nothing_to_be_compared_with(build: Callable[..., Any], polyarch: Program) -> None:
    first = build()
    assert list(first) == ["FROM busybox", "COPY a", "RUN echo"]
    assert first["FROM busybox"]["cached"]
    assert "no earlier build" in why(first["COPY a"])
    table = polyarch("explain", "app").stdout
    assert table.startswith("app:latest for linux/amd64, linux/arm64, built ")
    assert "native" in table
    assert "emulated" in table


def test_a_file_that_changed_is_named_and_what_follows_refers_to_it(build: Callable[..., Any]) -> None:
    build()
    second = build(a="2")
    assert why(second["COPY a"]) == "files changed: a"
    assert "[1/3] COPY a b /data/ was rebuilt" in why(second["RUN echo"])
    third = build(Dockerfile=DOCKERFILE.replace("a b", "a* b"), ab="new")
    assert "files new: ab" in why(third["COPY a*"])
    assert "the instruction was: COPY a b /data/" in why(third["COPY a*"])


def test_an_argument_that_changed_is_named_with_both_values(build: Callable[..., Any]) -> None:
    build()
    second = build("--build-arg", "WORD=two")
    assert second["COPY a"]["cached"]
    assert why(second["RUN echo"]) == "the argument or variable WORD changed: 'one' → 'two'"


def test_a_setting_of_RUN_that_changed_is_named(build: Callable[..., Any]) -> None:
    build("--ulimit", "nofile=64")
    found = build("--ulimit", "nofile=64:128", "--network", "none")
    assert """ulimits changed: '[["nofile",64,64]]' → '[["nofile",64,128]]'""" in why(found["RUN echo"])
    assert "network changed: 'default' → 'none'" in why(found["RUN echo"])


def test_a_base_that_changed_is_named(
    build: Callable[..., Any], polyarch: Program, tmp_path: Path, busybox_tars: dict[str, Path]
) -> None:
    build()
    import tarfile

    for platform in BOTH.split(","):
        tar = tmp_path / "more.tar"
        tar.write_bytes(busybox_tars[platform].read_bytes())
        with tarfile.open(tar, "a") as archive:
            archive.addfile(tarfile.TarInfo("more"))
        polyarch("import", "--platform", platform, tar, "busybox")
    second = build()
    assert re.fullmatch(r"the base image changed: [0-9a-f]{12} → [0-9a-f]{12}", why(second["FROM busybox"]))
    assert why(second["COPY a"]) == "FROM busybox changed"
    assert not second["COPY a"]["cached"]


def test_a_build_of_which_all_is_cached_says_so(build: Callable[..., Any], polyarch: Program) -> None:
    build()
    second = build()
    assert all(step["cached"] for step in second.values())
    assert why(second["RUN echo"]) == ""
    unwanted = build("--no-cache")
    assert {why(unwanted[name]) for name in ("COPY a", "RUN echo")} == {"caching was disabled (--no-cache)"}
    filtered = build("--no-cache-filter", "last", Dockerfile=DOCKERFILE.replace("busybox", "busybox AS last"))
    assert why(filtered["COPY a"]) == "caching was disabled (--no-cache-filter)"


def test_what_a_build_would_do_is_told_without_doing_it(
    build: Callable[..., Any], polyarch: Program, tmp_path: Path
) -> None:
    build()
    (tmp_path / "context" / "b").write_text("2")
    before = polyarch("images", "-q").stdout
    asked = ("explain", "--platform", BOTH, "--build-arg", "WORD=two")
    told = steps(polyarch(*asked, "--json", tmp_path / "context").json())
    assert why(told["COPY a"]) == "files changed: b"
    assert "WORD changed: 'one' → 'two'" in why(told["RUN echo"])
    assert "to do" in polyarch(*asked, "-f", tmp_path / "context" / "Dockerfile", tmp_path / "context").stdout
    assert polyarch("images", "-q").stdout == before
    assert why(build(b="2")["COPY a"]) == "files changed: b"


def test_a_build_that_failed_is_told_too(build: Callable[..., Any], polyarch: Program, tmp_path: Path) -> None:
    build()
    build(status=1, Dockerfile=DOCKERFILE + "RUN false\n")
    # The platform that fails first has the error. The other one may be canceled before it fails.
    failed = [step for step in polyarch("explain", "--json", "app").json()["steps"] if "RUN false" in step["name"]]
    assert any("exit code: 1" in step.get("error", "") for step in failed)
    assert "failed" in polyarch("explain", "app").stdout


def test_a_long_run_under_emulation_comes_with_advice(build: Callable[..., Any], polyarch: Program) -> None:
    build(Dockerfile="FROM busybox\nRUN sleep 1.1\n")
    document = polyarch("explain", "--json", "app").json()
    (said,) = document["advice"]
    assert "RUN sleep 1.1" in said
    assert "linux/arm64" in said
    assert "$BUILDPLATFORM" in said
    (cost,) = document["emulation"]
    assert (cost["platform"], cost["basis"]) == ("linux/arm64", "the same command ran natively")
    assert 1.1 <= cost["native_seconds"] <= cost["seconds"]
    shown = polyarch("explain", "app").stdout.partition("Emulation:")[2]
    assert re.match(r"\n- linux/arm64: \d+(\.\d)? s emulated; a native machine would have taken about \d", shown)


def test_a_step_for_all_platforms_is_told_once(build: Callable[..., Any], polyarch: Program) -> None:
    first = "FROM --platform=$BUILDPLATFORM busybox AS one\nRUN echo 1 > /1\n"
    build(Dockerfile=f"{first}FROM scratch\nCOPY --from=one /1 /\n")
    lines = polyarch("explain", "app").lines()
    assert sum("RUN echo 1" in line for line in lines) == 1
    assert "all, once" in next(line for line in lines if "RUN echo 1" in line)


def test_the_age_of_a_build_is_by_the_clock(build: Callable[..., Any], polyarch: Program) -> None:
    build()
    shown = polyarch("explain", "app", env={"SOURCE_DATE_EPOCH": str(int(time.time()) + 86_400)}).stdout
    assert re.search(r"built (Less than a second|\d+ seconds?|About a minute) ago", shown)


def test_a_name_that_was_never_built_is_an_error(polyarch: Program, busybox: str) -> None:
    assert "there is no record of a build of busybox" in polyarch.fails("explain", "busybox").stderr
    assert polyarch.fails("explain").status == 2


def test_the_page_is_written_where_it_is_wanted(build: Callable[..., Any], polyarch: Program, tmp_path: Path) -> None:
    build()
    polyarch("explain", "--html", tmp_path / "page.html", "app")
    page = (tmp_path / "page.html").read_text()
    assert 'data-part="timeline"' in page
    assert polyarch("explain", "--html", "-", "app").stdout == page


def test_a_signal_under_emulation_is_explained_where_it_happens_and_later(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    need("crun", "qemu-aarch64-static")
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nRUN sh -c 'kill -SEGV $$' || exit $?\n"})
    emulated = polyarch("build", "-t", "app", "--platform", "linux/arm64", tmp_path / "context", check=False)
    assert emulated.status == 1
    assert "exit code: 139" in emulated.stderr
    assert re.search(r"SIGSEGV under qemu-aarch64 \d+\.\d+", emulated.stderr)
    said = polyarch("explain", "app").stdout
    assert re.search(r"Advice:\n- .*RUN sh -c 'kill -SEGV .* failed: SIGSEGV under qemu-aarch64 \d+\.\d+", said)
    native = polyarch("build", "--platform", "linux/amd64", tmp_path / "context", check=False)
    assert "exit code: 139" in native.stderr
    assert "qemu" not in native.stderr


def test_an_emulated_step_that_is_silent_for_long_gets_a_warning_and_a_native_one_does_not(
    polyarch: Program, busybox: str, tmp_path: Path
) -> None:
    need("crun", "qemu-aarch64-static")
    trees.write(tmp_path / "context", {"Dockerfile": f"FROM {busybox}\nRUN echo begun; sleep 2\n"})
    script = (
        "import sys; from polyarch.builder.perform import run; from polyarch.cli.execute import execute; "
        "run._SILENT_SECONDS = 0.6; sys.exit(execute(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "build", "--progress=plain", "--platform", BOTH, str(tmp_path / "context")]
    environment = {**os.environ, "POLYARCH_ROOT": str(polyarch.root), "HOME": str(polyarch.home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    warnings = [line for line in done.stderr.splitlines() if "no output for" in line]
    assert [line.partition(":")[0] for line in warnings] == ["WARNING"]
    assert "[linux/arm64] no output for 0 minutes: RUN /bin/sh -c echo begun; sleep 2" in warnings[0]
    assert "robust mutexes" in done.stderr
