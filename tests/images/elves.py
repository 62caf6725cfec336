"""Small ELF files as literals: a header, its segments and a dynamic section, and nothing that would run."""

import struct
from collections.abc import Sequence

# e_machine, 64 bit, little endian, e_flags of an ordinary binary
MACHINES = {
    "386": (3, False, True, 0),
    "amd64": (62, True, True, 0),
    "arm": (40, False, True, 0x05000400),
    "arm64": (183, True, True, 0),
    "mips64le": (8, True, True, 0x80000007),
    "ppc64le": (21, True, True, 2),
    "riscv64": (243, True, True, 5),
    "s390x": (22, True, False, 0),
}
_BASE = 0x10000


def elf(
    architecture: str = "amd64",
    *,
    kind: int = 3,
    flags: int | None = None,
    interpreter: str = "",
    needed: Sequence[str] = (),
    runpath: str = "",
    rpath: str = "",
    soname: str = "",
    pie: bool = False,
) -> bytes:
    """A shared object, or with `kind` 2 a program. It is static unless something asks for a dynamic section."""
    machine, wide, little, usual = MACHINES[architecture]
    order = "<" if little else ">"
    strings = bytearray(b"\0")

    def string(text: str) -> int:
        at = len(strings)
        strings.extend(text.encode() + b"\0")
        return at

    dynamic = [(1, string(name)) for name in needed]
    dynamic += [(tag, string(text)) for tag, text in ((14, soname), (15, rpath), (29, runpath)) if text]
    dynamic += [(0x6FFFFFFB, 0x08000000)] if pie else []
    program = interpreter.encode() + b"\0" if interpreter else b""
    header, entry = (64, 56) if wide else (52, 32)
    count = 1 + bool(program) + bool(dynamic)
    start = header + count * entry
    strings_at = start + len(program)
    dynamic_at = strings_at + len(strings)
    if dynamic:
        dynamic += [(5, _BASE + strings_at), (10, len(strings)), (0, 0)]
    table = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *pair) for pair in dynamic)
    size = dynamic_at + len(table)
    segments = [(1, 0, size)]
    segments += [(3, start, len(program))] if program else []
    segments += [(2, dynamic_at, len(table))] if dynamic else []
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if little else 2, 1]) + bytes(9)
    fields = (kind, machine, 1, 0, header, 0, usual if flags is None else flags, header, entry, count, 0, 0, 0)
    raw = identity + struct.pack(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), *fields)
    for sort, at, length in segments:
        if wide:
            raw += struct.pack(order + "IIQQQQQQ", sort, 4, at, _BASE + at, _BASE + at, length, length, 1)
        else:
            raw += struct.pack(order + "IIIIIIII", sort, at, _BASE + at, _BASE + at, length, length, 4, 1)
    return raw + program + bytes(strings) + table


def program(architecture: str = "amd64", **fields: object) -> bytes:
    """A program at a fixed address."""
    return elf(architecture, kind=2, **fields)  # type: ignore[arg-type]


def pe(machine: int = 0x8664, *, managed: bool = False) -> bytes:
    """A PE file; `managed` gives it the header of .NET code."""
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40)
    directories = bytearray(16 * 8)
    if managed:
        struct.pack_into("<II", directories, 14 * 8, 0x2000, 72)
    return (
        head + b"PE\0\0" + struct.pack("<H", machine) + bytes(18) + struct.pack("<H", 0x20B) + bytes(110) + directories
    )
