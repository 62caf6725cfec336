"""Outgoing connections of a private network, by slirp4netns, which needs neither root nor rights on this machine."""

import contextlib
import os
import select
import subprocess
from collections.abc import Iterator

from polyarch.sandbox import runtime

# slirp4netns's own addresses (its manual): this machine as the container sees it, and its resolver.
GATEWAY = "10.0.2.2"
RESOLVER = "10.0.2.3"
HINT = "use --network host"

_PROGRAM = "slirp4netns"
_DEVICE = "/dev/net/tun"
_READY_MILLISECONDS = 10_000


def missing(search_path: str, device: str = _DEVICE) -> tuple[str, str]:
    """What is missing, the program or the device that it needs, and what to do; both are empty if all is here."""
    if not runtime.which(_PROGRAM, search_path):
        return f"{_PROGRAM} is not installed", f"install the package {_PROGRAM}, or {HINT}"
    if not os.path.exists(device):
        return f"there is no {device}", f"load the kernel's module (sudo modprobe tun), or {HINT}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"you may not open {device}", f"allow it (sudo chmod 666 {device}), or {HINT}"
    return "", ""


@contextlib.contextmanager
def connected(path: str, search_path: str, *, host: bool) -> Iterator[str]:
    """Let the network namespace at `path` make connections meanwhile. Yield why that failed, empty if it works.

    With `host`, it reaches 127.0.0.1 of this machine at `GATEWAY`. The program ends with this process.
    """
    program, setpriv = runtime.which(_PROGRAM, search_path), runtime.which("setpriv", search_path)
    ready, report = os.pipe()
    command = [setpriv, "--pdeathsig", "KILL", "--", program, "--netns-type=path", "--configure", "--mtu=65520"]
    command += ["--enable-sandbox", "--enable-seccomp"]
    command += [] if host else ["--disable-host-loopback"]
    with open(ready, "rb") as answer:
        try:
            child = subprocess.Popen(
                [*command, f"--ready-fd={report}", path, "tap0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(report,),
                process_group=0,
                env={"PATH": search_path},
                text=True,
                errors="replace",
            )
        finally:
            os.close(report)
        with child:
            try:
                poll = select.poll()
                poll.register(answer, select.POLLIN)
                works = bool(poll.poll(_READY_MILLISECONDS)) and bool(answer.read(1))
                if works:
                    yield ""
                else:
                    child.kill()
                    said = (child.stderr.read() if child.stderr else "").strip().splitlines()
                    yield said[-1] if said else f"{_PROGRAM} did not start"
            finally:
                child.kill()
