"""Map the machine numbers of ELF, PE and Mach-O headers to the architectures of platforms (Go's GOARCH)."""

# (e_machine, 64 bit, little endian) → architecture (System V gABI, "ELF Header"; binutils' elf/common.h).
_ELF = {
    (2, False, False): "sparc",
    (3, False, True): "386",
    (4, False, False): "m68k",
    (8, False, False): "mips",
    (8, False, True): "mipsle",
    (8, True, False): "mips64",
    (8, True, True): "mips64le",
    (15, False, False): "hppa",
    (18, False, False): "sparc",
    (20, False, False): "ppc",
    (21, True, False): "ppc64",
    (21, True, True): "ppc64le",
    (22, False, False): "s390",
    (22, True, False): "s390x",
    (40, False, True): "arm",
    (40, False, False): "armbe",
    (42, False, True): "sh",
    (43, True, False): "sparc64",
    (50, True, True): "ia64",
    (62, True, True): "amd64",
    # x32: programs of 32-bit pointers that only an amd64 kernel runs.
    (62, False, True): "amd64p32",
    (183, True, True): "arm64",
    (183, True, False): "arm64be",
    (183, False, True): "arm64ilp32",
    (243, True, True): "riscv64",
    (243, False, True): "riscv",
    (258, True, True): "loong64",
    (0x9026, True, True): "alpha",
}
_EF_MIPS_ABI2 = 0x20

# Code for other devices (GPUs, BPF, DSPs): it is data to the machine that the image runs on.
DEVICES = frozenset({83, 94, 164, 190, 224, 247})

_PE = {
    0x14C: "386",
    0x8664: "amd64",
    0x1C0: "arm",
    0x1C4: "arm",
    0xAA64: "arm64",
    0x5032: "riscv",
    0x5064: "riscv64",
    0x6264: "loong64",
    0x200: "ia64",
}
_MACHO = {
    7: "386",
    0x01000007: "amd64",
    12: "arm",
    0x0100000C: "arm64",
    0x0200000C: "arm64ilp32",
    18: "ppc",
    0x01000012: "ppc64",
}

# The architectures that a processor also runs if its kernel supports them: their libraries are common (multilib).
_ALSO = {"amd64": ("386", "amd64p32"), "arm64": ("arm",), "ppc64": ("ppc",), "s390x": ("s390",), "riscv64": ("riscv",)}


def of_elf(machine: int, wide: bool, little: bool, flags: int) -> str:
    """The architecture of an ELF file; text with the number of the machine if no platform has it."""
    if machine == 8 and not wide and flags & _EF_MIPS_ABI2:
        return "mips64p32le" if little else "mips64p32"  # n32: 64-bit registers, 32-bit pointers
    return _ELF.get((machine, wide, little), f"ELF machine {machine} ({64 if wide else 32} bit)")


def of_pe(machine: int) -> str:
    """The architecture of a PE file."""
    return _PE.get(machine, f"PE machine {machine:#x}")


def of_macho(cpu: int) -> str:
    """The architecture of a Mach-O file."""
    return _MACHO.get(cpu, f"Mach-O cpu type {cpu:#x}")


def runs_besides(architecture: str) -> tuple[str, ...]:
    """The architectures that a machine of `architecture` also runs, if its kernel allows it."""
    return _ALSO.get(architecture, ())
