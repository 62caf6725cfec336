"""Builds with a farm of real processes: where steps run, what they make, and what the output says."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.farm.builds import Building, context_of, sleeps
from tests.farm.farms import Farm, farm, free_port, until
from tests.program import Program

ARM = "linux/arm64"


@pytest.fixture(scope="module")
def pair(builder: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm of two members: one native, and one that emulates arm64."""
    with farm(builder, tmp_path_factory.mktemp("pair"), silence=5) as opened:
        opened.member("native")
        opened.member("emulates", "--platform", ARM)
        yield opened


def steps_of(opened: Farm) -> dict[str, int]:
    return {row["Name"]: row["Steps"] for row in opened.status()["Members"]}


def test_a_build_is_spread_and_has_the_digest_of_a_local_one(
    pair: Farm, builder: Program, tmp_path: Path, busybox_store: Path
) -> None:
    lines = ("RUN echo built for $(uname -m) > /etc/built", "RUN cat /etc/built")
    context = context_of(tmp_path / "app", *lines)
    options = ["--platform", f"linux/amd64,{ARM}", "--reproducible", "--progress", "plain", "--provenance=false"]
    options += ["--metadata-file", str(tmp_path / "metadata")]
    before = steps_of(pair)
    far = builder("build", *options, context, env=pair.env)
    assert "built for x86_64" in far.stderr
    assert "built for aarch64" in far.stderr
    spread = json.loads((tmp_path / "metadata").read_text())["containerimage.digest"]
    bases.copy_store(busybox_store, tmp_path / "alone")
    builder.on(tmp_path / "alone")("build", *options, context)
    assert spread == json.loads((tmp_path / "metadata").read_text())["containerimage.digest"]
    # Both members did what they offer.
    assert far.stderr.count("on native: native") == 2
    assert far.stderr.count("on emulates: emulated") == 2
    # Steps of an earlier build may be counted only now.
    until(lambda: all(steps >= before[name] + 2 for name, steps in steps_of(pair).items()), "the steps of both", 10)
    (note,) = (build for build in pair.status()["Builds"] if build["Name"] == str(context))
    assert (note["Outcome"], note["Steps"], note["Moved"]) == ("done", 4, 0)
    # A second build finds everything in the cache, and does not need the farm.
    nowhere = f"tls://127.0.0.1:{free_port()}"
    again = builder("build", *options, context, env={"POLYARCH_FARM": nowhere, **certificates(pair)})
    assert "CACHED" in again.stderr
    assert f"the farm {nowhere} cannot be reached: Connection refused; no step had to run" in again.stderr


def certificates(opened: Farm) -> dict[str, str]:
    return {"POLYARCH_FARM_CERT": str(opened.certificates)}


def test_a_platform_without_a_member_is_an_error_before_anything_runs(
    pair: Farm, builder: Program, tmp_path: Path
) -> None:
    context = context_of(tmp_path, "RUN echo one-$RANDOM")
    said = builder.fails("build", "--platform", f"{ARM},linux/s390x", "--no-cache", context, env=pair.env).stderr
    assert "no member of the farm" in said
    assert "runs linux/s390x; its members" in said
    assert "emulates: linux/arm64 (emulated)" in said
    assert "native: linux/amd64" in said
    assert "--farm-fallback" in said
    assert "one-" not in said.replace("one-$RANDOM", "")


def test_a_platform_without_a_member_runs_here_if_that_is_allowed(pair: Farm, builder: Program, tmp_path: Path) -> None:
    context = context_of(tmp_path, "RUN uname -m")
    done = builder(
        *("build", "--progress", "plain", "--platform", "linux/s390x", "--no-cache", "--farm-fallback", context),
        env=pair.env,
    )
    assert "no member of the farm runs linux/s390x: its steps run on this machine" in done.stderr
    assert "s390x" in done.stderr


def test_a_step_that_fails_is_not_tried_elsewhere(pair: Farm, builder: Program, tmp_path: Path) -> None:
    context = context_of(tmp_path, "RUN echo only once; exit 7")
    said = builder.fails("build", "--progress", "plain", "--no-cache", context, env=pair.env).stderr
    assert "exit code: 7" in said
    assert "moves" not in said
    assert "Dockerfile:2" in said


