"""Syncs that do nothing: each system call is made by a program of a few instructions, which exits with its errno."""

import errno
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from polyarch.oci.platform import Platform
from polyarch.sandbox import probe, seccomp, syscalls
from tests.needs import need
from tests.people import Person
from tests.sandbox.inside import SEARCH_PATH, Room, inside

pytestmark = pytest.mark.integration

_EBADF, _ENOMEM = 9, 12
_MS_ASYNC, _MS_SYNC = 1, 4
_CLOSED = 77
# An address where no program has memory, and a length.
_UNMAPPED = (4096, 4096)
# Arguments, and the errno of the real system call. fdatasync of a descriptor that is not open fails; one that does
# nothing cannot know.
_CALLS: dict[str, tuple[tuple[int, ...], int]] = {
    "fsync": ((_CLOSED, 0, 0), _EBADF),
    "fdatasync": ((_CLOSED, 0, 0), _EBADF),
    "syncfs": ((_CLOSED, 0, 0), _EBADF),
    "sync_file_range": ((_CLOSED, 0, 0), _EBADF),
    "msync": ((*_UNMAPPED, _MS_SYNC), _ENOMEM),
}
_NUMBERS = {
    "amd64": (74, 75, 306, 277, 26),
    "386": (118, 148, 344, 314, 144),
    "arm64": (82, 83, 267, 84, 227),
    "arm": (118, 148, 373, 341, 144),
    "s390x": (118, 148, 338, 307, 144),
}


def _words(order: str, *words: int) -> str:
    return b"".join(struct.pack(f"{order}I", word) for word in words).hex()


def _code(architecture: str, number: int, arguments: tuple[int, ...]) -> str:
    """Machine code that makes one system call with three arguments and exits with its errno."""
    first, second, third = arguments
    match architecture:
        case "amd64":
            # mov edi, …; mov esi, …; mov edx, …; mov eax, …; syscall; mov edi, eax; neg edi; mov eax, 60; syscall
            moves = struct.pack("<BIBIBIBI", 0xBF, first, 0xBE, second, 0xBA, third, 0xB8, number).hex()
            return f"{moves} 0f05 89c7 f7df b83c000000 0f05"
        case "386":
            # mov ebx, …; mov ecx, …; mov edx, …; mov eax, …; int 0x80; mov ebx, eax; neg ebx; mov eax, 1; int 0x80
            moves = struct.pack("<BIBIBIBI", 0xBB, first, 0xB9, second, 0xBA, third, 0xB8, number).hex()
            return f"{moves} cd80 89c3 f7db b801000000 cd80"
        case "arm64":
            # movz xN, …; svc #0; neg w0, w0; movz x8, #93; svc #0
            moves = [0xD2800000 | value << 5 | to for to, value in ((0, first), (1, second), (2, third), (8, number))]
            return _words("<", *moves, 0xD4000001, 0x4B0003E0, 0xD2800BA8, 0xD4000001)
        case "arm":
            # movw rN, …; svc #0; rsb r0, r0, #0; mov r7, #1; svc #0
            pairs = ((0, first), (1, second), (2, third), (7, number))
            moves = [0xE3000000 | value >> 12 << 16 | to << 12 | value & 0xFFF for to, value in pairs]
            return _words("<", *moves, 0xEF000000, 0xE2600000, 0xE3A07001, 0xEF000000)
        case _:
            # lghi %rN, …; svc 0 (the number is in %r1); lcr %r2, %r2; svc 1
            pairs = ((2, first), (3, second), (4, third), (1, number))
            moves = [0xA7090000 | to << 20 | value for to, value in pairs]
            return f"{_words('>', *moves)} 0a00 1322 0a01"


def _programs(room: Room) -> Path:
    """A directory with a program for each architecture and call, and for calls that are never skipped."""
    wanted = {
        (architecture, name): (number, arguments)
        for architecture, numbers in _NUMBERS.items()
        for number, (name, (arguments, _)) in zip(numbers, _CALLS.items(), strict=True)
    }
    wanted["amd64", "fsync-of-minus-1"] = (74, ((1 << 32) - 1, 0, 0))
    for architecture, numbers in _NUMBERS.items():
        wanted[architecture, "msync-that-waits-for-nothing"] = (numbers[4], (*_UNMAPPED, _MS_ASYNC))
    lower = room.new("programs")
    for (architecture, name), (number, arguments) in wanted.items():
        machine = probe.MACHINES[architecture]
        code = _code(architecture, number, arguments)
        probe.MACHINES[architecture] = probe.Machine(machine.number, machine.bits, machine.order, code, machine.flags)
        file = lower / f"p/{architecture} {name}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(probe.executable(Platform(os="linux", architecture=architecture)) or b"")
        file.chmod(0o755)
        probe.MACHINES[architecture] = machine
    return lower


