"""Tests of farms that take too long for every run of the tests: `make farm-test`."""

import os
import signal
from pathlib import Path

import pytest

from tests.farm import distant
from tests.farm.builds import Building, busy, context_of, descendants, moved, signal_all, sleeps
from tests.farm.farms import Farm, free_port, until
from tests.farm.proxies import proxy
from tests.farm.test_up import joins
from tests.needs import need_root
from tests.program import Program


class _Begun:
    """A build whose step runs on one of two members: `hit`, and after the step has `moved`, the other one."""

    def __init__(self, farm: Farm, directory: Path, seconds: str, *options: str) -> None:
        members = [farm.member("a"), farm.member("b")]
        context = context_of(directory, f"RUN sleep {seconds}; echo done")
        self.building = Building(farm, ["--no-cache", *options, context])
        (process,) = until(lambda: sleeps(seconds), f"the step: {self.building.said}")
        at = busy(members, process)
        self.hit = members[at]
        self.moved = ["a to b" if at == 0 else "b to a"]

    def succeeds_while_its_member_stands_still(self) -> str:
        """The output of the build. The connections of the member stay open."""
        signal_all(self.hit, signal.SIGSTOP)
        try:
            return self.building.succeeds()
        finally:
            signal_all(self.hit, signal.SIGCONT)


def test_a_step_that_stands_still_moves_on_after_the_time_that_it_may_take(small: Farm, tmp_path: Path) -> None:
    begun = _Begun(small, tmp_path, "1.03", "--farm-timeout", "2.5")
    assert moved(begun.succeeds_while_its_member_stands_still()) == begun.moved


def test_a_step_of_a_machine_that_stands_still_moves_on_without_a_limit(small: Farm, tmp_path: Path) -> None:
    begun = _Begun(small, tmp_path, "2.08")
    said = begun.succeeds_while_its_member_stands_still()
    assert moved(said) == begun.moved
    assert "was cut off" in said


def test_a_step_whose_performer_is_stopped_moves_on(small: Farm, tmp_path: Path) -> None:
    begun = _Begun(small, tmp_path, "2.09")
    # The member, its worker process, what performs its steps.
    os.kill(descendants(begun.hit.process.pid)[2], signal.SIGSTOP)
    said = begun.building.succeeds()
    assert moved(said) == begun.moved
    assert "the process that did the step stood still for 3 s" in said


def test_a_step_moves_on_when_its_machine_becomes_slow(small: Farm, tmp_path: Path) -> None:
    flag = tmp_path / "slow"
    code = (
        "import os, polyarch.farm.report as report\nreal = report.speed\n"
        f"report.speed = lambda loops=5: real(loops) / (20 if os.path.exists({str(flag)!r}) else 1)\n"
    )
    small.env |= other(tmp_path / "other", code)
    small.member("tires")
    del small.env["PYTHONPATH"]
    building = Building(small, ["--no-cache", context_of(tmp_path / "app", "RUN sleep 20.1")])
    until(lambda: sleeps("20.1"), f"the step: {building.said}")
    small.member("fresh")
    flag.touch()
    said = building.succeeds()
    assert moved(said) == ["tires to fresh"]
    assert "its machine has become slow" in said
    assert "on fresh: native" in said


def test_a_step_that_takes_long_is_not_moved(small: Farm, tmp_path: Path) -> None:
    small.member("a")
    building = Building(small, ["--no-cache", context_of(tmp_path, "RUN sleep 15.1")])
    until(lambda: sleeps("15.1"), f"the step: {building.said}")
    small.member("b")
    # Five times the silence after which a member counts as cut off.
    said = building.succeeds()
    assert moved(said) == []
    assert "on a: native" in said


