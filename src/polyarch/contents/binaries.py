"""Detect files that a machine could run: ELF, PE, Mach-O and scripts."""

import re
import struct
from typing import Literal

import msgspec

from polyarch.contents import elf as elves
from polyarch.contents import machines
from polyarch.contents.elf import Elf
from polyarch.contents.window import GoneError, Window
from polyarch.layers.entry import Entry
from polyarch.oci.place import Readable

Form = Literal["elf", "pe", "macho", "script"]

# Linux reads as much of a script's first line (include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE).
_LINE = 256
# A version after .so begins with a digit; what follows is free: libstemmer.so.0d.0.0.
_NAMED = re.compile(r"\.(?:so(?:\.[0-9][^/]*)?|node|exe|dll|dylib)$", re.IGNORECASE)
_FAT = {b"\xca\xfe\xba\xbe": (">", 20), b"\xca\xfe\xba\xbf": (">", 32)}
_MACHO = {
    b"\xfe\xed\xfa\xce": ">",
    b"\xfe\xed\xfa\xcf": ">",
    b"\xce\xfa\xed\xfe": "<",
    b"\xcf\xfa\xed\xfe": "<",
}


class Binary(msgspec.Struct, frozen=True, array_like=True):
    """A file that a machine could run. A fat Mach-O has several `architectures`, a script none. `shebang` is a script's
    first line after `#!`, unchanged, with a carriage return if it has one.
    """

    form: Form
    architectures: tuple[str, ...] = ()
    shebang: str = ""
    elf: Elf | None = None

    @property
    def problem(self) -> str:
        """What could not be read of it."""
        return self.elf.problem if self.elf is not None else ""


def is_candidate(entry: Entry) -> bool:
    """Whether a file of a layer could be a binary: it is executable, or has the name of a library."""
    return entry.kind == "file" and entry.size >= 4 and (bool(entry.mode & 0o111) or bool(_NAMED.search(entry.path)))


def identify(reader: Readable) -> Binary | None:
    """The kind of the file in `reader`. Reads no more of it than necessary."""
    window = Window(reader)
    start = window.take(0, 4)
    if start[:2] == b"#!":
        line = window.take(2, _LINE).partition(b"\n")[0]
        return Binary(form="script", shebang=line.decode("utf-8", "replace"))
    if start == b"\x7fELF":
        elf = elves.read(window)
        return None if elf is None else _of_elf(elf)
    if start[:2] == b"MZ":
        return _pe(window)
    if start in _MACHO:
        (cpu,) = struct.unpack(_MACHO[start] + "I", window.take(4, 4).ljust(4, b"\0"))
        return Binary(form="macho", architectures=(machines.of_macho(cpu),))
    if start in _FAT:
        return _fat(window, *_FAT[start])
    return None


def _of_elf(elf: Elf) -> Binary | None:
    # Objects to be linked, core dumps and code for devices are data to a container.
    if elf.kind not in (elves.EXECUTABLE, elves.SHARED) or elf.machine in machines.DEVICES:
        return None
    return Binary(form="elf", architectures=(machines.of_elf(elf.machine, elf.wide, elf.little, elf.flags),), elf=elf)


def _pe(window: Window) -> Binary | None:
    """A PE file, unless it is managed code, which names a machine but does not need it (ECMA-335, II.25)."""
    raw = window.take(0x3C, 4)
    if len(raw) < 4:
        return None
    (at,) = struct.unpack("<I", raw)
    try:
        header = window.take(at, 24 + 240) if at < 1 << 20 else b""
    except GoneError:
        return None
    if header[:4] != b"PE\0\0" or len(header) < 26:
        return None
    machine, magic = struct.unpack_from("<H", header, 4)[0], struct.unpack_from("<H", header, 24)[0]
    managed = 24 + (112 if magic == 0x20B else 96) + 14 * 8
    if len(header) >= managed + 8 and struct.unpack_from("<I", header, managed)[0]:
        return None
    return Binary(form="pe", architectures=(machines.of_pe(machine),))


def _fat(window: Window, order: str, step: int) -> Binary | None:
    """A Mach-O file for several processors. Java class files begin with the same bytes, followed by their version
    instead of the count.
    """
    raw = window.take(4, 4)
    count = struct.unpack(order + "I", raw)[0] if len(raw) == 4 else 0
    if not 0 < count < 20:
        return None
    table = window.take(8, count * step)
    if len(table) < count * step:
        return None
    cpus = [struct.unpack_from(order + "I", table, at)[0] for at in range(0, len(table), step)]
    return Binary(form="macho", architectures=tuple(dict.fromkeys(machines.of_macho(cpu) for cpu in cpus)))
