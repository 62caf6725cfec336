"""Kernels and settings that the machine of the tests does not have: their files are fakes, what they mean is not."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from polyarch.doctor import kernel, programs
from polyarch.doctor.system import System
from polyarch.sandbox.binfmt import Registration
from polyarch.sandbox.trial import Refusal, Trial
from polyarch.sandbox.versions import version
from tests.needs import missing, need_root
from tests.program import run

OLD = Trial(ids=65537, table=Refusal("Operation not permitted"))
DEBIAN = "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A machine whose files are below a directory."""
    return System("/usr/bin:/bin", str(tmp_path))


def write(system: System, path: str, text: str) -> None:
    file = Path(system.root + path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_debians_registration_loses_setuid_before_linux_6_7(system: System) -> None:
    found = programs.binfmt(system, OLD, {"arm64": Registration(DEBIAN, "OPF")})
    assert found.status == "limited"
    assert found.found == "this machine's table: arm64 (flags OPF)"
    assert "setuid programs (sudo, su) keep the caller's id: arm64" in found.reason


def test_a_registration_without_f_is_not_found_in_an_image(system: System) -> None:
    found = programs.binfmt(system, OLD, {"arm64": Registration(DEBIAN, "OC"), "arm": Registration(DEBIAN, "FOC")})
    assert found.found == "this machine's table: arm (flags FOC); arm64 (flags OC)"
    assert found.reason.endswith("without the flag F an emulator is searched in the image: arm64")


def test_a_good_registration_is_enough(system: System) -> None:
    assert programs.binfmt(system, OLD, {"arm64": Registration(DEBIAN, "POCF")}).status == "ok"


def test_no_registration_before_linux_6_7(system: System) -> None:
    found = programs.binfmt(system, OLD, {})
    assert (found.status, found.found) == ("limited", "no emulator is registered on this machine")
    assert "qemu-user-static binfmt-support" in found.mend


def test_the_command_that_mends_a_registration_does(tmp_path: Path) -> None:
    """It runs where /etc/binfmt.d is a copy and systemctl does nothing; the kernel takes the result."""
    need_root()
    if not Path("/usr/lib/binfmt.d/qemu-aarch64.conf").exists():
        missing("needs Debian's qemu-user-static")
    mend = programs.binfmt(System("/bin"), OLD, {"arm64": Registration(DEBIAN, "OPF")}).mend
    (tmp_path / "systemctl").symlink_to("/bin/true")
    script = f"""
        set -e
        mkdir -p /etc/binfmt.d
        mount -t tmpfs none /etc/binfmt.d
        PATH={shlex.quote(str(tmp_path))}:$PATH
        {mend}
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        cat /etc/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
        grep flags /proc/sys/fs/binfmt_misc/qemu-aarch64
    """
    flags = run(["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script]).stdout
    assert sorted(flags.split()[1]) == ["C", "F", "O", "P"]


def test_apparmor_as_ubuntu_has_it(system: System) -> None:
    write(system, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
    refused = kernel.apparmor(system, Trial(namespace=Refusal("cannot make the mounts private")))
    assert refused.status == "missing"
    assert refused.mend.endswith("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
    assert kernel.apparmor(system, Trial()).status == "ok"
    write(system, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n")
    assert kernel.apparmor(system, Trial()).found == "does not restrict user namespaces"


def test_a_filter_of_a_container_is_named_only_if_something_fails(system: System) -> None:
    write(system, "/proc/self/status", "Name:\tpython\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    assert kernel.seccomp(system, Trial()).status == "ok"
    refused = kernel.seccomp(system, Trial(namespace=Refusal("Operation not permitted")))
    assert (refused.status, refused.mend) == (
        "limited",
        "start the container with --security-opt seccomp=unconfined",
    )
    write(system, "/proc/self/status", "Name:\tpython\n")
    assert kernel.seccomp(system, Trial()).status == "missing"


def test_cgroups(system: System) -> None:
    assert kernel.cgroups(system).found.startswith("none")
    write(system, "/proc/self/cgroup", "3:memory:/\n1:name=systemd:/\n0::/\n")
    assert kernel.cgroups(system).found.startswith("version 1")
    write(system, "/proc/self/cgroup", "0::/user.slice/mine\n")
    assert kernel.cgroups(system).found.startswith("version 2, not delegated to this user")
    write(system, "/sys/fs/cgroup/user.slice/mine/cgroup.subtree_control", "")
    write(system, "/sys/fs/cgroup/user.slice/mine/cgroup.controllers", "cpu memory pids\n")
    assert kernel.cgroups(system).found.startswith("version 2, delegated to this user (cpu memory pids)")


def test_a_container_that_forbids_containers_is_named(system: System) -> None:
    """What podman's seccomp profile does to crun, see tests/container."""
    refused = Trial(ids=65537, container=Refusal("cannot start /probe: sethostname: Operation not permitted"))
    write(system, "/run/.containerenv", "")
    found = programs.container(system, refused)
    assert found is not None
    assert (found.status, found.found) == ("missing", "cannot be started")
    assert "--security-opt seccomp=unconfined" in found.mend
    assert programs.container(system, Trial(overlay=Refusal("no"))) is None


def test_a_container_is_recognized(system: System) -> None:
    assert not kernel.kernel(system).found.endswith("in a container")
    write(system, "/run/.containerenv", "")
    assert kernel.kernel(system).found.endswith(f"on {os.uname().machine}, in a container")


def test_few_ids_of_a_container(system: System) -> None:
    found = kernel.ids(system, Trial(ids=1000))
    assert found is not None
    assert (found.status, found.found) == ("limited", "1,000 ids")
    assert kernel.ids(system, Trial(namespace=Refusal("no"))) is None


def test_versions_of_programs(tmp_path: Path) -> None:
    silent, late = tmp_path / "silent", tmp_path / "late"
    silent.write_text("#!/bin/sh\nexit 1\n")
    late.write_text("#!/bin/sh\necho 'qemu-arm version 10.0.2 (Debian 1:10)'\necho more\n")
    for file in (silent, late):
        file.chmod(0o755)
    assert version(str(silent)) == "version unknown"
    assert version(str(late)) == "qemu-arm 10.0.2"
    assert version(str(tmp_path / "absent")) == "--version failed: FileNotFoundError"


def test_package_managers(tmp_path: Path) -> None:
    assert System(str(tmp_path)).install("crun") == "install the package crun"
    (tmp_path / "dnf").symlink_to("/bin/true")
    assert System(str(tmp_path)).install("uidmap").removeprefix("sudo ") == "dnf install shadow-utils"


def test_a_mend_is_a_command_that_a_shell_can_read(system: System) -> None:
    mend = programs.binfmt(system, OLD, {"arm64": Registration(DEBIAN, "OPF")}).mend
    subprocess.run(["sh", "-n", "-c", mend], check=True)
