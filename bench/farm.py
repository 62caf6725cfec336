"""`python -m bench.farm [--page FILE --picture FILE]`: what placing and carrying a step costs, as a farm grows.

Placement is simulated: 10,000 steps for 8 platforms on up to 500 members. Dask's part is measured with real worker
processes on loopback, over TLS, and so is a RUN of nothing.
"""

import argparse
import json
import math
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyarch.farm.placement import MemberChoice, StepPlacer
from polyarch.farm.values import Member, OfferedPlatform
from polyarch.version import VERSION
from scripts import busybox

MEMBERS = (1, 10, 25, 50, 100, 200, 350, 500)
STEPS = 10_000
PLATFORMS = ("amd64", "386", "arm64", "arm/v7", "riscv64", "s390x", "ppc64le", "loong64")
WORKERS = (1, 2, 4, 8)
_TASKS = 150
_CHAIN = 21
_WIDTH, _HEIGHT = 720, 380


def placement(count: int) -> dict[str, float]:
    """Seconds of a processor a step, on a farm of so many members: the mean, and what one in a thousand exceeds."""
    chance = random.Random(count)
    members = [
        Member(
            address=f"tls://10.0.{number // 250}.{number % 250}:1",
            name=f"member-{number}",
            version=VERSION,
            offers=(
                OfferedPlatform(f"linux/{PLATFORMS[number % 8]}"),
                OfferedPlatform(f"linux/{PLATFORMS[(number + 3) % 8]}", "qemu"),
            ),
            speed=chance.uniform(5, 15),
        )
        for number in range(count)
    ]
    placer = StepPlacer(VERSION)
    placer.update(members)
    chains = [[(f"sha256:{chain * 1000 + number:064x}", 10_000_000) for number in range(20)] for chain in range(80)]
    running: list[MemberChoice] = []
    took: list[float] = []
    for step in range(STEPS):
        chain = step % 80
        name, layers = f"linux/{PLATFORMS[chain % min(8, count)]}", chains[chain][: 1 + step // 80 % 20]
        began = time.thread_time()
        choice = placer.choose(name, layers)
        while choice is None:
            placer.ended(running.pop(0))
            choice = placer.choose(name, layers)
        placer.began(choice, layers)
        running.append(choice)
        if len(running) > 0.9 * count:
            placer.ended(running.pop(0))
        # What the scheduler says once a second is a part of it: a second for each 200 steps.
        if step % 200 == 0:
            placer.update(members)
        took.append(time.thread_time() - began)
    return {"mean": statistics.fmean(took), "rare": sorted(took)[-STEPS // 1000]}


class LoopbackFarm:
    """A scheduler and members with a worker process each, on loopback. It owns them until `close`."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"tls://127.0.0.1:{found.getsockname()[1]}"
        self.certificates = directory / "certificates"
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self.env = {**os.environ, "HOME": str(directory), "POLYARCH_ROOT": str(directory / "store")}
        self.run("farm", "init", str(self.certificates))
        self._start("farm", "scheduler", "--listen", self.address.partition("://")[2], words=self.address)

    def run(self, *arguments: str, farm: bool = False) -> None:
        """Run a command to its end; with `farm`, on the farm."""
        given = {"POLYARCH_FARM": self.address, "POLYARCH_FARM_CERT": str(self.certificates)} if farm else {}
        subprocess.run([*_POLYARCH, *arguments], env={**self.env, **given}, check=True, capture_output=True)

    def member(self, name: str) -> None:
        """Start a member."""
        env = {"POLYARCH_ROOT": str(self._directory / f"store-{name}")}
        self._start("farm", "worker", self.address, "--name", name, "--slots", "1", words="is a member", env=env)

    def close(self) -> None:
        """End all processes."""
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)

    def _start(self, *arguments: str, words: str, env: Mapping[str, str] | None = None) -> None:
        output = self._directory / f"output-{len(self._processes)}"
        with output.open("wb") as file:
            words_ = [*_POLYARCH, *arguments, "--farm-cert", str(self.certificates)]
            given = {**self.env, **(env or {})}
            self._processes.append(subprocess.Popen(words_, env=given, stdout=file, stderr=file))
        deadline = time.monotonic() + 60
        while words not in output.read_text():
            if time.monotonic() > deadline:
                raise SystemExit(f"it did not start: {output.read_text()}")
            time.sleep(0.05)


_POLYARCH = (sys.executable, "-m", "polyarch")


def dask(farm: LoopbackFarm, count: int) -> float:
    """Seconds that Dask takes for a task of nothing, one after the other, with so many worker processes."""
    from distributed.client import Client

    from polyarch.farm import certificates, engine

    engine.configure()
    bundle = certificates.load(farm.certificates, time.time(), "client")
    with Client(farm.address, security=engine.security(bundle), set_as_default=False) as client:
        workers = sorted(client.scheduler_info(n_workers=-1)["workers"])[:count]
        took = []
        for number in range(_TASKS + 10):
            began = time.perf_counter()
            client.submit(bytes, 500, pure=False, workers=[workers[number % count]]).result()
            took.append(time.perf_counter() - began)
        return statistics.median(took[10:])


def remote_run(farm: LoopbackFarm, directory: Path) -> dict[str, float]:
    """Seconds of a RUN of nothing in a chain of them: on a member, and on this machine."""
    found: dict[str, list[float]] = {"member": [], "here": []}
    for attempt in range(3):
        for where in found:
            took = []
            for length in (1, _CHAIN):
                context = directory / f"context-{attempt}-{length}"
                context.mkdir(exist_ok=True)
                lines = [f'RUN ["/bin/true", "{number}"]' for number in range(length)]
                (context / "Dockerfile").write_text("\n".join(("FROM busybox", f"ENV ATTEMPT={attempt}", *lines)))
                began = time.perf_counter()
                farm.run("build", "--no-cache", str(context), farm=where == "member")
                took.append(time.perf_counter() - began)
            found[where].append((took[1] - took[0]) / (_CHAIN - 1))
    return {where: min(seconds) for where, seconds in found.items()}


def measure() -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {"machine": f"{os.cpu_count()} processors, Python {platform.python_version()}"}
    figures["placement"] = {str(count): placement(count) for count in MEMBERS}
    directory = Path(tempfile.mkdtemp(prefix="polyarch-bench-"))
    farm = LoopbackFarm(directory)
    try:
        figures["dask"] = {}
        for number in range(max(WORKERS)):
            farm.member(f"m{number}")
            if number + 1 in WORKERS:
                figures["dask"][str(number + 1)] = dask(farm, number + 1)
        tar = busybox.bases(["linux/amd64"], busybox.cache_directory())["linux/amd64"]
        farm.run("import", "--platform", "linux/amd64", str(tar), "busybox")
        figures["run"] = remote_run(farm, directory)
    finally:
        farm.close()
        shutil.rmtree(directory, ignore_errors=True)
    figures["load"] = round(os.getloadavg()[0], 1)
    return figures


def picture(figures: Mapping[str, Any]) -> str:
    """The curves as SVG: seconds on a logarithmic scale, by the number of members."""
    left, right, top, bottom = 70, 20, 20, 50
    low, high = -6.0, -1.0

    def x(count: float) -> float:
        return left + (_WIDTH - left - right) * count / MEMBERS[-1]

    def y(seconds: float) -> float:
        return top + (_HEIGHT - top - bottom) * (high - math.log10(seconds)) / (high - low)

    def line(points: Sequence[tuple[float, float]], colour: str, dash: str = "") -> str:
        drawn = " ".join(f"{x(count):.1f},{y(seconds):.1f}" for count, seconds in points)
        return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'

    def word(count: float, seconds: float, text: str, colour: str = "#555", anchor: str = "start") -> str:
        place = f'x="{x(count):.1f}" y="{y(seconds) - 6:.1f}" text-anchor="{anchor}"'
        return f'<text {place} fill="{colour}">{text}</text>'

    placed = {int(count): seconds for count, seconds in figures["placement"].items()}
    tasks = {int(count): seconds for count, seconds in figures["dask"].items()}
    slowest = max(tasks.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        ' font-family="sans-serif" font-size="12" aria-label="Seconds a step by the number of members">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for power, name in ((-6, "1 µs"), (-5, "10 µs"), (-4, "100 µs"), (-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms")):
        level = y(10.0**power)
        parts.append(f'<path d="M{left} {level:.1f}H{_WIDTH - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{level + 4:.1f}" text-anchor="end" fill="#555">{name}</text>')
    parts += [
        f'<text x="{x(count):.1f}" y="{_HEIGHT - bottom + 18}" text-anchor="middle" fill="#555">{count}</text>'
        for count in (0, 100, 200, 300, 400, 500)
    ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle" fill="#555">members</text>')
    dashed = ' stroke-dasharray="6 4"'
    parts += [
        line([(count, seconds["mean"]) for count, seconds in placed.items()], "#1f6feb"),
        line([(count, seconds["rare"]) for count, seconds in placed.items()], "#8ab4f8"),
        line([(0, 1e-3), (500, 1e-3)], "#888", dashed),
        line(list(tasks.items()), "#c93c37"),
        line([(max(tasks), slowest), (500, slowest)], "#c93c37", dashed),
        word(500, placed[500]["mean"], "placing a step, mean", "#1f6feb", "end"),
        word(500, placed[500]["rare"], "one in a thousand", "#5a8de0", "end"),
        word(500, 1e-3, "the limit: 1 ms", "#888", "end"),
        word(500, slowest, f"Dask, a task of nothing (measured with 1 to {max(tasks)} processes)", "#c93c37", "end"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def page(figures: Mapping[str, Any]) -> str:
    """The page about these figures."""
    placed = "\n".join(
        f"| {count} | {seconds['mean'] * 1e6:.0f} µs | {seconds['rare'] * 1e6:.0f} µs |"
        for count, seconds in figures["placement"].items()
    )
    tasks = "\n".join(f"| {count} | {seconds * 1e3:.1f} ms |" for count, seconds in figures["dask"].items())
    run = figures["run"]
    more = (run["member"] - run["here"]) * 1e3
    return f"""# How a farm grows

Written by `python -m bench.farm --page … --picture …`, on {figures["machine"]}, with other work on them (load
{figures["load"]}).

![Seconds a step by the number of members](../pictures/farm-scale.svg)

## Placing a step
A simulation of {STEPS:,} steps for {len(PLATFORMS)} platforms, in 80 chains of layers, on farms of up to {MEMBERS[-1]}
members, nine of ten busy; with what the scheduler says of all members after every 200 steps. In time of a processor;
the promise is 1 ms a step.

| members | mean | one in a thousand takes longer than |
| --- | --- | --- |
{placed}

The rare long ones are those with the news of the scheduler, of all members at once.

## Dask's part
A task of nothing, one after the other, over TLS on loopback: submitted, run in a worker process, its result fetched.

| worker processes | a task |
| --- | --- |
{tasks}

The scheduler is asked for all members once a second, and less often the longer that takes: a tenth of the time at most.

## A RUN of nothing
In a chain of {_CHAIN - 1} steps `RUN ["/bin/true"]`, the best of three builds: {run["member"] * 1e3:.0f} ms a step on a
member on loopback, {run["here"] * 1e3:.0f} ms without a farm, so {more:.0f} ms more. That is Dask's part, a connection
from the member to the build, the layer on its way back, and its verification.
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.farm", description=__doc__)
    parser.add_argument("--json", type=Path, help="the figures: read if the file exists, else measured and written")
    parser.add_argument("--page", type=Path, help="write the page to this file")
    parser.add_argument("--picture", type=Path, help="write the curves to this file")
    chosen = parser.parse_args(arguments)
    if chosen.json and chosen.json.exists():
        figures = json.loads(chosen.json.read_text())
    else:
        figures = measure()
        if chosen.json:
            chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    if chosen.page:
        chosen.page.write_text(page(figures))
    if chosen.picture:
        chosen.picture.write_text(picture(figures))
    return 0 if max(one["mean"] for one in figures["placement"].values()) <= 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
