"""A process that runs: how it is stopped, what happens when it crashes as process 1, and how much memory it used."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import Room, inside

Bases = dict[str, Path]

pytestmark = pytest.mark.integration


def _shell(room: Room, script: str, **settings: Any) -> Any:
    from polyarch.sandbox import Process

    return Process(argv=("/bin/sh", "-c", script), env=("PATH=/bin",), **settings)


def _crashes(room: Room) -> list[object]:
    began = time.monotonic()
    found: list[object] = [room.run(f"kill -{name} $$; echo lived", "linux/arm64").status for name in ("SEGV", "ABRT")]
    # With a thread or child of the program that goes on: the whole container ends.
    found.append(room.run("sleep 100 & kill -ILL $$", "linux/arm64").status)
    return [*found, time.monotonic() - began < 20]


def test_an_emulated_process_1_that_crashes_ends_with_the_signal(someone: Person, two_platforms: Bases) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _crashes, two_platforms) == [139, 134, 132, True]


def _waits_for_a_signal(room: Room) -> list[object]:
    """A shell that handles a signal and one that waits in `read` are not taken for crashed."""
    script = "trap 'echo caught' USR1; (sleep 1; kill -USR1 $$) & wait; sleep 1; echo done"
    ran = room.run(script, "linux/arm64")
    return [ran.status, ran.output.split()]


def test_an_emulated_process_that_handles_its_signals_goes_on(someone: Person, two_platforms: Bases) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _waits_for_a_signal, two_platforms) == [0, ["caught", "done"]]


def _stopped(room: Room) -> dict[str, object]:
    """How long a stop takes with 2 seconds of grace, and the status; for the shell in each of these states."""
    scripts = {
        "handles": "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done",
        "does nothing": "echo ready; while :; do sleep 0.05; done",
        "ignores": "trap '' TERM; echo ready; while :; do sleep 0.05; done",
    }
    found: dict[str, object] = {}
    for name, script in scripts.items():
        output: list[bytes] = []
        with (
            room.rootfs() as (root, _),
            room.sandbox.start(_shell(room, script), root, stdout=output.append) as running,
        ):
            while not output:
                assert running.wait(0.02) is None
            began = time.monotonic()
            status = running.stop(grace=2)
            found[name] = [status, time.monotonic() - began >= 2, running.wait()]
    return found


def test_a_stopped_process_has_its_grace_period_and_then_is_killed(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _stopped, amd64) == {
        "handles": [3, False, 3],
        # As process 1 it would never see the signal.
        "does nothing": [143, False, 143],
        "ignores": [137, True, 137],
    }


def _stopped_emulated(room: Room) -> list[object]:
    output: list[bytes] = []
    process = _shell(room, "echo ready; while :; do sleep 0.05; done")
    from polyarch.oci.platform import parse

    root_of = room.rootfs(room.base("linux/arm64"))
    with (
        root_of as (root, _),
        room.sandbox.start(process, root, platform=parse("linux/arm64"), stdout=output.append) as running,
    ):
        while not output:
            assert running.wait(0.02) is None
        began = time.monotonic()
        return [running.stop(grace=20), time.monotonic() - began < 10]


def test_an_emulated_process_that_does_not_handle_the_signal_ends_at_once(
    someone: Person, two_platforms: Bases
) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _stopped_emulated, two_platforms) == [143, True]


def _leaving_the_block(room: Room) -> list[object]:
    with room.rootfs() as (root, _):
        with room.sandbox.start(_shell(room, "sleep 100"), root) as running:
            pass
        status = running.wait()
    return [status, room.run("echo again").output]


def test_a_process_ends_with_the_block_that_started_it(someone: Person, amd64: Bases) -> None:
    assert inside(someone, _leaving_the_block, amd64) == [137, "again\n"]


def _measured(room: Room) -> list[int]:
    """A dd that uses 100 MB and ends; one that still has them when it is killed; a shell that waits."""
    peaks = []
    large = "dd if=/dev/zero bs=100M count=1"
    for script, kill in (
        (f"{large} of=/dev/null", 0),
        (f"{large} | sleep 100 & sleep 1; echo ready; wait", 1),
        ("sleep 0.5", 0),
    ):
        output: list[bytes] = []
        with (
            room.rootfs() as (root, _),
            room.sandbox.start(_shell(room, script), root, stdout=output.append, measured=True) as running,
        ):
            while kill and not output:
                assert running.wait(0.02) is None
            if kill:
                running.kill()
            running.wait()
            peaks.append(running.peak_memory >> 20)
    return peaks


def test_peak_memory_is_that_of_the_largest_process(someone: Person, amd64: Bases) -> None:
    ended, killed, small = inside(someone, _measured, amd64)
    assert 90 < ended < 500
    assert 90 < killed < 500
    assert small < 20
