"""`python -m bench.farm [--only PART…] [--json FILE] [--page FILE --picture FILE]`: what a farm costs, as it grows.

- placement: simulated, 10,000 steps for 8 platforms on up to 500 members.
- dask: a task of nothing, with real worker processes on loopback, over TLS.
- run: a RUN of nothing, on the same farm.
- distant: a build for 8 platforms with members in network namespaces, behind a proxy that delays. Needs root.
"""

import argparse
import json
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
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import farm_page
from polyarch.farm.placement import MemberChoice, StepPlacer
from polyarch.farm.values import Member, OfferedPlatform
from polyarch.version import VERSION
from scripts import busybox
from tests.farm import distant

PARTS = ("placement", "dask", "run", "distant")
MEMBERS = (1, 10, 25, 50, 100, 200, 350, 500)
STEPS = 10_000
PLATFORMS = ("amd64", "386", "arm64", "arm/v7", "riscv64", "s390x", "ppc64le", "loong64")
WORKERS = (1, 2, 4, 8)
_TASKS = 150
_CHAIN = 21
_ATTEMPTS = 4
# Seconds that a RUN of nothing may take more on a member.
_OVERHEAD = 0.06


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


def remote_run(farm: LoopbackFarm, directory: Path) -> dict[str, dict[str, float]]:
    """Seconds of a RUN of nothing, on a member and on this machine: right after another one, and after a COPY, whose
    own time is in both.
    """
    kinds: dict[str, Callable[[int], Sequence[str]]] = {
        "chain": lambda number: (f'RUN ["/bin/true", "{number}"]',),
        "alone": lambda number: (f'RUN ["/bin/true", "{number}"]', f"COPY Dockerfile /{number}"),
    }
    found: dict[str, dict[str, float]] = {}
    for kind, lines in kinds.items():
        # The best of a short chain and the best of a long one: a short one that was slow by chance proves nothing.
        best: dict[tuple[str, int], float] = {}
        for attempt in range(_ATTEMPTS):
            for length in (1, _CHAIN):
                context = directory / f"context-{kind}-{attempt}-{length}"
                context.mkdir()
                every = [line for number in range(length) for line in lines(number)]
                (context / "Dockerfile").write_text("\n".join(("FROM busybox", f"ENV ATTEMPT={attempt}", *every)))
                for where in ("member", "here"):
                    began = time.perf_counter()
                    farm.run("build", "--no-cache", str(context), farm=where == "member")
                    took = time.perf_counter() - began
                    best[where, length] = min(took, best.get((where, length), took))
        found[kind] = {where: (best[where, _CHAIN] - best[where, 1]) / (_CHAIN - 1) for where in ("member", "here")}
    return found


def loopback(parts: Collection[str]) -> dict[str, Any]:
    """The figures of a farm on loopback."""
    figures: dict[str, Any] = {}
    directory = Path(tempfile.mkdtemp(prefix="polyarch-bench-"))
    farm = LoopbackFarm(directory)
    try:
        if "dask" in parts:
            figures["dask"] = {}
        for number in range(max(WORKERS) if "dask" in parts else 1):
            farm.member(f"m{number}")
            if "dask" in parts and number + 1 in WORKERS:
                figures["dask"][str(number + 1)] = dask(farm, number + 1)
        if "run" in parts:
            tar = busybox.bases(["linux/amd64"], busybox.cache_directory())["linux/amd64"]
            farm.run("import", "--platform", "linux/amd64", str(tar), "busybox")
            figures["run"] = remote_run(farm, directory)
    finally:
        farm.close()
        shutil.rmtree(directory, ignore_errors=True)
    return figures


def measure(parts: Collection[str]) -> dict[str, Any]:
    """The figures of these parts, each with the load of the machine while it was measured."""
    figures: dict[str, Any] = {}
    if "placement" in parts:
        figures["placement"] = {str(count): placement(count) for count in MEMBERS}
    if {"dask", "run"} & set(parts):
        figures |= loopback(parts)
    if "distant" in parts:
        figures["distant"] = distant.run()
    load = round(os.getloadavg()[0], 1)
    figures["load"] = dict.fromkeys((part for part in PARTS if part in figures), load)
    return figures


def missed(figures: Mapping[str, Any]) -> list[str]:
    """The promises that these figures do not keep."""
    found = []
    if max(one["mean"] for one in figures["placement"].values()) > 1e-3:
        found.append("placement: more than 1 ms a step")
    for kind, run in figures["run"].items():
        if run["member"] - run["here"] > _OVERHEAD:
            found.append(f"run ({kind}): more than {_OVERHEAD * 1e3:.0f} ms more on a member than here")
    distance = figures["distant"]
    if distance["seconds"] > distant.LIMIT * distance["least"]:
        found.append(f"distant: more than {distant.LIMIT} times the longest chain")
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.farm", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts (default: all)")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, beside those of other parts")
    parser.add_argument("--page", type=Path, help="write the page to this file")
    parser.add_argument("--picture", type=Path, help="write the curves to this file")
    chosen = parser.parse_args(arguments)
    figures: dict[str, Any] = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.exists() else {}
    found = measure(chosen.only)
    load = {**figures.get("load", {}), **found.pop("load")}
    figures |= {**found, "load": load, "machine": f"{os.cpu_count()} processors, Python {platform.python_version()}"}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(found, indent=2))
    if not all(part in figures for part in PARTS):
        return 0
    if chosen.page:
        chosen.page.write_text(farm_page.page(figures))
    if chosen.picture:
        chosen.picture.write_text(farm_page.picture(figures))
    broken = missed(figures)
    print("\n".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
