"""Code that copies of emulators get: where it goes, and what 32-bit programs see of directories because of it."""

import contextlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import parse
from polyarch.sandbox import Bind, emulator_code, probe
from polyarch.sandbox.emulator_image import EmulatorImage
from tests.needs import need
from tests.people import Person
from tests.sandbox import emulator_files
from tests.sandbox.emulator_files import damaged
from tests.sandbox.inside import Room, inside

_CODE, _CODE_SIZE, _PAGE_END = 0x1000, 0x900, 0x2000
_SYSCALL, _LSEEK = 0x1100, 0x1200


def emulator() -> bytearray:
    """A static position-independent executable with a segment of code that has both functions of glibc, and room."""
    image = emulator_files.emulator()
    names = bytes(image[0x1800:0x180E])
    headers = [
        (1, 4, 0, 0, 0, 0x1000, 0x1000, 4096),
        (1, 5, _CODE, _CODE, _CODE, _CODE_SIZE, _CODE_SIZE, 4096),
        *(struct.unpack_from("<IIQQQQQQ", image, 64 + 56 * number) for number in range(1, 5)),
    ]
    struct.pack_into("<H", image, 56, len(headers))
    for number, header in enumerate(headers):
        struct.pack_into("<IIQQQQQQ", image, 64 + 56 * number, *header)
    assert image[0x1800:0x180E] == names
    for place, code in ((_SYSCALL, emulator_code._SYSCALL), (_LSEEK, emulator_code._LSEEK)):
        image[place : place + len(code)] = code
    return image


def _with_two(raw: bytearray) -> bytearray:
    image = EmulatorImage.of_bytes(raw)
    return bytearray(bytes(emulator_code.with_processors(image, ("cortex-a7", "", "arm926"))))


def _with_32_bit_directories(raw: bytearray) -> bytearray:
    return bytearray(bytes(emulator_code.with_32_bit_directories(EmulatorImage.of_bytes(raw))))


def _segment_of_code(image: bytearray) -> tuple[int, ...]:
    return struct.unpack_from("<IIQQQQQQ", image, 64 + 56)


def test_an_emulator_begins_in_the_padding_and_goes_on_where_it_began() -> None:
    image = _with_two(emulator())
    entry = struct.unpack_from("<Q", image, 24)[0]
    assert entry == _CODE + _CODE_SIZE
    *_, size, memory, _ = _segment_of_code(image)
    assert size == memory > _CODE_SIZE
    assert _CODE + size <= _PAGE_END
    added = bytes(image[entry : _CODE + size])
    # mov eax, 180; and at the end of the code, a jump to where the original began.
    assert added.startswith(bytes.fromhex("b8b4000000"))
    jump = added.index(b"\x56\xe9") + 1
    assert entry + jump + 5 + struct.unpack_from("<i", added, jump + 1)[0] == 0x1234
    table = jump + 5
    offsets = struct.unpack_from("<3i", added, table)
    names = [added[table + at :].partition(b"\0")[0] if at else b"" for at in offsets]
    assert names == [b"cortex-a7", b"", b"arm926"]
    changed = {at for at, (new, old) in enumerate(zip(image, emulator(), strict=True)) if new != old}
    assert all(at < 0x200 or _CODE + _CODE_SIZE <= at < _PAGE_END for at in changed)


def test_both_functions_jump_to_the_code_and_back() -> None:
    image = _with_32_bit_directories(emulator())
    for start, pattern, code in (
        (_SYSCALL, emulator_code._SYSCALL, emulator_code._READ),
        (_LSEEK, emulator_code._LSEEK, emulator_code._SEEK),
    ):
        jump = start + len(pattern) - 9
        assert image[jump] == 0xE9
        place = jump + 5 + struct.unpack_from("<i", image, jump + 1)[0]
        assert _CODE + _CODE_SIZE <= place < _PAGE_END
        back = place + emulator_code._after(code, "back")
        # The conditional jump after the comparison.
        assert back + struct.unpack_from("<i", image, back - 4)[0] == start + len(pattern) - 1


