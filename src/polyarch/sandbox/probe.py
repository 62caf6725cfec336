"""The smallest program for each platform: an ELF file that only calls exit(0).

`image` makes the headers; the machine code below is written by hand. For a variant of an architecture, it begins
with an instruction that only the variant has, so that an older processor ends with SIGILL.
"""

import struct
from typing import Literal

import msgspec

from polyarch.oci.platform import Platform

# 64 KiB is the largest page size of these kernels, so this alignment suits them all.
CODE = 0x400000
_ALIGNMENT = 0x10000
# Where data begins in a file, and in memory.
DATA_OFFSET = 0x8000
DATA = 0x500000 + DATA_OFFSET
_MAGIC = b"\x7fELF"


class Machine(msgspec.Struct, frozen=True):
    """The format of an architecture's (GOARCH) programs. `flags` is e_flags; `code` is hexadecimal."""

    number: int
    bits: Literal[32, 64]
    order: Literal["<", ">"]
    code: str
    flags: int = 0


MACHINES: dict[str, Machine] = {
    # xor edi, edi; mov eax, 60 (exit); syscall
    "amd64": Machine(62, 64, "<", "31ff b83c000000 0f05"),
    # xor ebx, ebx; mov eax, 1 (exit); int 0x80
    "386": Machine(3, 32, "<", "31db b801000000 cd80"),
    # mov r0, #0; mov r7, #1 (exit); svc #0. e_flags: EABI version 5
    "arm": Machine(40, 32, "<", "0000a0e3 0170a0e3 000000ef", 0x05000000),
    # mov x0, #0; mov x8, #93 (exit); svc #0
    "arm64": Machine(183, 64, "<", "000080d2 a80b80d2 010000d4"),
    # li a0, 0; li a7, 93 (exit); ecall
    "riscv64": Machine(243, 64, "<", "13050000 9308d005 73000000"),
    # li r3, 0; li r0, 1 (exit); sc. e_flags: ELFv2, where the entry point is code, not a descriptor of a function
    "ppc64le": Machine(21, 64, "<", "00006038 01000038 02000044", 2),
    "ppc64": Machine(21, 64, ">", "38600000 38000001 44000002", 2),
    # lghi %r2, 0; svc 1 (exit)
    "s390x": Machine(22, 64, ">", "a7290000 0a01"),
    # li a0, 0; li v0, 5058 (exit of the n64 interface); syscall. e_flags: MIPS64r2
    "mips64": Machine(8, 64, ">", "24040000 240213c2 0000000c", 0x80000000),
    "mips64le": Machine(8, 64, "<", "00000424 c2130224 0c000000", 0x80000000),
    # ori a0, zero, 0; ori a7, zero, 93 (exit); syscall 0. e_flags: double floats, object file version 1
    "loong64": Machine(258, 64, "<", "04008003 0b748103 00002b00", 0x43),
}

_VARIANTS: dict[tuple[str, str], str] = {
    # popcnt eax, eax
    ("amd64", "v2"): "f30fb8c0",
    # vpxor ymm0, ymm0, ymm0 (AVX2); rorx eax, eax, 0 (BMI2)
    ("amd64", "v3"): "c5fdefc0 c4e37bf0c000",
    # vpxord zmm0, zmm0, zmm0 (AVX-512F)
    ("amd64", "v4"): "62f17d48efc0",
    # rev r0, r0
    ("arm", "v6"): "300fbfe6",
    # movw r0, #0
    ("arm", "v7"): "000000e3",
    # lda r0, [sp]
    ("arm", "v8"): "9f0c9de1",
    # vld $vr0, $sp, 0 (LSX), which the distributions for this architecture take for granted
    ("loong64", ""): "6000002c",
}


def executable(platform: Platform) -> bytes | None:
    """Return the program of a normalized platform, or None for another OS or an unknown architecture."""
    machine = MACHINES.get(platform.architecture)
    if machine is None or platform.os != "linux":
        return None
    return image(machine, requirements(platform) + bytes.fromhex(machine.code))


def requirements(platform: Platform) -> bytes:
    """Return instructions, without an effect, that every processor of a normalized platform has."""
    return bytes.fromhex(_VARIANTS.get((platform.architecture, platform.variant), ""))


def headers(machine: Machine, segments: int) -> int:
    """Return the size of the headers of a program with this number of segments."""
    return 64 + 56 * segments if machine.bits == 64 else 52 + 32 * segments


def image(machine: Machine, code: bytes, data: bytes = b"") -> bytes:
    """Return a program that begins with the first instruction of `code`.

    Code and headers are at CODE. `data`, if there is some, is a second segment, at DATA, which can be written. Raises
    ValueError if the code is too long for that.
    """
    order, wide = machine.order, machine.bits == 64
    identity = _MAGIC + bytes([1 if machine.bits == 32 else 2, 1 if order == "<" else 2, 1]) + bytes(9)
    count = 2 if data else 1
    start = headers(machine, count)
    header = struct.pack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
        *(2, machine.number, 1),  # ET_EXEC, e_machine, e_version
        *(CODE + start, 64 if wide else 52, 0),  # e_entry, e_phoff, e_shoff
        *(machine.flags, 64 if wide else 52, 56 if wide else 32, count, 64 if wide else 40, 0, 0),
    )
    places = [(0, CODE, start + len(code), 5)]  # PF_R | PF_X
    if data:
        if start + len(code) > DATA_OFFSET:
            raise ValueError("too much code")
        code += bytes(DATA_OFFSET - start - len(code))
        places.append((DATA_OFFSET, DATA, len(data), 6))  # PF_R | PF_W
    segments = b""
    for offset, address, size, flags in places:
        # PT_LOAD. The position of p_flags depends on the class.
        if wide:
            segments += struct.pack(order + "IIQQQQQQ", 1, flags, offset, address, address, size, size, _ALIGNMENT)
        else:
            segments += struct.pack(order + "IIIIIIII", 1, offset, address, address, size, size, flags, _ALIGNMENT)
    return identity + header + segments + code + data


def pattern(architecture: str) -> tuple[bytes, bytes]:
    """Return the magic and the mask by which the kernel recognizes a program of `architecture`.

    They apply to the first 20 bytes of a file, and accept executables (2) as well as position-independent ones (3). Of
    the bytes 7 to 15, they accept any, as the kernel does for native programs (load_elf_binary in fs/binfmt_elf.c): an
    AppImage has its own mark in bytes 8 to 10, and some programs for mips64le have an ABI version in byte 8.
    """
    machine = MACHINES[architecture]
    identity = _MAGIC + bytes([1 if machine.bits == 32 else 2, 1 if machine.order == "<" else 2, 1]) + bytes(9)
    magic = identity + struct.pack(machine.order + "HH", 2, machine.number)
    mask = b"\xff" * 7 + bytes(9) + struct.pack(machine.order + "HH", 0xFFFE, 0xFFFF)
    return magic, mask
