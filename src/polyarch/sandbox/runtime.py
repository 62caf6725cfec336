"""The OCI runtime: which program, and how it is called.

The runtime is started as the first process of its own pid namespace, and is killed when the thread that started it
ends. So whatever ends this command, even kill -9, the kernel ends everything that the container runs, and cancelling
means killing one process, in whatever state the runtime is.
"""

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch.errors import MachineError
from polyarch.sandbox.mounts import Bind

if TYPE_CHECKING:
    import subprocess


# Files that the runtime leaves in the bundle.
_LOG = "log"
_PID = "pid"


# A guard takes a few milliseconds from its start to its fork. Wait for at most 100 times 2 ms.
_TRIES = 100
_PAUSE = 0.002


class Runtime(msgspec.Struct, frozen=True):
    """The paths of the programs that start a container. `kind` decides the options; `setarch` may be empty."""

    kind: Literal["crun", "runc"]
    path: str
    setpriv: str
    unshare: str
    setarch: str = ""

    def protected(self, place: str) -> "Runtime":
        """Return this runtime as a read-only program at `place`, a new path.

        A container could write to its runtime's file by /proc/PID/exe (CVE-2019-5736). So a runtime mounts itself
        read-only and starts a second time from there, for each container, unless it is read-only already. Raises
        OSError.
        """
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        Bind(self.path, place, read_only=True).perform()
        return msgspec.structs.replace(self, path=place)

    def command(self, state: str, bundle: str, name: str, console: str = "", *, linux32: bool = False) -> list[str]:
        """Return the command that runs the bundle `bundle` as container `name` and exits with its status.

        `console` is a socket that receives the container's terminal; without it, the runtime copies the terminal to its
        own. `linux32`: see `spec.config`.
        """
        log, pid = os.path.join(bundle, _LOG), os.path.join(bundle, _PID)
        if self.kind == "crun" and ":" in log:
            log = f"file:{log}"  # crun takes the text before the first colon for a kind of log
        guard = [self.setpriv, "--pdeathsig", "KILL", "--", self.unshare, "--pid", "--fork", "--kill-child"]
        guard += ["--mount-proc", "--"]
        # runc before 1.2 ignores the personality in config.json. The container inherits that of the runtime.
        guard += [self.setarch, "linux32"] if linux32 and self.kind == "runc" and self.setarch else []
        guard += [self.path, "--root", state, "--log", log]
        # No cgroup: a build sets no limits, and without root there is rarely one available. With json as its log
        # format, crun would also write that to the process's stderr.
        guard += ["--cgroup-manager=disabled"] if self.kind == "crun" else ["--log-format", "json", "--rootless=true"]
        # A keyring for each container would soon exceed the user's quota; seccomp forbids the processes keys anyway.
        run = ["run", "--no-new-keyring", "--pid-file", pid, "--bundle", bundle]
        return [*guard, *run, *(["--console-socket", console] if console else []), name]


def find(search_path: str) -> Runtime:
    """Return crun, or else runc, from `search_path`. Raises MachineError if something is missing."""
    setpriv, unshare = which("setpriv", search_path), which("unshare", search_path)
    if not setpriv or not unshare:
        raise MachineError(
            "running a process needs setpriv and unshare, which are not on PATH", "install the package util-linux"
        )
    if path := which("crun", search_path):
        return Runtime("crun", path, setpriv, unshare)
    if path := which("runc", search_path):
        return Runtime("runc", path, setpriv, unshare, which("setarch", search_path))
    raise MachineError("no OCI runtime found on PATH: neither crun nor runc", "install the package crun")


def failure(bundle: str) -> str | None:
    """Return the runtime's reason (possibly empty) for not creating a bundle's container; None if it was created."""
    if os.path.exists(os.path.join(bundle, _PID)):
        return None
    reason = ""
    with (
        contextlib.suppress(FileNotFoundError),
        open(os.path.join(bundle, _LOG), encoding="utf-8", errors="replace") as lines,
    ):
        for line in lines:
            # crun writes plain lines, runc JSON.
            entry = {"level": "error", "msg": line}
            with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError):
                entry = msgspec.json.decode(line, type=dict[str, str])
            if entry.get("level") == "error":
                reason = entry.get("msg", "").strip()
    return reason


def kill(*guards: "subprocess.Popen[bytes]") -> None:
    """Kill all processes that these guards (processes of `Runtime.command`) have started, then the guards.

    The first process of each pid namespace is killed; the kernel reports its end only after the whole namespace has
    ended. If it cannot be found, the end of the guard kills it, a moment later.
    """
    ends: list[int] = []
    try:
        for guard in guards:
            ends += _stopped(guard)
        for end in ends:
            poll = select.poll()
            poll.register(end, select.POLLIN)
            poll.poll()
    finally:
        for guard in guards:
            guard.kill()
        for end in ends:
            os.close(end)


def _stopped(guard: "subprocess.Popen[bytes]") -> list[int]:
    """Kill the first process of a guard's pid namespace. Return descriptors that become readable when it has ended."""
    for _ in range(_TRIES):
        if guard.poll() is not None:
            return []
        ends = []
        for child in _children(guard.pid):
            with contextlib.suppress(ProcessLookupError):
                end = os.pidfd_open(child)
                ends.append(end)
                # A running guard would report the killed child on the standard error of the process.
                guard.send_signal(signal.SIGSTOP)
                signal.pidfd_send_signal(end, signal.SIGKILL)
        if ends:
            return ends
        time.sleep(_PAUSE)
    return []


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def which(name: str, search_path: str) -> str:
    """Return the path of a program on `search_path`, or an empty string."""
    for directory in search_path.split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""
