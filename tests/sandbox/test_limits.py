"""Limits by cgroups: those of this machine as root, and a made-up tree of v2."""

import os
from pathlib import Path

import pytest

from polyarch.errors import UnsupportedError
from polyarch.sandbox.limits import Cgroup, Limits
from tests.needs import elsewhere, need_root
from tests.program import Program

ALL = Limits(memory=64 << 20, swap=96 << 20, cpus=1.5, shares=1024, pids=9, cpuset="0")


def _tree(top: Path, enabled: str) -> tuple[str, str]:
    """A tree of v2 in which this process is in app/one, and app was delegated. The root, and /proc/self/cgroup."""
    for place in ("", "app", "app/one"):
        (top / place).mkdir(exist_ok=True)
        (top / place / "cgroup.procs").touch()
        (top / place / "cgroup.subtree_control").write_text(enabled if place == "app" else "")
    (top / "cgroup.controllers").write_text("cpuset cpu memory pids")
    own = top.with_name("own")
    own.write_text("0::/app/one\n")
    return str(top), str(own)


def test_limits_are_written_as_cgroup_v2_has_them(tmp_path: Path) -> None:
    root, own = _tree(tmp_path / "cgroup", "cpuset cpu memory pids")
    cgroup = Cgroup(ALL, root=root, own=own)
    made = next(Path(root, "app").glob("polyarch-*"))
    procs = {place: Path(root, place, "cgroup.procs") for place in ("app/one", f"app/{made.name}")}
    with cgroup.starting():
        assert procs[f"app/{made.name}"].read_text() == str(os.getpid())
        assert Path(made, "pids.max").read_text() == "max"
    assert procs["app/one"].read_text() == str(os.getpid())
    written = {path.name: path.read_text() for path in made.iterdir() if path.name != "cgroup.procs"}
    assert written == {
        "memory.max": "67108864",
        "memory.swap.max": "33554432",
        "cpu.max": "150000 100000",
        "cpu.weight": "39",
        # Two processes are the runtime's.
        "pids.max": "11",
        "cpuset.cpus": "0",
    }
    cgroup.close()


def test_controllers_that_are_not_enabled_are_asked_for(tmp_path: Path) -> None:
    root, own = _tree(tmp_path / "cgroup", "pids")
    Cgroup(Limits(memory=1 << 20, pids=5), root=root, own=own).close()
    assert Path(root, "app/cgroup.subtree_control").read_text() == "+memory"


def test_a_place_without_delegation_is_an_error(tmp_path: Path) -> None:
    root, own = _tree(tmp_path / "cgroup", "")
    for path in Path(root).rglob("cgroup.procs"):
        path.unlink()
    with pytest.raises(UnsupportedError, match="no cgroup with memory is delegated to this user"):
        Cgroup(Limits(memory=1 << 20), root=root, own=own)


def _hierarchies() -> list[Path]:
    return [
        place for place in (Path("/sys/fs/cgroup", name) for name in ("memory", "pids", "cpu", "")) if place.is_dir()
    ]


def _left() -> list[Path]:
    return [path for place in _hierarchies() for path in place.glob("polyarch-*")]


@pytest.mark.integration
def test_root_can_limit_memory_processes_and_processors(polyarch: Program, busybox: str) -> None:
    need_root()
    if not os.access("/sys/fs/cgroup/memory", os.W_OK) and not os.access(
        "/sys/fs/cgroup/cgroup.subtree_control", os.W_OK
    ):
        elsewhere("it lets root make no cgroups")
    before = _left()
    large = polyarch(
        "run", "-m", "20m", busybox, "dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1", check=False
    )
    assert large.status == 137, large
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; echo all"
    many = polyarch("run", "--pids-limit", "5", busybox, "sh", "-c", script, check=False)
    assert "can't fork" in many.stderr
    assert (
        polyarch("run", "--cpus", "0.5", "-m", "64m", "--pids-limit", "20", busybox, "echo", "fits").stdout == "fits\n"
    )
    assert _left() == before


@pytest.mark.integration
def test_without_a_cgroup_one_line_says_so(unprivileged, busybox_store: Path) -> None:  # type: ignore[no-untyped-def]
    from tests import bases

    bases.copy_store(busybox_store, unprivileged.polyarch.root)
    unprivileged.give(unprivileged.polyarch.root)
    if os.access("/sys/fs/cgroup/cgroup.controllers", os.R_OK):
        elsewhere("a cgroup may be delegated to the user")
    done = unprivileged.polyarch("run", "-m", "20m", "--cpus", "1", "busybox", "echo", "runs")
    assert done.stdout == "runs\n"
    assert done.stderr.count("limits have no effect") == 1
