"""Builds with a farm that run in the background, for tests of what goes wrong meanwhile."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.farm.farms import Farm, Started


def context_of(directory: Path, *lines: str) -> Path:
    """A context whose Dockerfile has these lines after FROM."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text("\n".join(("FROM busybox", *lines)))
    return directory


class Building:
    """A build that runs in the background. It owns the process."""

    def __init__(self, opened: Farm, arguments: Sequence[str | Path]) -> None:
        self.output = opened.directory / f"build-{time.monotonic_ns()}"
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [opened.polyarch.path, "build", "--progress", "plain", *arguments],
                env={**opened.polyarch.env, **opened.env},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def ended(self, seconds: float = 60) -> int:
        """Its status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the build did not end: {self.said}") from None

    def succeeds(self, seconds: float = 60) -> str:
        """What it said, if it succeeded."""
        assert self.ended(seconds) == 0, self.said
        return self.said


def moved(said: str) -> list[str]:
    """Which steps moved, by the output of a build: from where to where."""
    return re.findall(r"moves from (\w+ to \w+)", said)


def sleeps(seconds: str) -> list[int]:
    """The processes of steps on this machine that run `sleep` with these seconds."""
    found = []
    for number in _processes():
        words = _words(number)
        if words[:2] == [b"sleep", seconds.encode()]:
            found.append(number)
    return found


def descendants(number: int) -> list[int]:
    """A process and all below it, the lowest last."""
    children: dict[int, list[int]] = {}
    for other in _processes():
        try:
            fields = Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(other)
    found = [number]
    for one in found:
        found += children.get(one, [])
    return found


def busy(members: Sequence[Started], process: int) -> int:
    """Which of these members has the process of a step."""
    for number, member in enumerate(members):
        if process in descendants(member.process.pid):
            return number
    raise AssertionError(f"process {process} belongs to no member")


def signal_all(member: Started, number: int) -> None:
    """Send a signal to all processes of a member at once: the machine is gone, or stands still."""
    for process in descendants(member.process.pid):
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def _processes() -> Iterator[int]:
    return (int(place.name) for place in Path("/proc").iterdir() if place.name.isdecimal())


def _words(number: int) -> list[bytes]:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
