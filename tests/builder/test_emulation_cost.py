"""What emulation cost: measured on the same step or command, by the ratio of others, or as it usually is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch import progress
from polyarch.builder.history import emulation
from polyarch.builder.history.record import How, StepRecord, StepRun
from polyarch.builder.vertices import NOTHING, BuildGraph, RunCommand, VertexId
from polyarch.oci import platform as platforms
from polyarch.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


class Build:
    """Steps that ran: `ran` adds one, `measured` gives all to `emulation.measured`, as a build does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.graph = BuildGraph()
        self.steps: list[StepRecord] = []
        self.events: list[progress.Event] = []

    def ran(self, command: str, platform: str, how: How, seconds: float, member: str = "", **more: bool) -> None:
        wanted = platforms.parse(platform)
        vertex = RunCommand(base=NOTHING, platform=wanted, argv=("/bin/sh", "-c", command), env=(), cwd="/")
        key = self.graph.add(vertex, f"[1/1] RUN {command}", wanted)
        self.steps.append(
            StepRecord(
                id=key,
                name=command,
                platforms=(platform,),
                kind="Run",
                seconds=seconds,
                ran=StepRun(how=how, member=member),
                **more,
            )
        )

    def measured(self) -> list[StepRecord]:
        return list(emulation.measured(self.steps, self.graph, lambda key: key, self.store, self.events.append))


def test_without_measurements_emulation_costs_what_it_usually_does(store: Store) -> None:
    build = Build(store)
    build.ran("make", "linux/arm64", "emulated", 41.0)
    (step,) = build.measured()
    assert step.ran.native_seconds == pytest.approx(41.0 / emulation.USUAL_RATIO)
    (cost,) = emulation.costs([step])
    assert str(cost) == (
        "linux/arm64: 41 s emulated; a native machine would have taken about 4.1 s "
        "(emulation usually takes about 10 times as long)"
    )
    assert build.events == [
        progress.Started("emulation linux/arm64", str(cost)),
        progress.Finished("emulation linux/arm64"),
    ]


def test_the_same_command_for_another_platform_shows_what_is_native(store: Store) -> None:
    build = Build(store)
    build.ran("make", "linux/amd64", "native", 4.0)
    build.ran("make", "linux/arm64", "emulated", 52.0, member="two")
    _, step = build.measured()
    assert (step.ran.native_seconds, step.ran.basis) == (4.0, "the same command ran natively")
    assert "a native member would have taken about 4.0 s" in str(emulation.costs([step])[0])


def test_the_same_step_on_a_native_member_counts_before_the_same_command(store: Store) -> None:
    first = Build(store)
    first.ran("make", "linux/amd64", "native", 4.0)
    first.ran("make", "linux/arm64", "native", 6.0, member="arm")
    first.measured()
    second = Build(store)
    second.ran("make", "linux/arm64", "emulated", 60.0)
    (step,) = second.measured()
    assert (step.ran.native_seconds, step.ran.basis) == (6.0, "the same step ran natively")


def test_other_commands_of_a_platform_give_their_median_ratio(store: Store) -> None:
    first = Build(store)
    for number, ratio in enumerate((2, 20, 5)):
        first.ran(f"step {number}", "linux/amd64", "native", 1.0)
        first.ran(f"step {number}", "linux/arm64", "emulated", float(ratio))
        first.ran(f"step {number}", "linux/s390x", "emulated", 100.0)
    first.measured()
    second = Build(store)
    second.ran("new", "linux/arm64", "emulated", 30.0)
    (step,) = second.measured()
    assert (step.ran.native_seconds, step.ran.basis) == (6.0, "other commands took 5.0 times as long")


def test_what_was_cached_short_or_failed_is_not_measured(store: Store) -> None:
    first = Build(store)
    first.ran("make", "linux/amd64", "native", 0.1)
    first.ran("all", "linux/amd64", "native", 4.0, cached=True)
    first.ran("cut", "linux/amd64", "native", 4.0, canceled=True)
    first.measured()
    second = Build(store)
    for command in ("make", "all", "cut"):
        second.ran(command, "linux/arm64", "emulated", 1.0)
    assert {step.ran.native_seconds for step in second.measured()} == {1.0 / emulation.USUAL_RATIO}
    assert second.events == []


def test_a_busy_machine_does_not_make_emulation_faster_than_a_native_machine(store: Store) -> None:
    build = Build(store)
    build.ran("make", "linux/amd64", "native", 9.0)
    build.ran("make", "linux/arm64", "emulated", 6.0)
    assert build.measured()[1].ran.native_seconds == 6.0


def test_a_native_platform_has_no_cost(store: Store) -> None:
    build = Build(store)
    build.ran("make", "linux/amd64", "native", 40.0)
    assert build.measured() == build.steps
    assert emulation.costs(build.steps) == ()
    assert VertexId(build.steps[0].id) in build.graph.vertices
