"""The OCI runtime: which program, with which words around it.

The runtime is started inside a pid namespace of its own, whose first process it is, and dies with the thread that
started it. So whatever ends this command, kill -9 too, the kernel ends all that the container runs, and to cancel is
to kill one process, in whatever state the runtime is.
"""

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch.errors import UnsupportedError

if TYPE_CHECKING:
    import subprocess


# Files that the runtime leaves in the bundle.
_LOG = "log"
_PID = "pid"


# How long a guard may take from its start to its fork, which is a few milliseconds: 100 tries of 2 ms.
_TRIES = 100
_PAUSE = 0.002


class Runtime(msgspec.Struct, frozen=True):
    """The paths of what is needed to start a container. `kind` decides the words."""

    kind: Literal["crun", "runc"]
    path: str
    setpriv: str
    unshare: str

    def command(self, state: str, bundle: str, name: str, console: str = "") -> list[str]:
        """The words that run the bundle `bundle` as container `name` and give its exit status.

        `console` is a socket that gets the container's terminal; without one the runtime copies it to its own.
        """
        log, pid = os.path.join(bundle, _LOG), os.path.join(bundle, _PID)
        if self.kind == "crun" and ":" in log:
            log = f"file:{log}"  # crun takes what stands before the first colon for a kind of log
        guard = [self.setpriv, "--pdeathsig", "KILL", "--", self.unshare, "--pid", "--fork", "--kill-child"]
        guard += ["--mount-proc", "--", self.path, "--root", state, "--log", log]
        # No cgroup: a build sets no limits, and without root there is seldom one to be had.
        # crun in its json format would write that to the process's stderr as well.
        guard += ["--cgroup-manager=disabled"] if self.kind == "crun" else ["--log-format", "json", "--rootless=true"]
        # A keyring for each container would soon meet the user's quota; seccomp keeps processes from keys.
        run = ["run", "--no-new-keyring", "--pid-file", pid, "--bundle", bundle]
        return [*guard, *run, *(["--console-socket", console] if console else []), name]


def find(search_path: str) -> Runtime:
    """crun, else runc, on `search_path`. Raises UnsupportedError where something is missing."""
    setpriv, unshare = _which("setpriv", search_path), _which("unshare", search_path)
    if not setpriv or not unshare:
        raise UnsupportedError(
            "running a process needs setpriv and unshare, and they are not on PATH", "install the package util-linux"
        )
    if path := _which("crun", search_path):
        return Runtime("crun", path, setpriv, unshare)
    if path := _which("runc", search_path):
        return Runtime("runc", path, setpriv, unshare)
    raise UnsupportedError("no OCI runtime found on PATH: neither crun nor runc", "install the package crun")


def failure(bundle: str) -> str | None:
    """Why the container of a bundle was not made, in the runtime's words (empty if it said none); None if it was."""
    if os.path.exists(os.path.join(bundle, _PID)):
        return None
    said = ""
    with (
        contextlib.suppress(FileNotFoundError),
        open(os.path.join(bundle, _LOG), encoding="utf-8", errors="replace") as lines,
    ):
        for line in lines:
            # crun writes plain lines, runc what it is told to.
            entry = {"level": "error", "msg": line}
            with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError):
                entry = msgspec.json.decode(line, type=dict[str, str])
            if entry.get("level") == "error":
                said = entry.get("msg", "").strip()
    return said


def kill(*guards: "subprocess.Popen[bytes]") -> None:
    """Kills all that these guards (running Runtime.commands) have started, and them when all of it is dead.

    What is killed is the first process of each pid namespace: the kernel reports its end only when the whole namespace
    has ended. Where it cannot be found, the guard's own end kills it, a moment later.
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
    """Kills the first process of a guard's pid namespace; file descriptors that become readable when it has ended."""
    for _ in range(_TRIES):
        if guard.poll() is not None:
            return []
        ends = []
        for child in _children(guard.pid):
            with contextlib.suppress(ProcessLookupError):
                end = os.pidfd_open(child)
                ends.append(end)
                # A guard that sees its child killed complains about it on the standard error of the process.
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


def _which(name: str, search_path: str) -> str:
    for directory in search_path.split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""
