"""/proc/cpuinfo of the processor that an emulator shows.

qemu before 8.2 hands the host's file through to most programs, and later versions only replace it if it is opened by
exactly this name: lscpu opens it in another way, and finds the host's features below another architecture. So a file of
the format that the kernel writes for the platform stands over it (arch/*/kernel/cpu*.c, setup.c, processor.c).
"""

from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# What Linux says of each processor of `processors.py`, and of a plain one where qemu chooses. Every block is repeated
# for each processor; the last part follows once.
_ARM = """\
processor\t: {number}
model name\t: {name}
BogoMIPS\t: 100.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: {architecture}
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: {revision}

"""
_POWER = """\
processor\t: {number}
cpu\t\t: POWER9, altivec supported
clock\t\t: 1000.000000MHz
revision\t: 2.2 (pvr 004e 1202)

"""
_LOONGARCH = """\
processor\t\t: {number}
package\t\t\t: 0
core\t\t\t: {number}
CPU Family\t\t: Loongson-64bit
Model Name\t\t: Loongson-3A5000
CPU Revision\t\t: 0x10
FPU Revision\t\t: 0x00
Address Sizes\t\t: 48 bits physical, 48 bits virtual
ISA\t\t\t: loongarch32 loongarch64
Features\t\t: cpucfg lam ual fpu lsx lasx crc32
Hardware Watchpoint\t: no

"""
_RISCV = """\
processor\t: {number}
hart\t\t: {number}
isa\t\t: rv64imafdc_zicsr_zifencei
mmu\t\t: sv48

"""
_S390 = "processor {number}: version = 00,  identification = {number:06X},  machine = 3906\n"
_S390_HEAD = """\
vendor_id       : IBM/S390
# processors    : {count}
bogomips per cpu: 13370.00
max thread id   : 0
features\t: esan3 zarch stfle msa ldisp eimm etf3eh highgprs
"""
_ONCE = {
    "arm": "Hardware\t: QEMU\nRevision\t: 0000\nSerial\t\t: 0000000000000000\n",
    "ppc64le": "timebase\t: 512000000\nplatform\t: pSeries\nmodel\t\t: IBM pSeries (emulated by qemu)\n"
    "machine\t\t: CHRP IBM pSeries (emulated by qemu)\n",
}
_MIPS = """\
processor\t\t: {number}
cpu model\t\t: MIPS GENERIC QEMU
isa\t\t\t: mips1 mips2 mips3 mips4 mips5 mips32r1 mips32r2 mips64r1 mips64r2

"""
_ARM_FIELDS = {
    ("arm64", ""): {
        "name": "ARMv8 Processor rev 1 (v8l)",
        "features": "fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "architecture": "8",
        "variant": "0x4",
        "part": "0xd0c",
        "revision": "1",
    },
    ("arm", "v7"): {
        "name": "ARMv7 Processor rev 5 (v7l)",
        "features": "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae",
        "architecture": "7",
        "variant": "0x0",
        "part": "0xc07",
        "revision": "5",
    },
    ("arm", "v6"): {
        "name": "ARMv6-compatible processor rev 7 (v6l)",
        "features": "half thumb fastmult vfp edsp java tls",
        "architecture": "7",
        "variant": "0x0",
        "part": "0xb76",
        "revision": "7",
    },
    ("arm", "v5"): {
        "name": "ARM926EJ-S rev 5 (v5l)",
        "features": "swp half thumb fastmult vfp edsp java",
        "architecture": "5TEJ",
        "variant": "0x0",
        "part": "0x926",
        "revision": "5",
    },
}
_BLOCKS = {"ppc64le": _POWER, "ppc64": _POWER, "loong64": _LOONGARCH, "riscv64": _RISCV, "s390x": _S390}
_BLOCKS |= {"mips64": _MIPS, "mips64le": _MIPS}


def text(platform: Platform, count: int) -> bytes | None:
    """Return /proc/cpuinfo of `count` processors of a platform; None for one that has no text here.

    A newer variant, such as arm64/v9, and a processor that the options name are shown as that of the platform.
    """
    known = platforms.normalize(platform)
    architecture = known.architecture
    plain = "v7" if architecture == "arm" else ""
    fields = _ARM_FIELDS.get((architecture, known.variant), _ARM_FIELDS.get((architecture, plain)))
    block = _ARM if fields else _BLOCKS.get(architecture)
    if block is None:
        return None
    head = _S390_HEAD.format(count=count) if architecture == "s390x" else ""
    blocks = "".join(block.format(number=number, **(fields or {})) for number in range(count))
    return (head + blocks + _ONCE.get(architecture, "")).encode()
