"""The few instructions that a program of system calls needs, for each architecture.

Encodings are those of the manuals of the processors, registers those of syscall(2). Everything has a fixed length, so
that the address of an instruction does not depend on the values in others.
"""

import struct
from typing import Protocol


class Code(Protocol):
    """Encodes instructions of one architecture.

    A register is the number of an argument of a system call, 0 to 5. Values and addresses are 32-bit numbers; a
    negative value is extended to the width of a register.
    """

    def set(self, register: int, value: int) -> bytes:
        """Load a constant into the register of an argument."""

    def load(self, register: int, address: int) -> bytes:
        """Load the word at an address into the register of an argument."""

    def call(self, number: int) -> bytes:
        """Make a system call. A failure is then a negative error number, as a result, on each architecture."""

    def store(self, address: int) -> bytes:
        """Store the result of the last system call."""

    def jump(self, address: int) -> bytes:
        """Continue at an address. The result of the last system call is kept."""

    def jump_unless_zero(self, address: int) -> bytes:
        """Continue at an address if the result of the last system call is not 0. The result is kept."""

    def return_from_handler(self, number: int) -> bytes:
        """Return from a handler of a signal that has changed no stack. `number` is that of rt_sigreturn."""


class _X86:
    """amd64 has a prefix before instructions on 64 bits, and other registers (AMD64 Architecture, volume 3)."""

    def __init__(self, *, wide: bool) -> None:
        self._wide = wide
        self._registers = (7, 6, 2, 10, 8, 9) if wide else (3, 1, 2, 6, 7, 5)

    def _move(self, register: int, value: int) -> bytes:
        if self._wide:
            # mov r64, imm32: the constant is sign-extended
            return bytes([0x48 | register >> 3, 0xC7, 0xC0 | register & 7]) + _word("<", value)
        return bytes([0xB8 | register]) + _word("<", value)

    def set(self, register: int, value: int) -> bytes:
        return self._move(self._registers[register], value)

    def load(self, register: int, address: int) -> bytes:
        number = self._registers[register]
        if self._wide:
            return bytes([0x48 | number >> 3 << 2, 0x8B, (number & 7) << 3 | 4, 0x25]) + _word("<", address)
        return bytes([0x8B, number << 3 | 5]) + _word("<", address)

    def call(self, number: int) -> bytes:
        return self._move(0, number) + (b"\x0f\x05" if self._wide else b"\xcd\x80")

    def store(self, address: int) -> bytes:
        return (b"\x48\x89\x04\x25" if self._wide else b"\xa3") + _word("<", address)

    def jump(self, address: int) -> bytes:
        # r11 and edx, so that the result is kept
        return self._move(11, address) + b"\x41\xff\xe3" if self._wide else self._move(2, address) + b"\xff\xe2"

    def jump_unless_zero(self, address: int) -> bytes:
        jump = self.jump(address)
        return (b"\x48" if self._wide else b"") + b"\x85\xc0\x74" + bytes([len(jump)]) + jump  # test, je

    def return_from_handler(self, number: int) -> bytes:
        # The kernel expects that the return address has been taken from the stack.
        pop = b"\x48\x83\xc4\x08" if self._wide else b"\x83\xc4\x04"
        return pop + self.call(number)


class _Arm:
    """A32 (Arm Architecture Reference Manual, ARMv5). Constants lie between the instructions: movw came with ARMv7."""

    def _move(self, register: int, value: int) -> bytes:
        # ldr register, [pc]; b over the constant
        return _words("<", 0xE59F0000 | register << 12, 0xEA000000, value)

    def set(self, register: int, value: int) -> bytes:
        return self._move(register, value)

    def load(self, register: int, address: int) -> bytes:
        return self._move(register, address) + _words("<", 0xE5900000 | register << 16 | register << 12)

    def call(self, number: int) -> bytes:
        return self._move(7, number) + _words("<", 0xEF000000)

    def store(self, address: int) -> bytes:
        return self._move(12, address) + _words("<", 0xE58C0000)

    def jump(self, address: int) -> bytes:
        return self._move(12, address) + _words("<", 0xE12FFF1C)  # bx r12

    def jump_unless_zero(self, address: int) -> bytes:
        return _words("<", 0xE3500000, 0x0A000003) + self.jump(address)  # cmp r0, #0; beq over 4 instructions

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