def _errnos(room: Room) -> list[dict[str, str]]:
    lower = _programs(room)
    script = 'cd /p; for each in *; do "./$each"; echo "$each:$?"; done'
    found = []
    for skip_syncs in (True, False):
        ran = room.run(script, "linux/amd64", room.base("linux/amd64"), lower, skip_syncs=skip_syncs)
        found.append(dict(line.split(":", 1) for line in ran.output.splitlines()))
    return found


def _check(skipped: dict[str, str], performed: dict[str, str]) -> None:
    kept = {f"{architecture} msync-that-waits-for-nothing": str(_ENOMEM) for architecture in _NUMBERS}
    kept["amd64 fsync-of-minus-1"] = str(_EBADF)
    calls = {f"{architecture} {name}": str(real) for architecture in _NUMBERS for name, (_, real) in _CALLS.items()}
    # qemu-arm reserves all addresses of the program, so there the kernel finds memory at each of them.
    calls["arm msync"] = kept["arm msync-that-waits-for-nothing"] = "0"
    assert skipped == {**dict.fromkeys(calls, "0"), **kept}
    assert performed == {**calls, **kept}


def test_a_skipped_sync_does_not_reach_the_kernel_natively_and_under_emulation(
    someone: Person, amd64: dict[str, Path]
) -> None:
    need("qemu-aarch64-static", "qemu-arm-static", "qemu-s390x-static")
    _check(*inside(someone, _errnos, amd64))


def _errnos_uncompiled(room: Room) -> list[dict[str, str]]:
    from polyarch.sandbox import bpf

    bpf.compiled = lambda profile: None
    return _errnos(room)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_profile_alone_skips_syncs_as_well(someone: Person, amd64: dict[str, Path], runtime: str) -> None:
    need(runtime)
    only = someone.directory / "only"
    only.mkdir()
    emulators = [f"qemu-{name}-static" for name in ("aarch64", "arm", "s390x")]
    for program in (runtime, "setpriv", "unshare", "newuidmap", "newgidmap", *emulators):
        (only / program).symlink_to(shutil.which(program, path=SEARCH_PATH) or "")
    _check(*inside(someone, _errnos_uncompiled, amd64, search_path=str(only)))


@pytest.mark.parametrize("architecture", ["386", "amd64", "arm", "arm64", "mips64le", "ppc64le", "riscv64", "s390x"])
def test_no_system_call_has_two_rules_of_which_one_would_hide_the_other(architecture: str) -> None:
    profile = seccomp.profile(architecture, skip_syncs=True)
    plain = seccomp.profile(architecture)
    assert profile is not None
    assert plain is not None

    def names(profile: dict[str, Any], *, conditional: bool) -> set[str]:
        return {name for rule in profile["syscalls"] if ("args" in rule) is conditional for name in rule["names"]}

    assert not names(profile, conditional=True) & names(profile, conditional=False)
    skipped = {name for rule in profile["syscalls"] if rule.get("errnoRet") == 0 for name in rule["names"]}
    allowed = {name for rule in plain["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert {"sync", "msync", "fsync", "fdatasync", "syncfs", "sync_file_range"} <= skipped
    # On another architecture, a call has no number and the rule no effect.
    assert skipped - allowed <= {"arm_sync_file_range", "sync_file_range2"}


def _mounts_of_root(room: Room) -> list[str]:
    found = []
    for volatile in (True, False):
        with room.sandbox.rootfs([str(room.base())], volatile=volatile) as root:
            _, output = room.run_in(root, "grep ' / / ' /proc/self/mountinfo; echo a >/etc/passwd; cat /etc/passwd")
            found.append(output)
    return found


def test_a_volatile_root_is_one_to_the_kernel(someone: Person, amd64: dict[str, Path]) -> None:
    volatile, plain = inside(someone, _mounts_of_root, amd64)
    assert "volatile" in volatile
    assert "volatile" not in plain
    assert [each.splitlines()[1] for each in (volatile, plain)] == ["a", "a"]


def _mounts_on_an_older_kernel(room: Room) -> list[str]:
    def refuse(context: int, key: str, value: str) -> None:
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, "Invalid argument")

    syscalls.fsconfig_string = refuse
    return _mounts_of_root(room)


def test_so_it_is_before_linux_6_8(someone: Person, amd64: dict[str, Path]) -> None:
    volatile, plain = inside(someone, _mounts_on_an_older_kernel, amd64)
    assert "volatile" in volatile
    assert "volatile" not in plain
