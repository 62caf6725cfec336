"""A farm whose members are far away: each is in a network namespace of its own, behind a proxy that delays.

A namespace has a loopback interface and nothing else, so every byte between a member and the scheduler, and between a
member and the build, goes through the proxy, in both directions. The kernel of a test machine may have no netem.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests import bases
from tests.farm.builds import Building, context_of, descendants
from tests.farm.farms import Farm, Started, farm, free_port, until
from tests.farm.proxies import Proxy
from tests.program import Program

T = TypeVar("T")

# Seconds that a byte takes from a member to the scheduler or the build, and back again.
DELAY = 0.02
PLATFORMS = tuple(
    f"linux/{name}" for name in ("amd64", "386", "arm64", "arm/v7", "arm/v5", "s390x", "ppc64le", "mips64le")
)
# A build may take so many times as long as its longest chain of steps.
LIMIT = 1.25
_SLEEP = 0.5
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_TICKS = os.sysconf("SC_CLK_TCK")


class Namespace:
    """A network namespace with loopback alone. It owns the thread that keeps it, until `close`. Needs root."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "namespace")
        self.run(_leave)

    def run(self, work: Callable[[], T]) -> T:
        """What a function returns that is called in the namespace; processes that it starts stay there."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        """End the thread. The namespace ends with the last process or socket in it."""
        self._thread.shutdown()


def _leave() -> None:
    """Move this thread to a new network namespace. Raises OSError without the privilege."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


class DistantFarm:
    """A farm, and the port at which its members reach the build. It owns namespaces and proxies, until `close`."""

    def __init__(self, opened: Farm, delay: float = DELAY) -> None:
        self.farm = opened
        self.delay = delay
        self.port = free_port()
        self._owned = contextlib.ExitStack()
        self.members: list[Started] = []
        self._to_build: list[Proxy] = []

    def member(self, platform: str) -> None:
        """Start a member that does the steps of one platform."""
        space = Namespace()
        self._owned.callback(space.close)
        scheduler, worker = int(self.farm.address.rpartition(":")[2]), free_port()
        self._carry(scheduler, space.run(lambda: _listening(scheduler)), socket.socket)
        self._to_build.append(self._carry(self.port, space.run(lambda: _listening(self.port)), socket.socket))
        self._carry(worker, _listening(worker), lambda: space.run(socket.socket))
        name = f"far-{len(self.members)}"
        options = ("--platform", platform, "--listen", f"127.0.0.1:{worker}")
        self.members.append(space.run(lambda: self.farm.member(name, *options)))

    def close(self) -> None:
        """End the proxies and namespaces. The farm ends the members."""
        self._owned.close()

    def connections(self, member: int) -> int:
        """How many connections a member has made to builds."""
        return self._to_build[member].connections

    def _carry(self, port: int, listener: socket.socket, made: Callable[[], socket.socket]) -> Proxy:
        proxy = Proxy("127.0.0.1", port, self.delay, listener=listener, made=made)
        self._owned.callback(proxy.close)
        return proxy


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=64)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A build on a distant farm, in seconds.

    `least` is what the sleeps of one platform take, and `chain` what the processes of the slowest platform took, one
    after the other. `first` is from the start of the command until the first step had begun. `processor` is the time of
    processors that all took together, and `proxies` that of the proxies. `steps` were done by members.
    """

    seconds: float
    least: float
    chain: float
    first: float
    processor: float
    proxies: float
    steps: int
    length: int
    members: int
    platforms: tuple[str, ...]
    delay: float = DELAY


def measure(opened: Farm, far: DistantFarm, directory: Path, length: int, platforms: Sequence[str]) -> Measured:
    """Build a chain of steps that sleep for half a second, for all platforms at once."""
    context = context_of(directory, *[f'RUN ["sleep", "{_SLEEP}"]'] * length)
    listen = ("--farm-listen", f"127.0.0.1:{far.port}")
    before, own = _processor(far.members), time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    building = Building(opened, ["--no-cache", *listen, "--platform", ",".join(platforms), "-t", "far", context])
    first = until(lambda: " RUN " in building.said and time.monotonic() - began, "a step")
    said = building.succeeds(300)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    proxies = time.process_time() - own
    used = _processor(far.members) - before + after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    chains: dict[str, float] = {}
    steps = 0
    for step in opened.polyarch("explain", "--json", "far").json()["steps"]:
        if " RUN " in step["name"]:
            assert step["member"].startswith("far-"), said
            steps += 1
            chains[step["member"]] = chains.get(step["member"], 0.0) + step["seconds"]
    return Measured(
        seconds=seconds,
        least=length * _SLEEP,
        chain=max(chains.values()),
        first=first,
        processor=used + proxies,
        proxies=proxies,
        steps=steps,
        length=length,
        members=len(far.members),
        platforms=tuple(platforms),
    )


def _processor(members: Sequence[Started]) -> float:
    """The seconds of processors that all processes of members took so far, and those that ended below them."""
    total = 0
    for member in members:
        for number in descendants(member.process.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:15]))
    return total / _TICKS


@contextlib.contextmanager
def distant_farm(polyarch: Program, directory: Path, platforms: Sequence[str]) -> Iterator[tuple[Farm, DistantFarm]]:
    """A farm with a distant member for each platform."""
    with farm(polyarch, directory) as opened, contextlib.ExitStack() as owned:
        far = DistantFarm(opened)
        owned.callback(far.close)
        for platform in platforms:
            far.member(platform)
        yield opened, far


def run(length: int = 20, platforms: Sequence[str] = PLATFORMS) -> dict[str, Any]:
    """The figures of one build, on a farm that is made for it."""
    with tempfile.TemporaryDirectory(prefix="polyarch-distant-") as place:
        root = Path(place)
        (root / "home").mkdir()
        program = Program(root / "store", root / "home")
        bases.import_busybox(program, platforms=platforms)
        with distant_farm(program, root / "farm", platforms) as (opened, far):
            # The first build brings the base to the members.
            measure(opened, far, root / "first", 1, platforms)
            found = measure(opened, far, root / "context", length, platforms)
    figures: dict[str, Any] = msgspec.to_builtins(found)
    return figures


if __name__ == "__main__":
    json.dump(run(*map(int, sys.argv[1:2])), sys.stdout, indent=2)
