"""A process in the format of the OCI runtime specification (config.json), with docker's defaults."""

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from polyarch.sandbox import seccomp
from polyarch.sandbox.account import Account
from polyarch.sandbox.mounts import Bind, Tmpfs
from polyarch.sandbox.process import Process

_CAPABILITIES = [
    f"CAP_{name}"
    for name in "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
    "SYS_CHROOT KILL AUDIT_WRITE".split()
]
# In the order of their numbers (linux/capability.h). /proc/sys/kernel/cap_last_cap contains the last number.
_ALL_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# The id of the group tty in every distribution.
_TTY = 5
_SHM_SIZE = 64 << 20


class Ids(msgspec.Struct, frozen=True):
    """The limits of the user namespace: the highest mapped uid and gid, and whether setgroups works."""

    highest_uid: int
    highest_gid: int
    setgroups: bool


def own_ids() -> Ids:
    """Return the limits of this process's user namespace."""
    with open("/proc/self/setgroups", encoding="ascii") as file:
        allowed = file.read().strip() == "allow"
    return Ids(_highest("/proc/self/uid_map"), _highest("/proc/self/gid_map"), allowed)


def _highest(path: str) -> int:
    with open(path, encoding="ascii") as lines:
        return max(int(inside) + int(count) - 1 for inside, _, count in (line.split() for line in lines))


def config(
    process: Process,
    rootfs: str,
    account: Account,
    mounts: Sequence[Bind | Tmpfs],
    *,
    architecture: str,
    ids: Ids,
    host_sys: str,
    annotations: dict[str, str],
    linux32: bool = False,
    answer: int = 0,
) -> dict[str, Any]:
    """Return the config.json of `process` as `account` in `rootfs`.

    `mounts` are planned, and follow /proc, /dev and /sys. `architecture` is the host's. `host_sys` is the safe form of
    the host's /sys, which is shown if the network is the host's, because mounting sysfs needs power over the network
    namespace. With `linux32`, uname(2) names the 32-bit machine, such as i686. `answer`: see `seccomp.profile`.
    """
    writable = "rw" if process.insecure else "ro"
    # "ro" again, because runtimes reset the flags of their bind mount.
    bound = ["rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"]
    sys: dict[str, Any] = {"destination": "/sys", "type": "bind", "source": host_sys, "options": bound}
    own_network = bool(process.network) or process.settings.network == "none"
    if own_network:
        options = ["nosuid", "noexec", "nodev", writable]
        sys = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options}
    namespaces = [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
    if own_network:
        namespaces.append({"type": "network", **({"path": process.network} if process.network else {})})
    profile = seccomp.profile(architecture, skip_syncs=process.skip_syncs, answer=answer)
    if process.insecure:
        profile = seccomp.only_answer(architecture, answer) if answer else None
    return {
        "ociVersion": "1.0.2",
        "process": _process(process, account, ids),
        "root": {"path": rootfs, "readonly": process.read_only},
        "hostname": process.hostname,
        "annotations": {} if process.insecure else annotations,
        "mounts": [*_system_mounts(process, ids), sys, *(_mount(mount) for mount in mounts)],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": [] if process.insecure else _MASKED,
            "readonlyPaths": [] if process.insecure else _READ_ONLY,
            **({"seccomp": profile} if profile else {}),
            **({"personality": {"domain": "LINUX32"}} if linux32 else {}),
        },
    }


def _process(process: Process, account: Account, ids: Ids) -> dict[str, Any]:
    environment = list(process.environment)
    if not any(pair.startswith("HOME=") for pair in environment):
        environment.append(f"HOME={account.home}")
    if process.terminal and not any(pair.startswith("TERM=") for pair in environment):
        environment.append("TERM=xterm")
    names = _every_capability() if process.insecure else _CAPABILITIES
    # Other users than root get only the bounding set, as after an execve (docker's rule since 20.10).
    held = names if account.uid == 0 else []
    groups = list(account.groups) if ids.setgroups else []
    rows, columns = process.terminal_size
    return {
        "terminal": process.terminal,
        **({"consoleSize": {"height": rows, "width": columns}} if process.terminal and rows else {}),
        "user": {"uid": account.uid, "gid": account.gid, "additionalGids": groups, "umask": 0o022},
        "args": list(process.argv),
        "env": environment,
        "cwd": process.cwd,
        "capabilities": {"bounding": names, "effective": held, "permitted": held},
        "rlimits": [
            {"type": f"RLIMIT_{n.upper()}", "soft": soft, "hard": hard} for n, soft, hard in process.settings.ulimits
        ],
        # sudo and su in images need setuid. docker, too, sets this only with --security-opt.
        "noNewPrivileges": False,
    }


def _every_capability() -> list[str]:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    return [f"CAP_{name}" for name in _ALL_CAPABILITIES[: last + 1]]


def _system_mounts(process: Process, ids: Ids) -> list[dict[str, Any]]:
    # mount(2) fails with EINVAL if the group of the terminals is not mapped.
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    terminals += [f"gid={_TTY}"] if ids.highest_gid >= _TTY else []
    quiet = ["nosuid", "noexec", "nodev"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*quiet, "mode=1777", f"size={process.settings.shm_size or _SHM_SIZE}"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
    ]


def _mount(mount: Bind | Tmpfs) -> dict[str, Any]:
    target = os.path.join("/", mount.target)
    if isinstance(mount, Tmpfs):
        options = ["nosuid", "nodev", *mount.options(), *(["ro"] if mount.read_only else [])]
        return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}
    options = ["rbind", "rprivate", *(["ro"] if mount.read_only else [])]
    if mount.read_only and os.path.isdir(mount.source):
        # Mounts below the source become read-only, too (crun 1.4, runc 1.1). crun refuses the option for files.
        options.append("rro")
    return {"destination": target, "type": "bind", "source": mount.source, "options": options}
