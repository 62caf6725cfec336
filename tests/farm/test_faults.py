"""What a farm does when members, networks, disks, clocks and schedulers fail: the step moves on, once."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.farm.builds import Building, busy, context_of, signal_all, sleeps
from tests.farm.farms import Farm, farm, until
from tests.farm.proxies import proxy
from tests.program import Program


@pytest.fixture(scope="module")
def builder(busybox_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    place = tmp_path_factory.mktemp("builder")
    (place / "home").mkdir()
    bases.copy_store(busybox_store, place / "store")
    return Program(place / "store", place / "home")


@pytest.fixture
def small(builder: Program, tmp_path: Path) -> Iterator[Farm]:
    """A farm without members, which notices after three seconds that one is cut off."""
    with farm(builder, tmp_path / "farm", silence=3) as opened:
        yield opened


def moved(said: str) -> list[str]:
    return re.findall(r"moves from (\w+ to \w+)", said)


def test_a_step_whose_member_is_killed_moves_on_once(small: Farm, tmp_path: Path) -> None:
    members = [small.member("a"), small.member("b")]
    context = context_of(tmp_path, "RUN sleep 3.01; echo done", "RUN echo and the next")
    building = Building(small, ["--no-cache", context])
    (process,) = until(lambda: sleeps("3.01"), f"the step: {building.said}")
    hit = busy(members, process)
    signal_all(members[hit], signal.SIGKILL)
    said = building.succeeds()
    assert moved(said) == ["a to b" if hit == 0 else "b to a"]
    assert "ended in the middle of the step" in said
    assert "and the next" in said
    assert not sleeps("3.01")


def test_a_step_whose_member_is_cut_off_moves_on_once(small: Farm, tmp_path: Path) -> None:
    with proxy(int(small.address.rpartition(":")[2])) as cable:
        members = [small.member("cut", address=f"tls://127.0.0.1:{cable.port}")]
        context = context_of(tmp_path, "RUN sleep 8.02; echo done")
        building = Building(small, ["--no-cache", context])
        until(lambda: sleeps("8.02"), f"the step: {building.said}")
        small.member("there")
        cable.is_cut = True
        said = building.succeeds()
        assert moved(said) == ["cut to there"]
        assert "cut off" in said
        # The step that nobody wants any more has ended, too.
        until(lambda: not sleeps("8.02"), "the step to end", 5)
        cable.is_cut = False
        members[0].waits_for("it starts again")


def test_a_step_that_stands_still_moves_on_after_the_time_that_it_may_take(small: Farm, tmp_path: Path) -> None:
    members = [small.member("a"), small.member("b")]
    context = context_of(tmp_path, "RUN sleep 1.03; echo done")
    building = Building(small, ["--no-cache", "--farm-timeout", "2.5", context])
    (process,) = until(lambda: sleeps("1.03"), f"the step: {building.said}")
    hit = busy(members, process)
    signal_all(members[hit], signal.SIGSTOP)
    try:
        said = building.succeeds()
    finally:
        signal_all(members[hit], signal.SIGCONT)
    assert moved(said) == ["a to b" if hit == 0 else "b to a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_step_that_fills_the_disk_of_a_member_moves_on_once(small: Farm, tmp_path: Path) -> None:
    disk = small.directory / "store-little"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        little = small.member("little")
        context = context_of(tmp_path, "RUN sleep 6.04; head -c 30000000 /dev/urandom > /big")
        building = Building(small, ["--no-cache", context])
        until(lambda: sleeps("6.04"), f"the step: {building.said}")
        small.member("roomy")
        said = building.succeeds()
        assert moved(said) == ["little to roomy"]
        assert re.search("full|No space left", said)
        little.end()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


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


def test_a_lost_scheduler_is_named_and_what_was_done_is_kept(small: Farm, builder: Program, tmp_path: Path) -> None:
    small.member("a")
    context = context_of(tmp_path, "RUN echo kept-$(date +%s)", "RUN sleep 9.06")
    building = Building(small, [context])
    until(lambda: sleeps("9.06"), f"the second step: {building.said}")
    small.scheduler.end(signal.SIGKILL)
    assert building.ended() == 1
    assert f"the scheduler of the farm {small.address} was lost while 1 step ran" in building.said
    assert "what was done before is in the cache" in building.said
    until(lambda: not sleeps("9.06"), "the step to end", 5)
    small.start_scheduler()
    context_of(tmp_path, "RUN echo kept-$(date +%s)", "RUN echo goes on")
    again = builder("build", "--progress", "plain", context, env={"POLYARCH_FARM": ""})
    assert "CACHED" in again.stderr


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


def test_certificates_of_another_authority_do_not_build(small: Farm, builder: Program, tmp_path: Path) -> None:
    builder("farm", "init", tmp_path / "other")
    context = context_of(tmp_path / "app", "RUN true")
    environment = {**small.env, "POLYARCH_FARM_CERT": str(tmp_path / "other")}
    said = builder.fails("build", "--no-cache", context, env=environment).stderr
    assert "the certificates are not of the same authority" in said
