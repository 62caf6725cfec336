"""Limits of a container: a cgroup for its processes, where this process may make one.

As root that is a directory in some hierarchies of cgroup v1, or one of v2; without root, one of v2 below a directory
that was delegated to the user (systemd does that with `Delegate=`). The container sees no cgroups, and the OCI runtime
is told to use none. The directories are reached by file descriptors, because a sandbox hides their paths.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator

import msgspec

from polyarch.errors import UnsupportedError

ROOT = "/sys/fs/cgroup"
_OWN = "/proc/self/cgroup"
_PREFIX = "polyarch-"
_PERIOD = 100_000
# The processes of the runtime are in the cgroup as well.
_RUNTIME_PROCESSES = 2
_CONTROLLERS = {
    "memory": "memory",
    "swap": "memory",
    "cpus": "cpu",
    "shares": "cpu",
    "pids": "pids",
    "cpuset": "cpuset",
}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one container. 0 and empty mean no limit.

    `memory` and `swap` are in bytes; `swap` is that of memory and swap together, -1 for no limit, as in docker. `cpus`
    is how many processors, `shares` the weight against others (1024 is the default), `cpuset` a list such as 0-2,4.
    """

    memory: int = 0
    swap: int = 0
    cpus: float = 0.0
    shares: int = 0
    pids: int = 0
    cpuset: str = ""

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers of cgroups that the limits need."""
        return tuple(dict.fromkeys(name for field, name in _CONTROLLERS.items() if getattr(self, field)))


class Cgroup:
    """The cgroup of one container, in each hierarchy that has a controller of its limits.

    Owns the directories and their descriptors, from the constructor to `close`. What a killed process left is removed
    by the next one.
    """

    def __init__(self, limits: Limits, *, root: str = ROOT, own: str = _OWN) -> None:
        """Make the directories. Raises UnsupportedError, which says what is missing."""
        self._limits = limits
        self._name = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        # Descriptors by controller: the parent of our directory, our directory, and where this process is now.
        self._places: dict[str, tuple[int, int, int]] = {}
        self._opened: list[int] = []
        self._unified = os.path.exists(f"{root}/cgroup.controllers")
        try:
            if self._unified:
                self._make(_delegated(root, own, limits.controllers), _current(root, own, ""), limits.controllers)
            else:
                for controller in limits.controllers:
                    top = f"{root}/{controller}"
                    self._make(top, _current(top, own, controller), (controller,))
            # A trial, so that what does not work is known before something is started.
            with self.starting():
                pass
        except UnsupportedError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise UnsupportedError(f"a cgroup cannot be made: {error.strerror}: {error.filename}") from error

    def _make(self, parent: str, current: str, controllers: tuple[str, ...]) -> None:
        _remove_leftovers(parent)
        made = f"{parent}/{self._name}"
        outer = self._open(parent)
        os.mkdir(made, 0o755)
        here = (outer, self._open(made), self._open(current))
        self._places.update(dict.fromkeys(controllers, here))
        if "cpuset" in controllers:
            # In v1, a cgroup without nodes of memory takes no process.
            if not self._unified:
                with open(f"{parent}/cpuset.mems", encoding="ascii") as nodes:
                    _write(here[1], "cpuset.mems", nodes.read().strip())
            _write(here[1], "cpuset.cpus", self._limits.cpuset)

    def _open(self, path: str) -> int:
        self._opened.append(os.open(path, _DIRECTORY))
        return self._opened[-1]

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Children of this process that are started in the block are in the cgroup. After it, the limits hold.

        Raises UnsupportedError if this process cannot enter the cgroup, or a limit cannot be set.
        """
        places = set(self._places.values())
        try:
            if self._limits.pids:
                # The threads of this process count while it is inside.
                _write(self._places["pids"][1], "pids.max", "max")
            for _, ours, _ in places:
                _write(ours, "cgroup.procs", str(os.getpid()))
        except OSError as error:
            raise UnsupportedError(f"the cgroup cannot be entered: {error.strerror}") from error
        try:
            yield
        finally:
            for _, _, before in places:
                with contextlib.suppress(OSError):
                    _write(before, "cgroup.procs", str(os.getpid()))
        for controller, name, value in _unified(self._limits) if self._unified else _separate(self._limits):
            try:
                _write(self._places[controller][1], name, value)
            except OSError as error:
                raise UnsupportedError(f"the limit {name} cannot be set to {value}: {error.strerror}") from error

    def close(self) -> None:
        """Remove the directories; the processes in them have ended. Safe to call twice."""
        for outer, _, _ in set(self._places.values()):
            with contextlib.suppress(OSError):
                os.rmdir(self._name, dir_fd=outer)
        self._places.clear()
        while self._opened:
            os.close(self._opened.pop())


