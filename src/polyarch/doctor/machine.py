"""All that is known without a network."""

from collections.abc import Sequence
from pathlib import Path

from polyarch.doctor import disk, kernel, programs
from polyarch.doctor.diagnosis import Diagnosis
from polyarch.doctor.system import System
from polyarch.oci import platform as normal
from polyarch.oci.platform import Platform
from polyarch.sandbox import support
from polyarch.sandbox.binfmt import host_registrations
from polyarch.sandbox.trial import trial as try_out


def examine_machine(
    root: Path, search_path: str, platforms: Sequence[Platform], needed: Sequence[Platform] = ()
) -> tuple[Diagnosis, ...]:
    """Examine this machine for a store at `root`, which need not exist, and for running `platforms` and `needed`.

    Child processes try what builds do; this machine does not change. The calling process must have a single thread.
    Raises PolyarchError.
    """
    system = System(search_path)
    with disk.trial_directory(root) as directory:
        tried = try_out(search_path, directory)
        storage = (
            disk.store(root, directory is not None),
            disk.file_system(system, root, directory, tried),
        )
    runtime = programs.oci_runtime(system)
    found = (
        kernel.kernel(system),
        kernel.user_namespaces(tried),
        kernel.apparmor(system, tried),
        kernel.seccomp(system, tried),
        kernel.ids(system, tried),
        kernel.cgroups(system),
        runtime,
        *storage,
        programs.container(system, tried) if directory is not None and runtime.status == "ok" else None,
        programs.binfmt(system, tried, host_registrations()),
    )
    wanted = frozenset(map(normal.normalize, needed))
    supports = support([*needed, *platforms], search_path)
    return (*(one for one in found if one is not None), *programs.platforms(system, supports, wanted))