def test_a_build_behind_a_forwarded_port_is_reached(small: Farm, builder: Program, tmp_path: Path) -> None:
    small.member("a")
    context = context_of(tmp_path, "RUN echo through the gate")
    port = free_port()
    with proxy(port) as gate:
        options = ["--farm-listen", f"127.0.0.1:{port}", "--farm-contact", f"127.0.0.1:{gate.port}"]
        done = builder("build", "--no-cache", "--progress", "plain", *options, context, env=small.env)
        assert "on a: native" in done.stderr
    nowhere = f"127.0.0.1:{free_port()}"
    said = builder.fails("build", "--no-cache", *options[:2], "--farm-contact", nowhere, context, env=small.env).stderr
    assert f"a cannot reach the build at {nowhere}" in said


def test_a_step_that_two_members_cannot_do_fails_with_both_reasons(small: Farm, tmp_path: Path) -> None:
    members = [small.member("a"), small.member("b"), small.member("c")]
    context = context_of(tmp_path, "RUN sleep 9.05")
    building = Building(small, ["--no-cache", context])
    for _ in range(2):
        (process,) = until(lambda: sleeps("9.05"), f"the step: {building.said}")
        signal_all(members[busy(members, process)], signal.SIGKILL)
        until(lambda process=process: process not in sleeps("9.05"), "the step to end", 5)  # type: ignore[misc]
    assert building.ended() == 1
    assert len(moved(building.said)) == 1
    assert "not done by the farm: " in building.said
    assert not sleeps("9.05")


def other(directory: Path, text: str) -> dict[str, str]:
    """The environment of processes that differ from others as the text of a module says."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": str(directory)}


def test_a_member_of_another_version_is_named_and_not_used(small: Farm, builder: Program, tmp_path: Path) -> None:
    code = "import polyarch.version\npolyarch.version.VERSION = '0.0.9'\n"
    small.env |= other(tmp_path / "other", code)
    small.member("old")
    del small.env["PYTHONPATH"]
    context = context_of(tmp_path / "app", "RUN true")
    said = builder.fails("build", "--no-cache", "--platform", "linux/s390x", context, env=small.env).stderr
    assert "no member of the farm" in said
    assert "old: linux/amd64" in said
    assert "Polyarch 0.0.9" in said
    small.member("new")
    done = builder("build", "--no-cache", "--progress", "plain", context, env=small.env)
    assert "member old of the farm: it has Polyarch 0.0.9 and is not used" in done.stderr
    steps = {row["Name"]: row["Steps"] for row in until(lambda: small.status()["Members"], "members")}
    assert steps["old"] == 0
    assert "it has Polyarch 0.0.9" in builder("farm", "status", env=small.env).stdout


def test_a_wrong_clock_is_named(small: Farm, builder: Program, tmp_path: Path) -> None:
    code = "import time\nreal = time.time\ntime.time = lambda: real() + 200\n"
    small.env |= other(tmp_path / "other", code)
    small.member("early")
    del small.env["PYTHONPATH"]

    def shown() -> bool:
        return "its clock is 200 s ahead of the scheduler's" in builder("farm", "status", env=small.env).stdout

    until(shown, "the clock in farm status", 20)
    context = context_of(tmp_path / "app", "RUN true")
    done = builder("build", "--no-cache", "--progress", "plain", context, env=small.env)
    assert "member early of the farm: its clock is 200 s ahead" in done.stderr


def test_the_workers_of_another_cluster_class_become_members(program: Program, tmp_path: Path) -> None:
    joins(program, tmp_path, "distributed.deploy.subprocess:SubprocessCluster", secure=False)


@pytest.mark.parametrize("length", [2, 8])
def test_a_chain_on_distant_members_needs_as_many_connections_whatever_its_length(
    builder: Program, tmp_path: Path, length: int
) -> None:
    need_root()
    platforms = ("linux/amd64", "linux/arm64")
    with distant.distant_farm(builder, tmp_path / "farm", platforms) as (opened, far):
        found = distant.measure(opened, far, tmp_path / "context", length, platforms)
        assert found.steps == length * len(platforms)
        assert found.seconds >= found.chain >= found.least
        # One for the steps, and one for the layers below them.
        assert [far.connections(number) for number in range(len(platforms))] == [2, 2]
