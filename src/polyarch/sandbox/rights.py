"""What a container may do: its capabilities, groups, and whether seccomp filters its system calls."""

from collections.abc import Iterable

import msgspec

from polyarch.errors import UsageError

# docker's default (moby/daemon/pkg/oci/caps).
DEFAULT = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE"
).split()
# In the order of their numbers (linux/capability.h). /proc/sys/kernel/cap_last_cap contains the last number.
ALL = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to docker's defaults. All of them are rights within the user namespace, which gives none on this machine.

    `added` and `dropped` are capabilities without CAP_, or ALL. `groups` are further groups, by name or number. With
    `fixed`, no program that is started gets more rights than its caller (no_new_privs). With `unfiltered`, seccomp
    forbids no system call.
    """

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fixed: bool = False
    unfiltered: bool = False


def parse_capabilities(option: str, words: Iterable[str]) -> tuple[str, ...]:
    """The capabilities that the words name, with or without CAP_, in any case. Raises UsageError."""
    names = tuple(word.upper().removeprefix("CAP_") for word in words)
    for name, word in zip(names, words, strict=True):
        if name not in (*ALL, "ALL"):
            raise UsageError(f"{option}: unknown capability {word!r}", f"known capabilities: ALL, {', '.join(ALL)}")
    return names


def capabilities(rights: Rights) -> list[str]:
    """The capabilities of a container with these rights, as CAP_NAME, by docker's rules.

    ALL in `added` begins with every capability, ALL in `dropped` with none; then single ones are dropped and added.
    """
    if "ALL" in rights.added:
        return [f"CAP_{name}" for name in known() if name not in rights.dropped]
    base = () if "ALL" in rights.dropped else DEFAULT
    kept = [name for name in base if name not in rights.dropped]
    return [f"CAP_{name}" for name in dict.fromkeys((*kept, *(each for each in rights.added if each in known())))]


def known() -> list[str]:
    """The capabilities of this kernel, without CAP_."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return ALL[: int(file.read()) + 1]
