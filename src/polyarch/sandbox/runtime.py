"""The OCI runtime: which program, with which words around it.

The runtime is started inside a pid namespace of its own, whose first process it is, and dies with the thread that
started it. So whatever ends this command, kill -9 too, the kernel ends all that the container runs, and to cancel is
to kill one process, in whatever state the runtime is.
"""

import os
from typing import Literal

import msgspec

from polyarch.errors import UnsupportedError


class Runtime(msgspec.Struct, frozen=True):
    """The paths of what is needed to start a container. `kind` decides the words."""

    kind: Literal["crun", "runc"]
    path: str
    setpriv: str
    unshare: str

    def command(self, state: str, bundle: str, log: str, name: str) -> list[str]:
        """The words that run the bundle `bundle` as container `name` and give its exit status."""
        guard = [self.setpriv, "--pdeathsig", "KILL", "--", self.unshare, "--pid", "--fork", "--kill-child"]
        guard += ["--mount-proc", "--", self.path, "--root", state, "--log", log, "--log-format", "json"]
        # No cgroup: a build sets no limits, and without root there is seldom one to be had.
        guard += ["--cgroup-manager=disabled"] if self.kind == "crun" else ["--rootless=true"]
        keyring = ["--no-new-keyring"]
        return [*guard, "run", *keyring, "--bundle", bundle, name]


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


def _which(name: str, search_path: str) -> str:
    for directory in search_path.split(":"):
        path = os.path.join(directory, name)
        if directory.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""
