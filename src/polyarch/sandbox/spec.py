"""A process in the format of the OCI runtime specification (config.json), with docker's defaults."""

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from polyarch.sandbox import seccomp
from polyarch.sandbox.account import Account
from polyarch.sandbox.mounts import Bind, Tmpfs
from polyarch.sandbox.process import Process
from polyarch.sandbox.rights import Rights, capabilities

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
    unfiltered = process.insecure or process.rights.unfiltered
    profile = seccomp.profile(architecture, skip_syncs=process.skip_syncs, answer=answer)
    if unfiltered:
        profile = seccomp.only_answer(architecture, answer) if answer else None
    return {
        "ociVersion": "1.0.2",
        "process": _process(process, account, ids),
        "root": {"path": rootfs, "readonly": process.read_only},
        "hostname": process.hostname,
        "annotations": {} if unfiltered else annotations,
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
    names = capabilities(Rights(added=("ALL",)) if process.insecure else process.rights)
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
        "noNewPrivileges": process.rights.fixed,
    }


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
        options = ["nosuid", "nodev", *mount.options(), *mount.further, *(["ro"] if mount.read_only else [])]
        return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}
    options = ["rbind", "rprivate", *(["ro"] if mount.read_only else [])]
    if mount.read_only and os.path.isdir(mount.source):
        # Mounts below the source become read-only, too (crun 1.4, runc 1.1). crun refuses the option for files.
        options.append("rro")
    return {"destination": target, "type": "bind", "source": mount.source, "options": options}