def test_options_of_a_farm_need_a_farm(builder: Program, tmp_path: Path) -> None:
    context = context_of(tmp_path, "RUN true")
    assert "these options need a farm" in builder.fails("build", "--farm-fallback", context).stderr
    said = builder.fails("build", "--farm", f"tls://127.0.0.1:{free_port()}", context).stderr
    assert "no certificate at" in said


def test_a_scheduler_that_is_not_there_is_named(pair: Farm, builder: Program, tmp_path: Path) -> None:
    context = context_of(tmp_path, "RUN echo nothing")
    address = f"tls://127.0.0.1:{free_port()}"
    said = builder.fails("build", "--no-cache", "--farm", address, context, env=certificates(pair)).stderr
    assert f"{address} cannot be reached: nothing listens there" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_build_ends_its_steps_elsewhere_within_two_seconds(
    pair: Farm, tmp_path: Path, number: int
) -> None:
    seconds = f"93{number:02}"
    context = context_of(tmp_path, f"RUN echo begun; sleep {seconds}")
    building = Building(pair, ["--no-cache", context])
    until(lambda: sleeps(seconds), f"sleep {seconds}: {building.said}")
    building.process.send_signal(number)
    began = time.monotonic()
    until(lambda: not sleeps(seconds), "the step to end", 2)
    assert time.monotonic() - began < 2
    building.ended()


BAKE = f"""
group "default" {{ targets = ["a", "b"] }}
target "a" {{ platforms = ["linux/amd64"] }}
target "b" {{ platforms = ["{ARM}"] }}
"""
COMPOSE = f"""
services:
  a: {{image: far-a, build: {{context: ., platforms: [linux/amd64]}}}}
  b: {{image: far-b, build: {{context: ., platforms: [{ARM}]}}}}
"""


@pytest.mark.parametrize(
    ("command", "file", "text"),
    [(("bake",), "docker-bake.hcl", BAKE), (("compose", "build"), "compose.yaml", COMPOSE)],
    ids=["bake", "compose"],
)
def test_targets_of_one_file_are_spread(
    pair: Farm, builder: Program, tmp_path: Path, command: tuple[str, ...], file: str, text: str
) -> None:
    context = context_of(tmp_path, "RUN echo built for $(uname -m)")
    (context / file).write_text(text)
    said = builder(
        *command, "--farm", pair.address, "--no-cache", "--progress", "plain", cwd=context, env=certificates(pair)
    ).stderr
    assert "built for x86_64" in said
    assert "built for aarch64" in said
    assert "on native: native" in said
    assert "on emulates: emulated" in said


def test_another_command_gets_what_a_busy_member_has_made(
    pair: Farm, builder: Program, tmp_path: Path, busybox_store: Path
) -> None:
    lines = ["RUN cat /proc/sys/kernel/random/uuid > /one", "RUN echo made $(cat /one)"]
    context = context_of(tmp_path / "app", *lines)
    options = ["--progress", "plain", "--reproducible"]
    said = builder("build", *options, context, env=pair.env).stderr
    (made,) = re.findall("made ([0-9a-f-]{36})", said)
    bases.copy_store(busybox_store, tmp_path / "elsewhere")
    busy = Building(pair, ["--no-cache", context_of(tmp_path / "busy", "RUN sleep 97.01")])
    idle = None
    try:
        until(lambda: sleeps("97.01"), f"sleep: {busy.said}")
        idle = pair.member("idle")
        context_of(tmp_path / "app", *lines, "RUN echo again $(cat /one)")
        said = builder.on(tmp_path / "elsewhere")("build", *options, context, env=pair.env).stderr
        assert said.count("on native: it had the result") == 2
        # What no member has made goes to the free one.
        assert said.count("on idle: native") == 1
        assert f"again {made}" in said
        assert sleeps("97.01")
    finally:
        busy.process.send_signal(signal.SIGTERM)
        busy.ended()
        # The other tests have a farm of two.
        if idle is not None:
            idle.end()
            until(lambda: "idle" not in steps_of(pair), "the member to leave", 10)
