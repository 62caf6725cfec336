"""Code for amd64 that the copy of an emulator gets, behind its own in the same pages.

`with_processors`: before the emulator begins, the number of a processor is asked for (`processors.py`), and `-cpu
MODEL` becomes part of its arguments. qemu itself takes a default from its source code or a variable of the guest.

`with_32_bit_directories`: a program that was not built for large files has a `long` of 32 bits for the position of a
directory entry (d_off). ext4 has positions of 64 bits, the upper half of which is the hash of the name, and its readdir
ends with EOVERFLOW, for most programs without a word. To the programs of a 32-bit kernel, ext4 gives that upper half
alone, and so does a changed emulator, whatever the file system is. A seek to such a position is translated back.

Each is one change of a place that every emulator with glibc has once, at the instruction that enters the kernel.
"""

import re
import struct
from collections.abc import Sequence

from polyarch.errors import UnsupportedError
from polyarch.sandbox.emulator_file import StaticProgram, checked
from polyarch.sandbox.emulator_image import EmulatorImage
from polyarch.sandbox.processors import FIRST_ANSWER

_EXECUTABLE_SEGMENT = 1
_LOAD = 1
_ALIGNMENT = 16
_ENTRY = 24  # the place of e_entry in a file

# mov eax, 180 (nfsservctl: no kernel since 3.1 has it); syscall; neg eax
# sub eax, FIRST; cmp eax, COUNT; jae go
# lea rcx, [table]; mov eax, [rcx + 4*rax]; test eax, eax; jz go; add rax, rcx
# pop rsi (argc); pop rdi (argv[0]); push rax; lea rax, [option]; push rax; push rdi; add rsi, 2; push rsi
# go: jmp ENTRY
_CHOOSE = (
    "b8b4000000 0f05 f7d8 2d{first} 3d{count} 7322"
    "488d0d{table} 8b0481 85c0 7414 4801c8"
    "5e 5f 50 488d05{option} 50 57 4883c602 56"
    "e9{entry}"
)

# syscall() of glibc: it moves its arguments to where the kernel expects them; syscall; cmp rax, -4095; jae error
_SYSCALL = bytes.fromhex("4889f8 4889f7 4889d6 4889ca 4d89c2 4d89c8 4c8b4c2408 0f05 483d01f0ffff 73")
# cmp eax, 217 (getdents64); je directory; cmp eax, 78 (getdents); je directory; syscall
# done: cmp rax, -4095; jmp BACK
# directory: syscall; test rax, rax; jle done; lea rdx, [rsi + rax] (the end)
# entry: mov rcx, [rsi + 8] (d_off); shr rcx, 32; jz small; mov [rsi + 8], rcx
# small: movzx ecx, word [rsi + 16] (d_reclen); add rsi, rcx; cmp rsi, rdx; jb entry; jmp done
_READ = (
    "3dd9000000 7412 83f84e 740d 0f05 483d01f0ffff e9{back}"
    "0f05 4885c0 7eee 488d1406 488b4e08 48c1e920 7404 48894e08 0fb74e10 4801ce 4839d6 72e6 ebce"
)

# lseek() of glibc: mov eax, 8; syscall; cmp rax, -4096; ja error
_LSEEK = bytes.fromhex("b808000000 0f05 483d00f0ffff 77")
# Only a seek to 1..0x7fffffff from the start may be to such a position: test edx, edx; jnz plain; lea rcx, [rsi - 1];
# cmp rcx, 0x7ffffffe; ja plain
# A directory can be read, and then its position shows which kind it has: push rsi; sub rsp, 512; mov rsi, rsp;
# mov edx, 512; mov eax, 217 (getdents64); syscall; add rsp, 512; mov r8d, eax; xor eax, eax; test r8d, r8d; js decide;
# xor esi, esi; mov edx, 1 (SEEK_CUR); mov eax, 8; syscall
# decide: pop rsi; xor edx, edx; shr rax, 32; jz plain; mov r8, rsi; shl rsi, 32; mov eax, 8; syscall; test rax, rax;
# js done; mov rax, r8; jmp done
# plain: mov eax, 8; syscall
# done: cmp rax, -4096; jmp BACK
_SEEK = (
    "85d2 7564 488d4eff 4881f9feffff7f 7757"
    "56 4881ec00020000 4889e6 ba00020000 b8d9000000 0f05 4881c400020000 4189c0 31c0 4585c0 780e"
    "31f6 ba01000000 b808000000 0f05"
    "5e 31d2 48c1e820 7418 4989f0 48c1e620 b808000000 0f05 4885c0 780c 4c89c0 eb07"
    "b808000000 0f05 483d00f0ffff e9{back}"
)


