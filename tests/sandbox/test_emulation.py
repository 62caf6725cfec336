"""Which platforms run, proved by running; nothing of the host changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform, parse
from polyarch.sandbox import emulation, find_emulator, host_platform, host_platforms, probe, support
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import SEARCH_PATH, Room, inside

_FOREIGN = [
    platform
    for platform in map(
        parse, ("arm", "arm64", "riscv64", "ppc64le", "ppc64", "s390x", "mips64", "mips64le", "loong64")
    )
    if platform.architecture != host_platform().architecture
]


def test_the_hosts_own_platform_is_native_and_first() -> None:
    assert host_platforms()[0] == host_platform()
    assert [found.how for found in support([host_platform()], SEARCH_PATH)] == ["native"]


@pytest.mark.usefixtures("host_table")
def test_every_platform_that_qemu_has_is_proved_by_its_probe() -> None:
    need("qemu-aarch64-static")
    found = support(_FOREIGN, SEARCH_PATH)
    assert {each.platform: each.how for each in found} == dict.fromkeys(_FOREIGN, "emulated")
    assert all(Path(each.emulator).name.startswith("qemu-") for each in found)


def test_asking_leaves_this_process_where_it_was() -> None:
    before = os.readlink("/proc/self/ns/user"), os.readlink("/proc/self/ns/mnt")
    support(_FOREIGN, SEARCH_PATH)
    assert (os.readlink("/proc/self/ns/user"), os.readlink("/proc/self/ns/mnt")) == before


def test_without_an_emulator_the_package_is_named() -> None:
    foreign = _FOREIGN[0]
    (found,) = support([foreign], "/nonexistent:relative")
    assert found.how == "missing"
    assert "qemu-user-static" in found.hint


def test_another_system_or_an_unknown_processor_is_missing() -> None:
    found = support([parse("windows/amd64"), parse("linux/sparc64")], SEARCH_PATH)
    assert [each.how for each in found] == ["missing", "missing"]


def test_the_static_emulator_is_found_and_a_dynamic_one_is_not(tmp_path: Path) -> None:
    need("qemu-s390x-static")
    static = Path(shutil.which("qemu-s390x-static") or "")
    for name in ("static", "dynamic"):
        (tmp_path / name).mkdir()
    shutil.copy("/bin/true", tmp_path / "dynamic/qemu-s390x")
    (tmp_path / "static/qemu-s390x").symlink_to(static)
    platform = parse("linux/s390x")
    assert find_emulator(platform, str(tmp_path / "dynamic")) is None
    assert find_emulator(platform, f"{tmp_path}/dynamic:{tmp_path}/static") == str(static.resolve())


def test_a_probe_that_cannot_run_is_told_from_one_that_can() -> None:
    # The proof must be able to fail: the host's own probe runs, one with a broken instruction does not.
    host = host_platform()
    assert emulation._runs(host)
    broken = dict(probe.MACHINES)
    try:
        machine = broken[host.architecture]
        probe.MACHINES[host.architecture] = probe.Machine(machine.number, machine.bits, machine.order, "00" * 16)
        assert not emulation._runs(host)
    finally:
        probe.MACHINES.update(broken)


@pytest.mark.parametrize("architecture", sorted(probe.MACHINES))
def test_a_probe_is_what_its_pattern_matches_and_no_others(architecture: str) -> None:
    program = probe.executable(Platform(os="linux", architecture=architecture))
    assert program is not None
    matching = [
        name
        for name in probe.MACHINES
        for magic, mask in [probe.pattern(name)]
        if all(a & m == b & m for a, b, m in zip(program, magic, mask, strict=False))
    ]
    assert matching == [architecture]


def test_probes_are_elf_files_that_readers_accept() -> None:
    elffile = pytest.importorskip("elftools.elf.elffile")
    import io

    names = {"amd64": "x64", "386": "x86", "arm64": "AArch64", "arm": "ARM", "s390x": "IBM S/390", "riscv64": "RISC-V"}
    for architecture, name in names.items():
        file = elffile.ELFFile(io.BytesIO(probe.executable(Platform(os="linux", architecture=architecture)) or b""))
        assert file.get_machine_arch() == name
        (segment,) = file.iter_segments()
        assert segment["p_vaddr"] < file["e_entry"] < segment["p_vaddr"] + segment["p_memsz"]


def _missing(room: Room) -> list[str]:
    try:
        room.run("true", "linux/arm64", room.base("linux/amd64"))
    except UnsupportedError as error:
        return [error.message, error.hint or ""]
    return []


def test_running_a_platform_without_its_emulator_says_what_would_help(someone: Person, amd64: dict[str, Path]) -> None:
    if host_platform().architecture == "arm64":
        pytest.skip("not for this kind of machine: arm64 is native here")
    only = someone.directory / "no-qemu"
    only.mkdir()
    for program in ("crun", "setpriv", "unshare", "newuidmap", "newgidmap"):
        (only / program).symlink_to(shutil.which(program, path=SEARCH_PATH) or "")
    message, hint = inside(someone, _missing, amd64, search_path=str(only))
    assert message == "this machine cannot run programs of linux/arm64"
    assert "qemu-user-static" in hint


def _setuid(room: Room) -> list[int]:
    # mov x8, #175 (geteuid); svc #0; mov x8, #93 (exit); svc #0: the exit status is the effective user.
    probe.MACHINES["arm64"] = probe.Machine(183, 64, "<", "e81580d2 010000d4 a80b80d2 010000d4")
    lower = room.new("programs")
    for name, mode in (("plain", 0o755), ("setuid", 0o4755)):
        (lower / name).write_bytes(probe.executable(parse("linux/arm64")) or b"")
        (lower / name).chmod(mode)
    return [room.run([f"/{name}"], "linux/arm64", lower, user="7").status for name in ("plain", "setuid")]


def test_a_setuid_program_keeps_its_meaning_under_emulation(someone: Person, two_platforms: dict[str, Path]) -> None:
    need("qemu-aarch64-static")
    assert inside(someone, _setuid, two_platforms) == [7, 0]


def _on_an_older_kernel(room: Room) -> list[str]:
    # This namespace, with its emulator, plays the host; a process within it cannot have a table of its own.
    room.run("true", "linux/arm64")
    script = (
        "from polyarch.sandbox import syscalls, support; from polyarch.oci.platform import parse\n"
        "def refuse(kind): raise PermissionError(1, 'Operation not permitted')\n"
        "syscalls.fsopen = refuse\n"
        "for found in support([parse('arm64'), parse('s390x')], '/usr/bin'): print(found.how, found.hint)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_before_linux_6_7_what_the_host_has_registered_is_used(someone: Person, two_platforms: dict[str, Path]) -> None:
    need("qemu-aarch64-static", "qemu-s390x-static")
    registered, not_registered = inside(someone, _on_an_older_kernel, two_platforms)
    assert registered == "emulated "
    assert not_registered.startswith("missing registering an emulator needs Linux 6.7 or later")