class _Arm64:
    """A64 (Arm Architecture Reference Manual for A-profile)."""

    def _move(self, register: int, value: int) -> bytes:
        low, high = value & 0xFFFF, value >> 16 & 0xFFFF
        if value < 0:  # movn, then movk of the upper half
            return _words("<", 0x92800000 | (~value & 0xFFFF) << 5 | register, 0xF2A00000 | high << 5 | register)
        return _words("<", 0xD2800000 | low << 5 | register, 0xF2A00000 | high << 5 | register)  # movz, movk

    def set(self, register: int, value: int) -> bytes:
        return self._move(register, value)

    def load(self, register: int, address: int) -> bytes:
        return self._move(register, address) + _words("<", 0xF9400000 | register << 5 | register)

    def call(self, number: int) -> bytes:
        return self._move(8, number) + _words("<", 0xD4000001)

    def store(self, address: int) -> bytes:
        return self._move(9, address) + _words("<", 0xF9000120)

    def jump(self, address: int) -> bytes:
        return self._move(9, address) + _words("<", 0xD61F0120)  # br x9

    def jump_unless_zero(self, address: int) -> bytes:
        return _words("<", 0xB4000080) + self.jump(address)  # cbz x0, over 4 instructions

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


class _RiscV:
    """RV64I (The RISC-V Instruction Set Manual, volume I)."""

    def _move(self, register: int, value: int) -> bytes:
        low = (value & 0xFFF ^ 0x800) - 0x800
        high = value - low >> 12 & 0xFFFFF
        lui = high << 12 | register << 7 | 0x37
        addiw = (low & 0xFFF) << 20 | register << 15 | register << 7 | 0x1B
        return _words("<", lui, addiw)

    def set(self, register: int, value: int) -> bytes:
        return self._move(10 + register, value)

    def load(self, register: int, address: int) -> bytes:
        number = 10 + register
        return self._move(number, address) + _words("<", number << 15 | 0x3003 | number << 7)  # ld

    def call(self, number: int) -> bytes:
        return self._move(17, number) + _words("<", 0x73)

    def store(self, address: int) -> bytes:
        return self._move(5, address) + _words("<", 0x00A2B023)  # sd a0, 0(t0)

    def jump(self, address: int) -> bytes:
        return self._move(5, address) + _words("<", 0x00028067)  # jr t0

    def jump_unless_zero(self, address: int) -> bytes:
        return _words("<", 0x00050863) + self.jump(address)  # beqz a0, over 4 instructions

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


class _Power:
    """Power ISA 2.07, in either byte order."""

    def __init__(self, order: str) -> None:
        self._order = order

    def _move(self, register: int, value: int) -> bytes:
        lis = 0x3C000000 | register << 21 | value >> 16 & 0xFFFF
        ori = 0x60000000 | register << 21 | register << 16 | value & 0xFFFF
        return _words(self._order, lis, ori)

    def set(self, register: int, value: int) -> bytes:
        return self._move(3 + register, value)

    def load(self, register: int, address: int) -> bytes:
        number = 3 + register
        return self._move(number, address) + _words(self._order, 0xE8000000 | number << 21 | number << 16)

    def call(self, number: int) -> bytes:
        # sc; an error is positive, and a bit says that it is one: bns over neg r3, r3
        return self._move(0, number) + _words(self._order, 0x44000002, 0x40830008, 0x7C6300D0)

    def store(self, address: int) -> bytes:
        return self._move(9, address) + _words(self._order, 0xF8690000)

    def jump(self, address: int) -> bytes:
        return self._move(9, address) + _words(self._order, 0x7D2903A6, 0x4E800420)  # mtctr r9; bctr

    def jump_unless_zero(self, address: int) -> bytes:
        return _words(self._order, 0x2C230000, 0x41820014) + self.jump(address)  # cmpdi r3, 0; beq

    def return_from_handler(self, number: int) -> bytes:
        # blr, to what the kernel has prepared: it and qemu expect other values in r1 for this call.
        return _words(self._order, 0x4E800020)


