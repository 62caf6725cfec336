"""binfmt_misc: the kernel's table of interpreters for foreign programs.

Since Linux 6.7, each user namespace can have its own table, which hides those of its parents. It is not mounted on any
path: a detached mount, held by a file descriptor for the lifetime of this process, is enough.
"""

import errno
import os
import time

import msgspec

from polyarch.sandbox import probe, syscalls

_HOST_TABLE = "/proc/sys/fs/binfmt_misc"
_TRIES = 100
_PAUSE = 0.002


class BinfmtTable:
    """The table of this process's user namespace. It exists as long as the process."""

    def __init__(self) -> None:
        """Mount the table. Raises OSError before Linux 6.7."""
        context = syscalls.fsopen("binfmt_misc")
        try:
            self._directory = syscalls.fsmount(context, "binfmt_misc")
        finally:
            os.close(context)

    def register(self, name: str, architecture: str, emulator: str) -> None:
        """Register the file `emulator` for programs of `architecture`. A later entry overrides an earlier one.

        The kernel opens the file at once. Raises OSError if it cannot.
        """
        magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in probe.pattern(architecture))
        # F: the kernel opens the emulator now, so root filesystems need not contain it. P: it gets argv[0]. O: it gets
        # the program as an open file. C: setuid programs keep their effect, which sudo in an image needs.
        line = f":{name}:M::{magic}:{mask}:{emulator}:FPOC"
        register = os.open("register", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            for left in reversed(range(_TRIES)):
                try:
                    os.write(register, os.fsencode(line))
                    return
                except OSError as error:
                    if error.errno != errno.ETXTBSY or not left:
                        raise
                # A child of another thread, between fork and exec, may still have the new file open for writing.
                time.sleep(_PAUSE)
        finally:
            os.close(register)


class Registration(msgspec.Struct, frozen=True):
    """An entry of the host's table: the path of the interpreter, and its flags, such as "OPF"."""

    interpreter: str
    flags: str


def host_emulators() -> dict[str, str]:
    """Return the interpreters that the host has registered, by the architecture (GOARCH) of their programs."""
    return {name: found.interpreter for name, found in host_registrations().items()}


def host_registrations() -> dict[str, Registration]:
    """Return what the host has registered and enabled, by the architecture (GOARCH) of the programs."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        # Only if it is mounted already: reading an automount point would mount it on the host.
        if not any(f" {_HOST_TABLE} " in line and " - binfmt_misc " in line for line in lines):
            return {}
    found: dict[str, Registration] = {}
    for name in sorted(os.listdir(_HOST_TABLE)):
        if name in ("register", "status"):
            continue
        try:
            with open(f"{_HOST_TABLE}/{name}", encoding="utf-8", errors="replace") as file:
                entry = file.read().splitlines()
        except FileNotFoundError:
            continue  # removed from the table meanwhile
        fields = dict(line.split(" ", 1) for line in entry if " " in line)
        magic = bytes.fromhex(fields.get("magic", ""))
        mask = bytes.fromhex(fields.get("mask", "ff" * len(magic)))
        if "enabled" not in entry or not magic or fields.get("offset", "0") != "0":
            continue
        registration = Registration(fields.get("interpreter", ""), fields.get("flags:", "").strip())
        for architecture in probe.MACHINES:
            head = probe.pattern(architecture)[0]
            if len(magic) <= len(head) and all(a & m == b & m for a, b, m in zip(head, magic, mask, strict=False)):
                found.setdefault(architecture, registration)
    return found
