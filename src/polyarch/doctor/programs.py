"""The programs that builds start: the OCI runtime and the emulators."""

import subprocess
from collections.abc import Iterable, Mapping

from polyarch.doctor.diagnosis import Diagnosis
from polyarch.doctor.system import System, as_root
from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox import runtime
from polyarch.sandbox.binfmt import Registration
from polyarch.sandbox.emulation import Support
from polyarch.sandbox.trial import Trial

_SECONDS = 10
# F: the kernel has opened the emulator, so it is found in any root filesystem. C: setuid programs keep their effect.
_REGISTER = (
    "for f in /usr/lib/binfmt.d/qemu-*.conf; do sed 's/:[A-Z]*$/:OCPF/' $f > /etc/binfmt.d/${f##*/}; done; "
    "systemctl restart systemd-binfmt"
)


def oci_runtime(system: System) -> Diagnosis:
    """The program that starts containers, with its version."""
    try:
        found = runtime.find(system.search_path)
    except UnsupportedError as error:
        package = (error.hint or "").rpartition(" ")[2]
        return Diagnosis(
            name="OCI runtime",
            status="missing",
            found="none",
            reason=f"RUN and `polyarch run` do not work: {error.message}",
            mend=system.install(package),
        )
    return Diagnosis(name="OCI runtime", status="ok", found=f"{found.path} ({version(found.path)})")


def container(system: System, trial: Trial) -> Diagnosis | None:
    """Whether a process in a container can be started, as RUN does. None if something that it needs is missing."""
    if trial.namespace is not None or trial.overlay is not None:
        return None
    if trial.container is None:
        return Diagnosis(name="containers", status="ok", found="a program ran in one")
    inside = "start the surrounding container with --security-opt seccomp=unconfined; podman: also unmask=ALL; docker: "
    inside += "also systempaths=unconfined and apparmor=unconfined"
    return Diagnosis(
        name="containers",
        status="missing",
        found="cannot be started",
        reason=f"RUN and `polyarch run` do not work: {trial.container.message}",
        mend=inside if system.is_container() else trial.container.hint,
    )


def binfmt(system: System, trial: Trial, registrations: Mapping[str, Registration]) -> Diagnosis:
    """How the kernel finds emulators: in a table of each build (Linux 6.7), or in the machine's table."""
    if trial.namespace is None and trial.table is None:
        return Diagnosis(name="binfmt_misc", status="ok", found="each build registers the emulators for itself")
    reason = "Linux before 6.7 has one table of emulators for the whole machine"
    if trial.namespace is not None:
        reason = "a table for each build needs user namespaces"
    if not registrations:
        return Diagnosis(
            name="binfmt_misc",
            status="limited",
            found="no emulator is registered on this machine",
            reason=f"{reason}, so programs for other processors do not run",
            mend=system.install("qemu-user-static binfmt-support"),
        )
    listed = _listed(registrations)
    unfixed = sorted(name for name, entry in registrations.items() if "F" not in entry.flags)
    if unfixed:
        return Diagnosis(
            name="binfmt_misc",
            status="limited",
            found=listed,
            reason=f"{reason}, and without the flag F an emulator is searched in the image: {', '.join(unfixed)}",
            mend=_as_script(_REGISTER),
        )
    uncredited = sorted(name for name, entry in registrations.items() if "C" not in entry.flags)
    if uncredited:
        return Diagnosis(
            name="binfmt_misc",
            status="limited",
            found=listed,
            reason=f"{reason}, and without the flag C emulated setuid programs (sudo, su) keep the caller's id: "
            + ", ".join(uncredited),
            mend=_as_script(_REGISTER),
        )
    return Diagnosis(name="binfmt_misc", status="ok", found=listed)


def _listed(registrations: Mapping[str, Registration]) -> str:
    by_flags: dict[str, list[str]] = {}
    for name, entry in sorted(registrations.items()):
        by_flags.setdefault(entry.flags or "none", []).append(name)
    return "this machine's table: " + "; ".join(
        f"{', '.join(names)} (flags {flags})" for flags, names in by_flags.items()
    )


def _as_script(script: str) -> str:
    return as_root(f'sh -c "{script.replace("$", chr(92) + "$")}"')


def platforms(system: System, supports: Iterable[Support], wanted: frozenset[Platform]) -> tuple[Diagnosis, ...]:
    """One for each platform. Those in `wanted` are needed."""
    versions: dict[str, str] = {}
    result = []
    for support in supports:
        found, reason, mend = str(support), "", ""
        if support.how == "emulated" and support.emulator:
            if support.emulator not in versions:
                versions[support.emulator] = version(support.emulator)
            found = f"{support} ({versions[support.emulator]})"
        elif support.how == "missing":
            reason = support.hint
            if "qemu-user-static" in support.hint:
                reason, mend = f"no static emulator on PATH for {support.platform}", system.install("qemu-user-static")
        needed = support.platform in wanted
        status = "ok" if support.how != "missing" else "missing" if needed else "limited"
        result.append(
            Diagnosis(name=str(support.platform), status=status, found=found, reason=reason, mend=mend)  # type: ignore[arg-type]
        )
    return tuple(result)


def version(program: str) -> str:
    """The first line that a program prints for --version, shortened."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"--version failed: {type(error).__name__}"
    line = done.stdout.decode(errors="replace").partition("\n")[0].strip()
    words = line.replace(" version", "").split()
    return " ".join(words[:2]) or "version unknown"