@pytest.mark.parametrize("change", [_with_two, _with_32_bit_directories])
def test_an_emulator_without_room_or_with_other_functions_is_refused(
    change: Callable[[bytearray], bytearray],
) -> None:
    full = emulator()
    full[_CODE + _CODE_SIZE + 7] = 1
    with pytest.raises(UnsupportedError, match="no room"):
        change(full)
    with pytest.raises(UnsupportedError):
        change(bytearray(b"\x7fELF"))
    twice = emulator()
    twice[0x1400 : 0x1400 + len(emulator_code._LSEEK)] = emulator_code._LSEEK
    with pytest.raises(UnsupportedError, match="not once"):
        _with_32_bit_directories(twice)


@pytest.mark.parametrize("change", [_with_two, _with_32_bit_directories])
@given(damaged(emulator()))
def test_a_damaged_emulator_is_changed_or_refused(
    change: Callable[[bytearray], bytearray], images: tuple[bytearray, bytearray]
) -> None:
    for image in images:
        with contextlib.suppress(UnsupportedError):
            assert len(change(image)) == len(image)


# The sources of the code, for the assembler, with numbers where the blanks are.
_SOURCES = {
    "choose": """
        mov $180, %eax; syscall; neg %eax; sub $0x11111111, %eax; cmp $0x22222222, %eax; jae go
        lea 0x33333333(%rip), %rcx; mov (%rcx,%rax,4), %eax; test %eax, %eax; jz go; add %rcx, %rax
        pop %rsi; pop %rdi; push %rax; lea 0x44444444(%rip), %rax; push %rax; push %rdi; add $2, %rsi; push %rsi
        go: .byte 0xe9; .long 0x55555555""",
    "read": """
        cmp $217, %eax; je directory; cmp $78, %eax; je directory; syscall
        done: cmp $-4095, %rax; .byte 0xe9; .long 0x55555555
        directory: syscall; test %rax, %rax; jle done; lea (%rsi,%rax), %rdx
        entry: mov 8(%rsi), %rcx; shr $32, %rcx; jz small; mov %rcx, 8(%rsi)
        small: movzwl 16(%rsi), %ecx; add %rcx, %rsi; cmp %rdx, %rsi; jb entry; jmp done""",
    "seek": """
        test %edx, %edx; jnz plain; lea -1(%rsi), %rcx; cmp $0x7ffffffe, %rcx; ja plain
        push %rsi; sub $512, %rsp; mov %rsp, %rsi; mov $512, %edx; mov $217, %eax; syscall; add $512, %rsp
        mov %eax, %r8d; xor %eax, %eax; test %r8d, %r8d; js decide
        xor %esi, %esi; mov $1, %edx; mov $8, %eax; syscall
        decide: pop %rsi; xor %edx, %edx; shr $32, %rax; jz plain
        mov %rsi, %r8; shl $32, %rsi; mov $8, %eax; syscall; test %rax, %rax; js done; mov %r8, %rax; jmp done
        plain: mov $8, %eax; syscall
        done: cmp $-4096, %rax; .byte 0xe9; .long 0x55555555""",
}


@pytest.mark.parametrize("name", _SOURCES)
def test_the_code_is_what_an_assembler_makes_of_its_source(name: str, tmp_path: Path) -> None:
    need("as", "objcopy")
    code = {"choose": emulator_code._CHOOSE, "read": emulator_code._READ, "seek": emulator_code._SEEK}[name]
    subprocess.run(["as", "--64", "-o", tmp_path / "o"], input=_SOURCES[name].encode(), check=True)
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.text", "o", "code"], cwd=tmp_path, check=True)
    blanks = {"first": 0x11111111, "count": 0x22222222, "table": 0x33333333, "option": 0x44444444}
    filled = emulator_code._filled(code, **blanks, entry=0x55555555, back=0x55555555)
    assert (tmp_path / "code").read_bytes() == filled