def _unified(limits: Limits) -> Iterator[tuple[str, str, str]]:
    """Yield controller, file and value of each limit (cgroup-v2.rst; shares are converted as in runc)."""
    if limits.memory:
        yield "memory", "memory.max", str(limits.memory)
    if limits.swap:
        # Of v2's limits, this one is without the memory.
        yield "memory", "memory.swap.max", "max" if limits.swap < 0 else str(max(limits.swap - limits.memory, 0))
    if limits.cpus:
        yield "cpu", "cpu.max", f"{round(limits.cpus * _PERIOD)} {_PERIOD}"
    if limits.shares:
        yield "cpu", "cpu.weight", str(1 + (limits.shares - 2) * 9999 // 262142)
    if limits.pids:
        yield "pids", "pids.max", str(limits.pids + _RUNTIME_PROCESSES)


def _separate(limits: Limits) -> Iterator[tuple[str, str, str]]:
    """Yield controller, file and value of each limit of cgroup v1 (cgroup-v1/memory.rst, scheduler/sched-bwc.rst)."""
    if limits.memory:
        yield "memory", "memory.limit_in_bytes", str(limits.memory)
    if limits.swap:
        yield "memory", "memory.memsw.limit_in_bytes", str(limits.swap)
    if limits.cpus:
        yield "cpu", "cpu.cfs_period_us", str(_PERIOD)
        yield "cpu", "cpu.cfs_quota_us", str(round(limits.cpus * _PERIOD))
    if limits.shares:
        yield "cpu", "cpu.shares", str(limits.shares)
    if limits.pids:
        yield "pids", "pids.max", str(limits.pids + _RUNTIME_PROCESSES)


def _current(top: str, own: str, controller: str) -> str:
    """The directory of the cgroup in which this process is, or `top` if that is not visible here."""
    with open(own, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controller in controllers.split(",") and os.path.isdir(top + path):
                return (top + path).rstrip("/")
    return top


def _delegated(root: str, own: str, controllers: tuple[str, ...]) -> str:
    """The nearest directory above this process that may have cgroups with these controllers (cgroup-v2.rst).

    Processes move between two cgroups only if the mover may write to the nearest common ancestor; that directory is
    one. Raises OSError.
    """
    current = _current(root, own, "")
    # Only the root of the hierarchy may have processes beside cgroups.
    place = current if current == root else os.path.dirname(current)
    while place.startswith(root):
        if os.access(place, os.W_OK) and os.access(f"{place}/cgroup.procs", os.W_OK):
            with open(f"{place}/cgroup.subtree_control", encoding="ascii") as file:
                there = file.read().split()
            missing = [name for name in controllers if name not in there]
            if not missing:
                return place
            with contextlib.suppress(OSError), open(f"{place}/cgroup.subtree_control", "w", encoding="ascii") as file:
                file.write(" ".join(f"+{name}" for name in missing))
                return place
        place = os.path.dirname(place)
    raise PermissionError(13, f"no cgroup with {', '.join(controllers)} is delegated to this user", root)


def _remove_leftovers(parent: str) -> None:
    for name in os.listdir(parent):
        process = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and process.isdecimal() and not os.path.exists(f"/proc/{process}"):
            # The kernel removes only a cgroup without processes.
            with contextlib.suppress(OSError):
                os.rmdir(f"{parent}/{name}")


def _write(directory: int, name: str, value: str) -> None:
    with open(f"/proc/self/fd/{directory}/{name}", "w", encoding="ascii") as file:
        file.write(value)
