"""Runs a command where programs of other processors run, too: `python -m scripts.foreign COMMAND…`, as root.

The command gets a user namespace with all the ids of this one, and in it a binfmt_misc of its own, which Linux has
since 6.7. On the machine nothing is registered. Here mmdebstrap can configure the packages of an arm64 Debian, and
BuildKit can run an arm64 shell that starts other programs.
"""

import os
import shutil
import sys
from collections.abc import Sequence

from polyarch.errors import UnsupportedError
from polyarch.sandbox import namespaces, probe, syscalls
from polyarch.sandbox.host import host_platform

_TABLE = "/proc/sys/fs/binfmt_misc"
# GOARCH → what qemu calls it.
_EMULATORS = {"amd64": "x86_64", "arm64": "aarch64", "arm": "arm", "s390x": "s390x", "ppc64le": "ppc64le"}


def command(*words: str) -> Sequence[str]:
    """The words of a command that runs another one there."""
    return (sys.executable, __file__, *words)


def works() -> bool:
    """Whether this machine allows it: it needs root and Linux 6.7."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            enter()
            status = 0
        except (OSError, UnsupportedError):
            pass
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def enter() -> None:
    """Move this process there. Raises UnsupportedError or OSError where the system does not allow it."""
    namespaces.enter(os.environ.get("PATH", os.defpath))
    syscalls.mount("binfmt_misc", _TABLE, "binfmt_misc", 0)
    for architecture, name in _EMULATORS.items():
        emulator = shutil.which(f"qemu-{name}-static")
        if emulator is None or architecture == host_platform().architecture:
            continue
        magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in probe.pattern(architecture))
        # F: the emulator is opened now, since a root file system need not have it.
        with open(f"{_TABLE}/register", "w", encoding="ascii") as register:
            register.write(f":{architecture}:M::{magic}:{mask}:{emulator}:FPOC")


if __name__ == "__main__":
    enter()
    os.execvp(sys.argv[1], sys.argv[1:])
