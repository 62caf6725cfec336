"""What a farm does when members, networks, disks, clocks and schedulers fail: the step moves on, once."""

import os
import re
import signal
import subprocess
from pathlib import Path

from tests.farm.builds import Building, busy, context_of, descendants, moved, signal_all, sleeps
from tests.farm.farms import Farm, Started, until
from tests.farm.proxies import proxy
from tests.needs import need_root
from tests.program import Program


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


def end_step(member: Started, seconds: str) -> None:
    """End the `sleep` of a step on a member, as soon as it is there."""
    (process,) = until(lambda: set(sleeps(seconds)) & set(descendants(member.process.pid)), "the step")
    os.kill(process, signal.SIGTERM)


def test_a_step_whose_member_is_cut_off_moves_on_once(small: Farm, tmp_path: Path) -> None:
    with proxy(int(small.address.rpartition(":")[2])) as cable:
        members = [small.member("cut", address=f"tls://127.0.0.1:{cable.port}")]
        context = context_of(tmp_path, "RUN sleep 60.02 || echo done")
        building = Building(small, ["--no-cache", context])
        until(lambda: sleeps("60.02"), f"the step: {building.said}")
        there = small.member("there")
        cable.is_cut = True
        until(lambda: moved(building.said), f"the step to move: {building.said}")
        end_step(there, "60.02")
        said = building.succeeds()
        assert moved(said) == ["cut to there"]
        assert "cut off" in said
        # The step that nobody wants any more has ended, too.
        until(lambda: not sleeps("60.02"), "the step to end", 5)
        cable.is_cut = False
        members[0].waits_for("it starts again")


def test_a_step_that_fills_the_disk_of_a_member_moves_on_once(small: Farm, tmp_path: Path) -> None:
    need_root()
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
