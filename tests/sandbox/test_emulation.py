"""Which platforms run, proved by running a program; the host is not changed."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform, parse
from polyarch.sandbox import (
    Bind,
    emulation,
    emulators,
    find_emulator,
    host_platform,
    host_platforms,
    probe,
    support,
)
from polyarch.sandbox.emulator_image import EmulatorImage
from polyarch.sandbox.settings import RunSettings
from tests import bases
from tests.needs import need, need_root
from tests.people import Person
from tests.sandbox import emulator_files
from tests.sandbox.inside import SEARCH_PATH, Room, inside, without_emulators

_FOREIGN = [
    platform
    for platform in map(parse, ("arm", "arm64", "riscv64", "ppc64le", "ppc64", "s390x", "mips64", "mips64le"))
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


def test_the_first_directory_wins_and_then_the_name(tmp_path: Path) -> None:
    need("qemu-s390x-static")
    for name in ("first/qemu-s390x", "second/qemu-s390x-static", "both/qemu-s390x", "both/qemu-s390x-static"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(shutil.which("qemu-s390x-static") or "", tmp_path / name)
    platform = parse("linux/s390x")
    assert find_emulator(platform, f"{tmp_path}/first:{tmp_path}/second") == f"{tmp_path}/first/qemu-s390x"
    assert find_emulator(platform, f"{tmp_path}/both:{tmp_path}/first") == f"{tmp_path}/both/qemu-s390x-static"


def _named(room: Room) -> dict[str, list[str]]:
    """What a step says with an emulator that the user has named, in a process that has not registered it before."""
    original = shutil.which("qemu-arm-static", path=SEARCH_PATH) or ""
    directory = room.new("emulators")
    files = {name: directory / name for name in ("good", "not executable", "script", "dynamic", "other", "absent")}
    for name in ("good", "not executable"):
        shutil.copy(original, files[name])
    files["not executable"].chmod(0o644)
    files["script"].write_text("#!/bin/sh\n")
    files["script"].chmod(0o755)
    shutil.copy("/bin/true", files["dynamic"])
    shutil.copy(shutil.which("qemu-s390x-static", path=SEARCH_PATH) or "", files["other"])
    said = {}
    for name, file in {**files, "directory": directory}.items():
        emulation.name({"arm": str(file)})
        try:
            said[name] = [room.run("uname -m", "linux/arm/v7").output.strip()]
        except UnsupportedError as error:
            said[name] = [error.message, (error.hint or "").replace(str(directory), "DIR")]
    emulation.name({"arm": original})
    said["again"] = [room.run("uname -m", "linux/arm/v7").output.strip()]
    return said


def test_a_named_emulator_is_used_or_its_fault_is_said(someone: Person) -> None:
    need("qemu-arm-static", "qemu-s390x-static")
    said = inside(someone, _named, bases.busybox_tars(["linux/arm/v7"]))
    refused = "this machine cannot run programs for linux/arm/v7"
    assert said == {
        "good": ["armv7l"],
        "not executable": [refused, "DIR/not executable cannot be executed: 'chmod +x' lets it"],
        "script": [
            refused,
            "DIR/script is not a static program: it would look for its libraries in the container",
        ],
        "dynamic": [
            refused,
            "DIR/dynamic is not a static program: it would look for its libraries in the container",
        ],
        "other": [refused, "DIR/other does not run programs for arm"],
        "absent": [refused, "there is no emulator DIR/absent"],
        "directory": [refused, "DIR is not a file"],
        "again": ["armv7l"],
    }


def test_a_probe_that_cannot_run_is_told_from_one_that_can() -> None:
    # The proof must be able to fail: the host's own probe runs, one with a broken instruction does not.
    host = host_platform()
    assert emulation.is_runnable(host.architecture)
    broken = dict(probe.MACHINES)
    try:
        machine = broken[host.architecture]
        probe.MACHINES[host.architecture] = probe.Machine(machine.number, machine.bits, machine.order, "00" * 16)
        assert not emulation.is_runnable(host.architecture)
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


@pytest.mark.parametrize("marked", ["mips64le", "arm64"])
def test_a_pattern_is_not_stricter_than_the_kernel(marked: str) -> None:
    magic, mask = probe.pattern(marked)
    program = bytearray(probe.executable(Platform(os="linux", architecture=marked)) or b"")
    # An AppImage's mark; an OS ABI and an ABI version. The class and the machine still count.
    for change in ({8: 0x41, 9: 0x49, 10: 0x02}, {7: 3, 8: 1}, {15: 7}):
        changed = bytearray(program)
        for place, byte in change.items():
            changed[place] = byte
        assert all(a & m == b & m for a, b, m in zip(changed, magic, mask, strict=False))
    program[4] ^= 3
    assert not all(a & m == b & m for a, b, m in zip(program, magic, mask, strict=False))


def _marked(room: Room) -> list[int]:
    lower = room.new("programs")
    # exit(0) as an AppImage of arm64, and with the ABI version 1 of mips64le.
    for name, architecture, mark in (("appimage", "arm64", b"AI\x02"), ("abi", "mips64le", b"\x01")):
        program = bytearray(probe.executable(parse(architecture)) or b"")
        program[8 : 8 + len(mark)] = mark
        (lower / name).write_bytes(program)
        (lower / name).chmod(0o755)
    return [
        room.run([f"/{name}"], f"linux/{architecture}", lower).status
        for name, architecture in (("appimage", "arm64"), ("abi", "mips64le"))
    ]


def test_an_appimage_and_a_program_with_an_abi_version_run(someone: Person, amd64: dict[str, Path]) -> None:
    need("qemu-aarch64-static", "qemu-mips64el-static")
    assert inside(someone, _marked, amd64) == [0, 0]


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
    message, hint = inside(someone, _missing, amd64, search_path=without_emulators(someone))
    assert message == "this machine cannot run programs for linux/arm64"
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
    # This namespace, with one emulator, plays the host; a process within it cannot have a table of its own.
    emulation._examined = True
    room.run("true", "linux/arm64")
    found = "for found in support([parse('arm64'), parse('s390x')], '/usr/bin'): print(found.how, found.hint)"
    return _without_a_table("from polyarch.sandbox import support; from polyarch.oci.platform import parse", found)


def _without_a_table(*lines: str) -> list[str]:
    """The output of a Python program that cannot mount its own binfmt_misc, as before Linux 6.7."""
    refuse = (
        "from polyarch.sandbox import syscalls",
        "allow = syscalls.fsopen",
        "def refuse(kind):",
        "    if kind == 'binfmt_misc': raise PermissionError(1, 'Operation not permitted')",
        "    return allow(kind)",
        "syscalls.fsopen = refuse",
    )
    command = [sys.executable, "-c", "\n".join((*refuse, *lines))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_before_linux_6_7_what_the_host_has_registered_is_used(someone: Person, two_platforms: dict[str, Path]) -> None:
    need("qemu-aarch64-static", "qemu-s390x-static")
    registered, not_registered = inside(someone, _on_an_older_kernel, two_platforms)
    assert registered == "emulated "
    assert not_registered.startswith("missing registering an emulator needs Linux 6.7 or later")


# A value for each variable that changes what qemu does.
_VALUES = {
    "QEMU_ARGV0": "other", "QEMU_CPU": "", "QEMU_DFILTER": "nonsense", "QEMU_GDB": "nonsense", "QEMU_GUEST_BASE": "7",
    "QEMU_LD_PREFIX": "/etc", "QEMU_LOG": "nonsense", "QEMU_LOG_FILENAME": "/f", "QEMU_PAGESIZE": "3",
    "QEMU_RAND_SEED": "x", "QEMU_RESERVED_VA": "7", "QEMU_SET_ENV": "ADDED=1", "QEMU_SINGLESTEP": "1",
    "QEMU_STACK_SIZE": "x", "QEMU_STRACE": "1", "QEMU_TRACE": "x", "QEMU_UNAME": "1.2", "QEMU_UNSET_ENV": "PATH",
    "QEMU_VERSION": "9.0", "QEMU_RTSIG_MAP": "x", "QEMU_ONE_INSN_PER_TB": "1", "QEMU_TB_SIZE": "x",
    "QEMU_JITDUMP": "1", "QEMU_PERFMAP": "1", "QEMU_PLUGIN": "x",
}  # fmt: skip


def _with_variables(room: Room) -> dict[str, list[Any]]:
    env = ("PATH=/bin", *(f"{name}={value}" for name, value in _VALUES.items()))
    said = {}
    for platform in ("linux/amd64", "linux/arm64", "linux/s390x"):
        ran = room.run("env | sort; uname -r; exit 7", platform, env=env)
        said[platform] = [ran.status, ran.output]
    # A shell's own variable, which nothing outside the container knows, and one program that starts another.
    said["own"] = list(room.run("export QEMU_VERSION=1 QEMU_CPU=; sh -c 'exit 7'", "linux/arm64")[:2])
    return said


def test_an_emulated_program_gets_the_variables_that_a_native_one_gets(someone: Person) -> None:
    need("qemu-aarch64-static", "qemu-s390x-static")
    assert set(_VALUES) == emulators.VARIABLES
    said = inside(someone, _with_variables, bases.busybox_tars(["linux/amd64", "linux/arm64", "linux/s390x"]))
    assert said["own"] == [7, ""]
    assert said["linux/amd64"][0] == 7
    assert all(f"{name}={value}\n" in said["linux/amd64"][1] for name, value in _VALUES.items())
    assert said["linux/arm64"] == said["linux/s390x"] == said["linux/amd64"]


def _programs_of_others(room: Room) -> list[str]:
    machines = []
    for platform in ("linux/arm64", "linux/s390x"):
        shown = (Bind(str(room.base(platform)), "/mnt", read_only=True),)
        command = ["/mnt/bin/busybox", "uname", "-m"]
        machines.append(room.run(command, "linux/amd64", mounts=shown).output)
        machines.append(room.run(command, "linux/amd64", mounts=shown, env=("QEMU_VERSION=9.0",)).output)
    return machines


def test_a_native_process_starts_programs_of_any_platform_that_was_not_asked_for(someone: Person) -> None:
    need("qemu-aarch64-static", "qemu-s390x-static")
    known = bases.busybox_tars(["linux/amd64", "linux/arm64", "linux/s390x"])
    assert inside(someone, _programs_of_others, known) == ["aarch64\n", "aarch64\n", "s390x\n", "s390x\n"]


def _step_on_an_older_kernel(room: Room) -> list[str]:
    room.run("true", "linux/arm64")
    store = room.new("store")
    (store / "Dockerfile").write_text("FROM busybox\nENV QEMU_DIR=/opt\nRUN true\nENV A=b QEMU_CPU=max\nRUN true\n")
    cli = (
        f"import os; os.environ['POLYARCH_ROOT'] = '{store}/root'",
        "from polyarch.cli.execute import execute",
        f"execute(['import', '--platform', 'linux/arm64', '{room.bases['linux/arm64']}', 'busybox'])",
    )
    build = _without_a_table(*cli, f"execute(['build', '-q', '--platform', 'linux/arm64', '{store}'])")
    run = "execute(['run', '--platform', 'linux/arm64', '-e', 'QEMU_VERSION=1', 'busybox', 'true'])"
    return [*build, *_without_a_table(*cli, run)]


def test_before_linux_6_7_a_variable_that_the_emulator_takes_is_an_error_with_its_line(
    someone: Person, two_platforms: dict[str, Path]
) -> None:
    need("qemu-aarch64-static")
    said = "\n".join(inside(someone, _step_on_an_older_kernel, two_platforms))
    assert "the emulator for linux/arm64 would read the variable QEMU_CPU as its own option" in said
    assert ">>> ENV A=b QEMU_CPU=max" in said
    assert ">>> RUN true" in said
    assert "the variable QEMU_DIR" not in said
    assert "would read the variable QEMU_VERSION" in said


def _emulator() -> bytes:
    return b"\0" + b"".join(f"{name}\0".encode() for name in sorted(emulators.VARIABLES)) + b" QEMU_OPT_BOOL\0"


def test_where_the_variables_of_an_emulator_are() -> None:
    content = _emulator()
    found = emulators.variables(EmulatorImage.of_bytes(content + b"QEMU_NEW\0"))
    assert set(found) == {*emulators.VARIABLES, "QEMU_NEW"}
    assert all(content[at:].startswith(name.encode()) for name, at in found.items() if name != "QEMU_NEW")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_emulator().replace(b"\0QEMU_CPU\0", b"\0"), "QEMU_CPU does not occur in"),
        (_emulator() + b"\0QEMU_CPU\0", "QEMU_CPU does not occur exactly once"),
        (_emulator() + b"\0XQEMU_CPU\0", "QEMU_CPU does not occur exactly once"),
        (b"", "does not occur in"),
    ],
)
def test_an_emulator_with_other_names_is_not_copied(content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        emulators.variables(EmulatorImage.of_bytes(content))


def test_a_copy_is_made_once_for_a_digest_and_goes_with_its_emulator(tmp_path: Path) -> None:
    first, second = tmp_path / "qemu-a", tmp_path / "qemu-b"
    for file in (first, second):
        file.write_bytes(_emulator())
    copies = emulators.EmulatorCopies(str(tmp_path / "copies"))

    def copy(file: Path) -> Path:
        return Path(copies.copy(str(file), "arm64", ("a72", "")).path)

    copied = copy(first)
    assert copied.name == hashlib.sha256(_emulator() + b"3\0arm64\0a72\0").hexdigest()
    assert b"QEMU_CPU" not in copied.read_bytes()
    assert b"\0\0EMU_CPU\0" in copied.read_bytes()
    assert copied.stat().st_mode & 0o7777 == 0o755
    inode = copied.stat().st_ino
    assert copy(first).stat().st_ino == inode
    second.write_bytes(_emulator() + b"newer")
    newer = copy(second)
    assert newer != copied
    # Other processors are another copy beside it.
    other = Path(copies.copy(str(second), "arm64", ("a53",)).path)
    assert newer != other
    assert newer.exists()
    other.unlink()
    first.unlink()
    second.write_bytes(_emulator() + b"newest")
    newest = copy(second)
    assert {path.name for path in (tmp_path / "copies").iterdir()} == {newest.name, "known.json", "lock"}
    newest.unlink()
    assert copy(second).exists()


def test_a_copy_that_a_full_disk_stops_leaves_nothing(tmp_path: Path) -> None:
    need_root()
    file = tmp_path / "qemu-a"
    file.write_bytes(_emulator() + b"x" * (1 << 20))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,noexec", "none", small], check=True)
    try:
        copies = emulators.EmulatorCopies(str(small / "copies"))
        with pytest.raises(OSError, match="No space left"):
            copies.copy(str(file), "arm64", ())
        assert {path.name for path in (small / "copies").iterdir()} == {"lock"}
        assert copies.forbids_execution()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_an_emulator_that_cannot_be_copied_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "qemu-a"
    file.write_bytes(b"something else")
    for _ in range(2):
        with pytest.raises(UnsupportedError, match="does not occur in this emulator"):
            emulators.EmulatorCopies(str(tmp_path / "copies")).copy(str(file), "arm64", ())
    assert {path.name for path in (tmp_path / "copies").iterdir()} == {"known.json", "lock"}


def _arm64(*words: int) -> str:
    return b"".join(word.to_bytes(4, "little") for word in words).hex()


# clone(CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM, sp - 8192, 0, 0, 0); the thread exits
# with 0; the process sleeps for 100 ms and exits with 7. The emulator ends its own thread by pthread_exit, which finds
# its way by program headers.
_THREAD = _arm64(
    *(0xD281E000, 0xF2A000A0, 0xD1400BE1, 0xD2800002, 0xD2800003, 0xD2800004, 0xD2801B88, 0xD4000001),
    *(0xB5000060, 0xD2800BA8, 0xD4000001),
    *(0xD2800009, 0xD29C200A, 0xF2A0BEAA, 0xA9BF2BE9, 0x910003E0, 0xD2800001, 0xD2800CA8, 0xD4000001),
    *(0xD28000E0, 0xD2800BC8, 0xD4000001),
)
# mrs x0, ID_AA64ISAR1_EL1; ubfx x0, x0, …, #4; exit(x0): the fields API (implementation defined) and APA (QARMA5).
_POINTER_AUTHENTICATION = {
    "implementation defined": _arm64(0xD5380620, 0xD3482C00, 0xD2800BA8, 0xD4000001),
    "QARMA5": _arm64(0xD5380620, 0xD3441C00, 0xD2800BA8, 0xD4000001),
}


def _coded(code: str, directory: Path, name: str) -> str:
    probe.MACHINES["arm64"] = probe.Machine(183, 64, "<", code)
    file = directory / name
    file.write_bytes(probe.executable(parse("linux/arm64")) or b"")
    file.chmod(0o755)
    return f"/{name}"


def _statuses(room: Room) -> list[int]:
    lower = room.new("programs")
    programs = [_coded(_THREAD, lower, "thread"), *(_coded(c, lower, n) for n, c in _POINTER_AUTHENTICATION.items())]
    probe.MACHINES["arm64"] = probe.Machine(183, 64, "<", "000080d2 a80b80d2 010000d4")
    # The processor of the baseline has no such keys.
    settings = RunSettings(emulated_cpus=(("", "default"),))
    return [room.run([program], "linux/arm64", lower, settings=settings).status for program in programs]


def test_a_thread_ends_and_pointers_are_authenticated_by_the_fast_algorithm(
    someone: Person, two_platforms: dict[str, Path]
) -> None:
    need("qemu-aarch64-static")
    thread, *fields = inside(someone, _statuses, two_platforms)
    assert thread == 7
    assert dict(zip(_POINTER_AUTHENTICATION, map(bool, fields), strict=True)) == {
        "implementation defined": True,
        "QARMA5": False,
    }


def test_a_faster_copy_that_does_not_start_is_replaced_by_a_plain_one(tmp_path: Path) -> None:
    # This has the headers of an emulator, but at its entry point there is no code.
    original = bytes(emulator_files.emulator()) + _emulator()
    assert emulator_files.prelinked(original)[16] == 2
    (tmp_path / "qemu-a").write_bytes(original)
    copied = emulators.EmulatorCopies(str(tmp_path / "copies")).copy(str(tmp_path / "qemu-a"), "arm", ("cortex-a7",))
    copy = Path(copied.path).read_bytes()
    assert (copy[16], len(copy)) == (3, len(original))
    assert b"QEMU_CPU" not in copy
    assert (copied.unknown, copied.short_positions) == (("cortex-a7",), False)


_ABOUT_ITSELF = """
readlink /proc/self/exe
sh -c 'echo $0 $#' name one two
ln -s /bin/busybox /tmp/echo && /tmp/echo as another name
trap 'echo got the signal' USR1; kill -USR1 $$
sh -c 'kill -SEGV $$' 2>/dev/null; echo $?
(sleep 5 & kill -TERM $!; wait $!; echo $?) 2>/dev/null
/nothing 2>/dev/null; echo $?
"""


def _about_themselves(room: Room) -> dict[str, str]:
    return {platform: room.run(_ABOUT_ITSELF, platform).output for platform in room.bases}


def test_names_signals_and_errors_are_as_on_a_native_processor(someone: Person) -> None:
    need("qemu-aarch64-static", "qemu-arm-static", "qemu-s390x-static")
    platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]
    said = inside(someone, _about_themselves, bases.busybox_tars(platforms))
    assert said["linux/amd64"].splitlines()[0] == "/bin/busybox"
    assert "got the signal" in said["linux/amd64"]
    assert said == dict.fromkeys(platforms, said["linux/amd64"])


def test_an_emulator_that_cannot_be_seen_is_not_named() -> None:
    arm64 = Platform(os="linux", architecture="arm64")
    assert str(emulation.Support(arm64, "native")) == "native"
    assert (
        str(emulation.Support(arm64, "emulated", "/usr/bin/qemu-aarch64-static"))
        == "emulated by /usr/bin/qemu-aarch64-static"
    )
    assert str(emulation.Support(arm64, "emulated")) == "run by the host"
