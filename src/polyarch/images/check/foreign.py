"""Binaries for another architecture or system, and damaged ones."""

from collections import Counter
from collections.abc import Iterator

from polyarch.contents import machines
from polyarch.contents.binaries import Binary
from polyarch.images.check.findings import Finding
from polyarch.images.check.view import View

_SYSTEMS = {"elf": ("linux", "android", "freebsd"), "pe": ("windows",), "macho": ("darwin", "ios")}
_NAMES = {"elf": "ELF", "pe": "PE (Windows)", "macho": "Mach-O (macOS)"}

# e_flags: the two float ABIs of ARM (ELF for the Arm Architecture, 5.2.1), and RISC-V's (psABI, "File Header").
_ARM_SOFT, _ARM_HARD = 0x200, 0x400
_RISCV_FLOAT = 0x6
_FLOATS = {0: "soft-float", 2: "single-precision", 4: "double-precision", 6: "quad-precision"}


def findings(view: View) -> Iterator[Finding]:
    """Findings about binaries that are not for the image's platform."""
    wanted = view.platform.architecture
    for path, binary in view.binaries.items():
        if binary.form == "script" or view.allows(path):
            continue
        if view.platform.os not in _SYSTEMS[binary.form]:
            # Many Linux images contain installers for other systems (pip has some), which nothing there can run.
            message = f"a {_NAMES[binary.form]} file in an image for {view.platform.os}"
            yield view.finding("foreign-system", "note", message, path)
            continue
        if wanted not in binary.architectures:
            theirs = " and ".join(binary.architectures)
            compatible = set(binary.architectures) & set(machines.runs_besides(wanted))
            yield view.finding(
                "foreign-binary",
                "warning" if compatible else "error",
                f"a binary for {theirs} in an image for {wanted}"
                + (f" (on {wanted} it runs only with a kernel that supports it)" if compatible else ""),
                path,
            )
        if binary.problem:
            yield view.finding("broken-binary", "warning", f"a damaged binary: {binary.problem}", path)
    yield from _float_abi(view)


def _float_abi(view: View) -> Iterator[Finding]:
    """Dynamic binaries that pass floats in another way than the rest: they load, but compute wrong results."""
    kinds = {
        path: kind
        for path, binary in view.binaries.items()
        if view.platform.architecture in binary.architectures and (kind := float_abi(binary))
    }
    counted = Counter(kinds.values())
    loaders = {kinds[path] for path in kinds if path.rpartition("/")[2].startswith("ld-")}
    if len(counted) < 2 or len(loaders) > 1:
        return  # all agree, or the image supports both kinds (multiarch)
    usual = next(iter(loaders), counted.most_common(1)[0][0])
    for path, kind in kinds.items():
        if kind != usual and not view.allows(path):
            yield view.finding(
                "float-abi", "warning", f"built for the {kind} ABI, the other binaries for {usual}", path
            )


def float_abi(binary: Binary) -> str:
    """How a dynamic binary passes floating-point numbers; empty if its header does not say, or it does not matter."""
    elf = binary.elf
    if elf is None or not (elf.interpreter or elf.needed or elf.soname):
        return ""
    if elf.machine == 40:
        return {_ARM_SOFT: "soft-float", _ARM_HARD: "hard-float"}.get(elf.flags & (_ARM_SOFT | _ARM_HARD), "")
    if elf.machine == 243:
        return _FLOATS[elf.flags & _RISCV_FLOAT]
    return ""
