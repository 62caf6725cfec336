"""What the kernel allows: user namespaces, ids, seccomp, cgroups."""

import os

from polyarch.doctor.diagnosis import Diagnosis
from polyarch.doctor.system import System, as_root, command_of
from polyarch.sandbox.trial import Trial

# Images have the ids of accounts up to 65534 (nobody).
_ENOUGH_IDS = 65536
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"


def kernel(system: System) -> Diagnosis:
    """Its release, and whether this is a container."""
    name = os.uname()
    inside = ", in a container" if system.is_container() else ""
    return Diagnosis(name="kernel", status="ok", found=f"Linux {name.release} on {name.machine}{inside}")


def user_namespaces(trial: Trial) -> Diagnosis:
    """Whether this user may make a user namespace, with mounts in it."""
    if trial.namespace is None:
        who = "root" if os.geteuid() == 0 else "this user"
        return Diagnosis(name="user namespaces", status="ok", found=f"{who} may make them")
    return Diagnosis(
        name="user namespaces",
        status="missing",
        found="not allowed",
        reason=f"RUN and `polyarch run` do not work: {trial.namespace.message}",
        mend=command_of(trial.namespace.hint),
    )


def apparmor(system: System, trial: Trial) -> Diagnosis:
    """Whether AppArmor restricts user namespaces, as Ubuntu does since 23.10."""
    if system.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") != "1":
        return Diagnosis(name="AppArmor", status="ok", found="does not restrict user namespaces")
    if trial.namespace is None:
        who = "root is exempt" if os.geteuid() == 0 else "this program is exempt"
        return Diagnosis(name="AppArmor", status="ok", found=f"restricts user namespaces without root; {who}")
    return Diagnosis(
        name="AppArmor",
        status="missing",
        found="restricts user namespaces without root",
        reason=f"{_APPARMOR} is 1, as in Ubuntu 23.10 and later",
        mend=as_root(f"sysctl -w {_APPARMOR}=0"),
    )


def seccomp(system: System, trial: Trial) -> Diagnosis:
    """Whether the kernel has seccomp, which containers get, and whether this process is under a filter."""
    lines = dict(line.split(":", 1) for line in system.read("/proc/self/status").splitlines() if ":" in line)
    if "Seccomp" not in lines:
        return Diagnosis(
            name="seccomp",
            status="missing",
            found="not in this kernel",
            reason="containers get a seccomp profile, so none can be started",
            mend="use a kernel with CONFIG_SECCOMP_FILTER",
        )
    if lines["Seccomp"].strip() != "2":
        return Diagnosis(name="seccomp", status="ok", found="available; this process is under no filter")
    if trial.namespace is None and trial.overlay is None and trial.container is None:
        return Diagnosis(name="seccomp", status="ok", found="this process is under a filter, which allows all of this")
    return Diagnosis(
        name="seccomp",
        status="limited",
        found="this process is under a filter",
        reason="the filter of the surrounding container may be why something here is missing",
        mend="start the container with --security-opt seccomp=unconfined",
    )


def ids(system: System, trial: Trial) -> Diagnosis | None:
    """The user and group ids that files and processes of an image can have. None without a namespace."""
    if trial.namespace is not None:
        return None
    found = f"{trial.ids:,} ids" if trial.ids > 1 else "1 id"
    if trial.warnings:
        reason, _, hint = trial.warnings[0].partition("\n")
        mend = system.install("uidmap") if "package uidmap" in hint else command_of(hint)
        return Diagnosis(name="ids", status="limited", found=found, reason=reason, mend=mend)
    if trial.ids < _ENOUGH_IDS:
        return Diagnosis(
            name="ids",
            status="limited",
            found=found,
            reason=f"images may use ids up to {_ENOUGH_IDS - 1}, and files with an id that is not there cannot be made",
            mend=_more_ids(system),
        )
    return Diagnosis(name="ids", status="ok", found=found)


def _more_ids(system: System) -> str:
    if os.geteuid() == 0:
        return "give the container or namespace in which this runs more ids, for example: podman run --userns=host"
    import pwd

    name = pwd.getpwuid(os.geteuid()).pw_name
    return as_root(f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}")


def cgroups(system: System) -> Diagnosis:
    """The version of cgroups, and whether this user may make some. Polyarch itself uses none."""
    entries = [line.split(":", 2) for line in system.read("/proc/self/cgroup").splitlines()]
    unified = next((path for number, _, path in entries if number == "0"), None)
    others = [names for number, names, _ in entries if number != "0" and not names.startswith("name=")]
    unused = "; Polyarch sets no limits"
    if others:
        return Diagnosis(name="cgroups", status="ok", found=f"version 1{unused}")
    if unified is None:
        return Diagnosis(name="cgroups", status="ok", found=f"none{unused}")
    place = f"/sys/fs/cgroup{unified.rstrip('/')}"
    delegated = os.access(f"{system.root}{place}", os.W_OK) and os.access(
        f"{system.root}{place}/cgroup.subtree_control", os.W_OK
    )
    controllers = system.read(f"{place}/cgroup.controllers") or "no controllers"
    how = f"delegated to this user ({controllers})" if delegated else "not delegated to this user"
    return Diagnosis(name="cgroups", status="ok", found=f"version 2, {how}{unused}")