class _S390:
    """z/Architecture Principles of Operation."""

    def _move(self, register: int, value: int) -> bytes:
        return bytes([0xC0, register << 4 | 1]) + _word(">", value)  # lgfi

    def set(self, register: int, value: int) -> bytes:
        return self._move(2 + register, value)

    def load(self, register: int, address: int) -> bytes:
        number = 2 + register
        return self._move(number, address) + bytes([0xE3, number << 4, number << 4, 0, 0, 4])  # lg

    def call(self, number: int) -> bytes:
        return self._move(1, number) + b"\x0a\x00"  # svc 0: the number is in r1

    def store(self, address: int) -> bytes:
        return self._move(8, address) + bytes.fromhex("e32080000024")  # stg r2, 0(r8)

    def jump(self, address: int) -> bytes:
        return self._move(8, address) + b"\x07\xf8"  # br r8

    def jump_unless_zero(self, address: int) -> bytes:
        return bytes.fromhex("b9020022 a7840006") + self.jump(address)  # ltgr r2, r2; je

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


class _Mips:
    """MIPS64 release 2, with the registers of the n64 interface, in either byte order."""

    def __init__(self, order: str) -> None:
        self._order = order

    def _move(self, register: int, value: int) -> bytes:
        lui = 0x3C000000 | register << 16 | value >> 16 & 0xFFFF
        ori = 0x34000000 | register << 21 | register << 16 | value & 0xFFFF
        return _words(self._order, lui, ori)

    def set(self, register: int, value: int) -> bytes:
        return self._move(4 + register, value)

    def load(self, register: int, address: int) -> bytes:
        number = 4 + register
        return self._move(number, address) + _words(self._order, 0xDC000000 | number << 21 | number << 16)

    def call(self, number: int) -> bytes:
        # An error is positive, and $a3 says that it is one: beqz $a3 over dsubu $v0, $0, $v0
        return self._move(2, number) + _words(self._order, 0x0000000C, 0x10E00002, 0, 0x0002102F)

    def store(self, address: int) -> bytes:
        return self._move(12, address) + _words(self._order, 0xFD820000)

    def jump(self, address: int) -> bytes:
        return self._move(12, address) + _words(self._order, 0x01800008, 0)  # jr $t0, and what follows a jump

    def jump_unless_zero(self, address: int) -> bytes:
        return _words(self._order, 0x10400005, 0) + self.jump(address)  # beqz $v0

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


class _Loong:
    """LoongArch Reference Manual, volume 1."""

    def _move(self, register: int, value: int) -> bytes:
        lu12i = 0x14000000 | (value >> 12 & 0xFFFFF) << 5 | register
        ori = 0x03800000 | (value & 0xFFF) << 10 | register << 5 | register
        return _words("<", lu12i, ori)

    def set(self, register: int, value: int) -> bytes:
        return self._move(4 + register, value)

    def load(self, register: int, address: int) -> bytes:
        number = 4 + register
        return self._move(number, address) + _words("<", 0x28C00000 | number << 5 | number)

    def call(self, number: int) -> bytes:
        return self._move(11, number) + _words("<", 0x002B0000)

    def store(self, address: int) -> bytes:
        return self._move(12, address) + _words("<", 0x29C00184)

    def jump(self, address: int) -> bytes:
        return self._move(12, address) + _words("<", 0x4C000180)  # jr $t0

    def jump_unless_zero(self, address: int) -> bytes:
        return _words("<", 0x40001080) + self.jump(address)  # beqz $a0, over 4 instructions

    def return_from_handler(self, number: int) -> bytes:
        return self.call(number)


def _word(order: str, value: int) -> bytes:
    return struct.pack(f"{order}I", value & 0xFFFFFFFF)


def _words(order: str, *values: int) -> bytes:
    return b"".join(_word(order, value) for value in values)


CODES: dict[str, Code] = {
    "amd64": _X86(wide=True),
    "386": _X86(wide=False),
    "arm": _Arm(),
    "arm64": _Arm64(),
    "riscv64": _RiscV(),
    "ppc64": _Power(">"),
    "ppc64le": _Power("<"),
    "s390x": _S390(),
    "mips64": _Mips(">"),
    "mips64le": _Mips("<"),
    "loong64": _Loong(),
}
