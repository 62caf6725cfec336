"""The processor that an emulator shows to the programs of a platform.

By itself, qemu shows everything that it can emulate: SVE2 on arm64, ARMv8 to programs for ARMv5. A program that is
compiled with -march=native, and a package that pip chooses for armv7l, then do not run on the machines of the platform.
So each platform has a processor that its machines, and the distributions for it, agree on.

A copy of an emulator knows several processors (`emulator_code.py`). When it starts, it makes a system call that no
kernel has, and the seccomp profile of the container answers with the number of one. Steps for arm/v5 and arm/v7 share
a table of emulators, in which both are programs for ARM; a variable or a file would not reach a program behind env -i,
sudo or chroot, and could be changed there. Outside of a container nothing answers, and qemu chooses.
"""

import threading
from collections.abc import Iterable

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# The answer for the first processor; errors of the kernel are smaller. MAX_ERRNO is 4095.
FIRST_ANSWER = 2048
LAST_ANSWER = 4095
# What the user calls qemu's own choice.
QEMUS_CHOICE = "default"
_EVERY_DEFAULT = "*"

_PROCESSORS = {
    # ARMv8.2 with LSE atomics and cryptography: what servers since Graviton 2 and boards since the Raspberry Pi 5
    # have. Amazon Linux 2023 does not start on less.
    ("arm64", ""): "neoverse-n1",
    # ARMv7 with NEON, VFPv4 and division: the Raspberry Pi 2, and most boards since.
    ("arm", "v7"): "cortex-a7",
    # The first Raspberry Pi, and the Pi Zero.
    ("arm", "v6"): "arm1176",
    ("arm", "v5"): "arm926",
    # RHEL 9 does not start on less.
    ("ppc64le", ""): "power9",
    # The first processor of this architecture.
    ("loong64", ""): "la464",
}


def baseline(platform: Platform) -> str:
    """Return qemu's name of the processor for a platform; empty if qemu chooses, as for arm64/v9."""
    known = platforms.normalize(platform)
    return _PROCESSORS.get((known.architecture, known.variant), "")


def _default(architecture: str) -> str:
    return baseline(Platform(os="linux", architecture=architecture))


def chosen(platform: Platform, options: Iterable[tuple[str, str]]) -> str | None:
    """Return the processor that the options name for a platform, empty for qemu's choice; None if they name none.

    Each option is a pair of a platform (`linux/arm64`), or an empty string for all, and a processor. The last counts.
    """
    found = None
    for wanted, model in options:
        if not wanted or platforms.normalize(platforms.parse(wanted)) == platforms.normalize(platform):
            found = "" if model == QEMUS_CHOICE else model
    return found


class Answers:
    """The numbers of all processors that this process has needed. A number never changes its meaning. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The first number stands for the default of each architecture, the second for qemu's choice.
        self._pairs = [("", _EVERY_DEFAULT), ("", "")]
        self._pairs += [(name, model) for (name, _), model in _PROCESSORS.items() if model != _default(name)]

    def number(self, architecture: str, model: str) -> int:
        """Return the number for which an emulator of `architecture` shows `model` (empty: qemu's choice).

        Emulators of other architectures then show their default. Raises OverflowError after thousands of models.
        """
        if model == _default(architecture):
            return 0
        pair = (architecture, model) if model else ("", "")
        with self._lock:
            if pair not in self._pairs:
                if len(self._pairs) > LAST_ANSWER - FIRST_ANSWER:
                    raise OverflowError("too many models of processors")
                self._pairs.append(pair)
            return self._pairs.index(pair)

    def table(self, architecture: str) -> tuple[str, ...]:
        """Return the processors that an emulator of `architecture` shows, by number."""
        default = _default(architecture)
        return tuple(
            default if model == _EVERY_DEFAULT or name not in ("", architecture) else model
            for name, model in tuple(self._pairs)
        )
