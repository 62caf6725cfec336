"""The platform of this machine. Every command needs it, so this file imports little."""

import contextlib
import os

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# Other architectures whose programs a kernel of this one may run natively.
_SIBLINGS = {"amd64": ("386",), "arm64": ("arm",)}
# The variant whose programs every processor of an architecture runs.
_LEAST = {"arm": "v5"}


def host_platform() -> Platform:
    """Return the platform of this machine's kernel."""
    return platforms.of_machine(os.uname().machine)


def related(architecture: str) -> tuple[str, ...]:
    """Return the architectures whose programs a kernel of this one may run natively, this one first."""
    return (architecture, *_SIBLINGS.get(architecture, ()))


def least(architecture: str) -> Platform:
    """Return the platform whose programs every processor of this architecture runs."""
    return Platform(os="linux", architecture=architecture, variant=_LEAST.get(architecture, ""))


def is_emulated() -> bool:
    """Return whether qemu-user runs this process.

    It answers for /proc/self/exe with the path of its program, and forgets the same link of the thread
    (docs/reference/emulation.md).
    """
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/exe") != os.readlink("/proc/thread-self/exe")
    return False
