"""`make bench`: the measurements that the design promises, each against its limit.

Usage: python -m bench [NAME…]. Times are wall-clock seconds of whole commands, the best of the runs, as hyperfine would
take them; the base images are in the store and the registry is on loopback before the clock starts.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts import busybox, debian, debian_root
from scripts.local_registry import LocalRegistry

_POLYARCH = Path(sys.executable).parent / "polyarch"
_TWO = ("linux/amd64", "linux/arm64")
_EIGHT = tuple(debian.ARCHITECTURES)


class Outcome(NamedTuple):
    """What a case measured, and what it must not exceed; both in `unit`."""

    measured: float
    limit: float
    unit: str = "s"


class Bench:
    """A temporary directory with a store that holds the bases, and a registry. `close()` ends and removes both."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="polyarch-bench-"))
        self.registry = LocalRegistry(self.directory / "registry")
        self._bases = self.directory / "bases"
        self._stores = 0

    def close(self) -> None:
        self.registry.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def store(self, tars: Mapping[str, Path]) -> Path:
        """A store of its own for a case, with `base` imported for each of these platforms."""
        self._stores += 1
        root = self.directory / f"store-{self._stores}"
        for platform, tar in tars.items():
            self.polyarch(root, "import", "--platform", platform, str(tar), "base")
        return root

    def polyarch(self, root: Path, *arguments: str) -> float:
        """Run a command and return its wall-clock seconds."""
        environment = {**os.environ, "POLYARCH_ROOT": str(root)}
        return seconds([str(_POLYARCH), *arguments], environment)

    def context(self, name: str) -> Path:
        directory = self.directory / name
        directory.mkdir()
        return directory

    def build(self, root: Path, context: Path, platforms: Sequence[str], tag: str) -> float:
        name = f"{self.registry.address}/bench/{tag}"
        return self.polyarch(root, "build", "-q", "--platform", ",".join(platforms), "-t", name, "--push", str(context))


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    elapsed = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    return elapsed


def start(bench: Bench) -> Outcome:
    """`polyarch --version` against `python -c pass`"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(bench.directory)}
    bare = min(seconds([sys.executable, "-c", "pass"], environment) for _ in range(20))
    own = min(seconds([str(_POLYARCH), "--version"], environment) for _ in range(20))
    return Outcome(own / bare, 2.5, "x")


def files(bench: Bench) -> Outcome:
    """5,000 files, 85 MB, COPY onto Debian, two platforms, pushed, nothing cached"""
    root, context = _many_files(bench, "files")
    return Outcome(bench.build(root, context, _TWO, "files"), 1.0)


def unchanged(bench: Bench) -> Outcome:
    """The same again, nothing changed"""
    root, context = _many_files(bench, "unchanged")
    bench.build(root, context, _TWO, "unchanged")
    return Outcome(min(bench.build(root, context, _TWO, "unchanged") for _ in range(5)), 0.15)


def large(bench: Bench) -> Outcome:
    """One 256 MB file, half of it random, two platforms, pushed"""
    root = bench.store(busybox.bases(_TWO, busybox.cache_directory()))
    context = bench.context("large")
    chance = random.Random(1)
    with open(context / "large", "wb") as file:
        for half in range(128):
            text = "".join(f"line {number} of part {half}, a text that compresses\n" for number in range(30_000))
            file.writelines((chance.randbytes(1 << 20), text.encode()[: 1 << 20]))
    (context / "Dockerfile").write_text("FROM base\nCOPY large /large\n")
    return Outcome(bench.build(root, context, _TWO, "large"), 1.2)


def steps(bench: Bench) -> Outcome:
    """10 RUN steps on busybox, amd64 and emulated arm64, nothing cached"""
    root = bench.store(busybox.bases(_TWO, busybox.cache_directory()))
    context = bench.context("steps")
    (context / "Dockerfile").write_text("FROM base\n" + "".join(f"RUN echo {n} > /step-{n}\n" for n in range(10)))
    return Outcome(bench.build(root, context, _TWO, "steps"), 1.0)


def platforms(bench: Bench) -> Outcome:
    """COPY-only, 8 platforms against 1"""
    tars = busybox.bases(_EIGHT, busybox.cache_directory())
    context = _tree(bench.context("platforms"), 1000)
    times = [bench.build(bench.store(tars), context, chosen, "platforms") for chosen in (_EIGHT[:1], _EIGHT)]
    return Outcome(times[1] / times[0], 1.3, "x")


def _many_files(bench: Bench, name: str) -> tuple[Path, Path]:
    tars = {platform: debian_root.base(platform, busybox.cache_directory()) for platform in _TWO}
    return bench.store(tars), _tree(bench.context(name), 5000)


def _tree(context: Path, count: int) -> Path:
    """A program's tree: texts and binaries of 17 kB on average, in 50 directories. Always the same."""
    chance = random.Random(7)
    words = [f"word{number}" for number in range(2000)]
    for number in range(count):
        path = context / "app" / f"package{number % 50}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = int(chance.expovariate(1 / 17_000)) + 1
        if number % 5:
            path.write_text(" ".join(chance.choices(words, k=size // 8)))
        else:
            path.write_bytes(chance.randbytes(size))
    (context / "Dockerfile").write_text('FROM base\nCOPY app /app\nCMD ["/bin/sh"]\n')
    return context


CASES: Mapping[str, Callable[[Bench], Outcome]] = {
    case.__name__: case for case in (start, files, unchanged, large, steps, platforms)
}


def main(names: Sequence[str]) -> int:
    unknown = set(names) - set(CASES)
    if unknown:
        raise SystemExit(f"bench: there is no {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    exceeded = 0
    bench = Bench()
    try:
        for name in names or CASES:
            outcome = CASES[name](bench)
            over = outcome.measured > outcome.limit
            exceeded += over
            numbers = f"{outcome.measured:6.2f} {outcome.unit}   limit {outcome.limit:4.2f} {outcome.unit}"
            print(f"{name:10} {numbers} {'EXCEEDED' if over else '':9} {CASES[name].__doc__}", flush=True)
    finally:
        bench.close()
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