def with_processors(original: EmulatorImage, models: Sequence[str]) -> EmulatorImage:
    """Return an emulator that shows the processor of `models` whose number it gets as an answer.

    An empty model stands for qemu's choice, and so does any other answer. Raises UnsupportedError for an emulator that
    is not a static position-independent executable for amd64, or has no room.
    """
    image = original.copy()
    with checked():
        program = StaticProgram(image)
        names = b"-cpu\0"
        offsets = []
        for model in models:
            offsets.append(len(names) if model else 0)
            names += model.encode() + b"\0" if model else b""
        size = _size(_CHOOSE)
        # Offsets of models are relative to the table, which comes before them.
        table = b"".join(struct.pack("<i", at + 4 * len(models) if at else 0) for at in offsets)
        place, address = _room(image, program, size + len(table) + len(names))
        (entry,) = image.unpack("<Q", _ENTRY)
        blanks = {"first": FIRST_ANSWER, "count": len(models), "table": size - _after(_CHOOSE, "table")}
        blanks["option"] = size + len(table) - _after(_CHOOSE, "option")
        blanks["entry"] = entry - (address + size)
        code = _filled(_CHOOSE, **blanks) + table + names
        image.write(place, code)
        image.pack("<Q", _ENTRY, address)
    return image


def with_32_bit_directories(original: EmulatorImage) -> EmulatorImage:
    """Return an emulator of a 32-bit architecture whose programs get positions in directories of at most 32 bits.

    Raises UnsupportedError for an emulator that is not a static position-independent executable for amd64, is not built
    with glibc, or has no room.
    """
    image = original.copy()
    with checked():
        program = StaticProgram(image)
        for pattern, code in ((_SYSCALL, _READ), (_LSEEK, _SEEK)):
            found = image.places(pattern)
            if len(found) != 1:
                raise UnsupportedError("the functions that enter the kernel are not once in this emulator")
            # The eight bytes of syscall and cmp make room for a jump.
            jump = found[0] + len(pattern) - 9
            place, address = _room(image, program, _size(code))
            here = program.address(jump)
            filled = _filled(code, back=here + 8 - (address + _after(code, "back")))
            image.write(place, filled)
            image.write(jump, b"\xe9" + struct.pack("<i", address - (here + 5)))
    return image


def _room(image: EmulatorImage, program: StaticProgram, size: int) -> tuple[int, int]:
    """Lengthen the segment of the code by `size` bytes. Return their offset in the file, and their address.

    The last page of the code is filled up with zeros, and the kernel maps whole pages.
    """
    code = [each for each in program.segments if each.kind == _LOAD and each.flags & _EXECUTABLE_SEGMENT]
    if len(code) != 1 or code[0].size != code[0].memory:
        raise UnsupportedError("not one segment of code")
    (segment,) = code
    start = -(-(segment.offset + segment.size) // _ALIGNMENT) * _ALIGNMENT
    end = -(-(segment.offset + segment.size) // segment.alignment) * segment.alignment
    behind = segment.offset + segment.size
    if segment.offset % segment.alignment or start + size > end or any(image.read(behind, end - behind)):
        raise UnsupportedError("no room for more code")
    program.lengthen(image, segment, start + size - segment.offset - segment.size)
    return start, start - segment.offset + segment.address


def _size(code: str) -> int:
    return len(_filled(code, **dict.fromkeys(re.findall(r"\{(\w+)\}", code), 0)))


def _after(code: str, blank: str) -> int:
    """Return the offset of the byte after a blank: addresses are relative to the next instruction."""
    return _size(code[: code.index("{" + blank + "}")]) + 4


def _filled(code: str, **blanks: int) -> bytes:
    """Return code in which each blank is a signed word of 32 bits."""
    return bytes.fromhex(code.format(**{name: struct.pack("<i", value).hex() for name, value in blanks.items()}))