# For ARM: open /d, and read it whole. If all positions fit into 32 bits, seek to that of the first entry, and compare
# the inode of what follows with that of the second. The exit status is the number of entries, or above 250.
_LIST = (
    *(0xE28F00C8, 0xE3A01901, 0xE3A02000, 0xE3A07005, 0xEF000000, 0xE1A08000, 0xE3A09000, 0xE3A0A000, 0xE24DDA01),
    # read: getdents64; of the first call, keep d_off of the first entry and d_ino of the second
    *(0xE1A00008, 0xE1A0100D, 0xE3A02A01, 0xE3A070D9, 0xEF000000, 0xE3500000, 0xDA00000F, 0xE08D3000, 0xE1A0400D),
    *(0xE3590000, 0x1A000003, 0xE59DB008, 0xE1DD51B0, 0xE085500D, 0xE595C000),
    # entry: collect the upper halves of d_off, count, go to the next
    *(0xE594500C, 0xE18AA005, 0xE1D451B0, 0xE2899001, 0xE0844005, 0xE1540003, 0x3AFFFFF8, 0xEAFFFFE8),
    # seek: lseek (253: it returns something else); getdents64 (254: another entry); 255: a position does not fit
    *(0xE1A00008, 0xE1A0100B, 0xE3A02000, 0xE3A07013, 0xEF000000, 0xE150000B, 0x13A090FD, 0xE1A00008, 0xE1A0100D),
    *(0xE3A02A01, 0xE3A070D9, 0xEF000000, 0xE59D5000, 0xE155000C, 0x13A090FE, 0xE35A0000, 0x13A090FF, 0xE1A00009),
    *(0xE3A07001, 0xEF000000, 0x0000642F),
)


def _lists(room: Room) -> list[int]:
    probe.MACHINES["arm"] = probe.Machine(40, 32, "<", struct.pack(f"<{len(_LIST)}I", *_LIST).hex(), 0x05000000)
    program = probe.executable(parse("linux/arm/v5")) or b""
    probe.MACHINES["arm"] = probe.Machine(40, 32, "<", "0000a0e3 0170a0e3 000000ef", 0x05000000)
    lower, other = room.new("lower"), room.new("other")
    (lower / "list").write_bytes(program)
    (lower / "list").chmod(0o755)
    for directory in (lower / "d", other):
        directory.mkdir(exist_ok=True)
        for number in range(60):
            (directory / f"file-{number}").touch()
    statuses = [room.run(["/list"], "linux/arm/v7", lower).status]
    statuses.append(room.run(["/list"], "linux/arm/v7", lower, mounts=(Bind(str(other), "/d"),)).status)
    with room.rootfs(lower) as (root, upper):
        # A directory that only the upper layer has.
        (upper / "e").mkdir()
        for number in range(60):
            (upper / "e" / f"file-{number}").touch()
        statuses.append(room.run_in(root, ["/list"], "linux/arm/v7", mounts=(Bind(f"{root}/e", "/d"),))[0])
    return statuses


def test_a_32_bit_program_finds_all_entries_and_seeks_among_them(someone: Person, amd64: dict[str, Path]) -> None:
    need("qemu-arm-static")
    assert inside(someone, _lists, amd64) == [62, 62, 62]


@pytest.mark.parametrize("name", ["arm", "i386"])
def test_a_real_emulator_has_both_functions(name: str, tmp_path: Path) -> None:
    need(f"qemu-{name}-static")
    original = EmulatorImage.of_bytes(Path(shutil.which(f"qemu-{name}-static") or "").read_bytes())
    image = emulator_code.with_32_bit_directories(emulator_code.with_processors(original, ("max", "")))
    copy = tmp_path / "qemu"
    copy.write_bytes(emulator_files.prelinked(bytes(image)))
    copy.chmod(0o755)
    said = subprocess.run([copy, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"qemu-{name} version ")
