"""The headers and the dynamic section of an ELF file (System V gABI, chapters 4 and 5), from a stream.

Every offset, count and length comes from the file and is checked before it is used: a header that claims
more than its limits is described in `problem`. It never raises, and never takes more memory than the window.
"""

import struct
from typing import NamedTuple

import msgspec

from polyarch.contents.window import GoneError, Window

_MAX_SEGMENTS = 4096
_MAX_DYNAMIC = 1 << 20
_MAX_NEEDED = 4096
_MAX_STRING = 4096

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
_DT_FLAGS_1 = 0x6FFFFFFB
_DF_1_PIE = 0x08000000

EXECUTABLE, SHARED = 2, 3


class Elf(msgspec.Struct, frozen=True, array_like=True):
    """The parts of an ELF file that matter here. `kind` is its e_type, `flags` its e_flags.

    `problem` says what could not be read; the fields have what was read before.
    """

    machine: int
    wide: bool
    little: bool
    kind: int
    flags: int
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: str = ""
    runpath: str = ""
    soname: str = ""
    pie: bool = False
    problem: str = ""

    @property
    def is_program(self) -> bool:
        """Whether it is a program to run. A libc has an interpreter too, but also a name to be linked by."""
        return self.kind == EXECUTABLE or self.pie or (bool(self.interpreter) and not self.soname)


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


class _MalformedError(Exception):
    """A header has an impossible value."""


def read(window: Window) -> Elf | None:
    """The ELF file in `window`; None if it is not one."""
    head = window.take(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, little = head[4] == 2, head[5] == 1
    order = "<" if little else ">"
    if wide and len(head) < 64:
        return None
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    if wide:
        phoff, _, flags, _, phentsize, phnum = struct.unpack_from(order + "QQIHHH", head, 32)
    else:
        phoff, _, flags, _, phentsize, phnum = struct.unpack_from(order + "IIIHHH", head, 28)
    plain = Elf(machine=machine, wide=wide, little=little, kind=kind, flags=flags)
    if kind not in (EXECUTABLE, SHARED):
        return plain
    try:
        segments = _segments(window, order, wide, phoff, phentsize, phnum)
        found = _dynamic(window, order, wide, segments)
        interpreter = _interpreter(window, segments)
    except _MalformedError as error:
        return msgspec.structs.replace(plain, problem=str(error))
    except GoneError:
        return msgspec.structs.replace(plain, problem="its tables are too far apart to be read in one pass")
    return msgspec.structs.replace(plain, interpreter=interpreter, **found)


def _segments(window: Window, order: str, wide: bool, phoff: int, phentsize: int, phnum: int) -> list[_Segment]:
    least = 56 if wide else 32
    if phnum > _MAX_SEGMENTS or (phnum and phentsize < least):
        raise _MalformedError(f"its header claims {phnum} segments of {phentsize} bytes")
    table = window.take(phoff, phnum * phentsize)
    if len(table) < phnum * phentsize:
        raise _MalformedError("its program headers lie outside the file")
    segments = []
    for at in range(0, len(table), phentsize or 1):
        if wide:
            kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", table, at)
        else:
            kind, offset, address, _, size = struct.unpack_from(order + "IIIII", table, at)
        segments.append(_Segment(kind, offset, address, size))
    return segments


def _interpreter(window: Window, segments: list[_Segment]) -> str:
    for segment in segments:
        if segment.kind == _PT_INTERP:
            if segment.size > _MAX_STRING:
                raise _MalformedError(f"its header claims an interpreter's name of {segment.size} bytes")
            raw = window.take(segment.offset, segment.size)
            if len(raw) < segment.size:
                raise _MalformedError("the name of its interpreter lies outside the file")
            return _text(raw)
    return ""


def _dynamic(window: Window, order: str, wide: bool, segments: list[_Segment]) -> dict[str, object]:
    """The fields of `Elf` that the dynamic section has."""
    section = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if section is None:
        return {}
    # A file that was stripped to its symbols (a .debug file) keeps the headers, but not the bytes of the section.
    if section.size > _MAX_DYNAMIC:
        raise _MalformedError(f"its header claims a dynamic section of {section.size} bytes")
    raw = window.take(section.offset, section.size)
    form = struct.Struct(order + ("qQ" if wide else "iI"))
    entries: list[tuple[int, int]] = []
    for tag, value in form.iter_unpack(raw[: len(raw) - len(raw) % form.size]):
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    if len(raw) < section.size and not any(tag == _DT_STRTAB for tag, _ in entries):
        raise _MalformedError("its dynamic section lies outside the file")
    single = dict(entries)
    needed = [value for tag, value in entries if tag == _DT_NEEDED]
    named = [tag for tag in (_DT_SONAME, _DT_RPATH, _DT_RUNPATH) if tag in single]
    if len(needed) > _MAX_NEEDED:
        raise _MalformedError(f"it claims to need {len(needed)} libraries")
    found: dict[str, object] = {"pie": bool(single.get(_DT_FLAGS_1, 0) & _DF_1_PIE)}
    if not needed and not named:
        return found
    table, size = _offset(segments, single.get(_DT_STRTAB, 0)), single.get(_DT_STRSZ, 0)
    if table is None:
        raise _MalformedError("its table of strings lies in no segment")

    def string(at: int) -> str:
        if at >= size:
            raise _MalformedError("a name of its dynamic section lies outside the table of strings")
        text = window.take(table + at, min(size - at, _MAX_STRING))
        end = text.find(b"\0")
        if end < 0:
            raise _MalformedError("a name of its dynamic section has no end")
        return _text(text[:end])

    found["needed"] = tuple(string(value) for value in needed)
    for tag, field in ((_DT_SONAME, "soname"), (_DT_RPATH, "rpath"), (_DT_RUNPATH, "runpath")):
        if tag in single:
            found[field] = string(single[tag])
    return found


def _offset(segments: list[_Segment], address: int) -> int | None:
    """The offset in the file of the bytes that will be loaded at `address`."""
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    return None


def _text(raw: bytes) -> str:
    """A name. It is shown, compared and encoded for the cache, so bytes that are not UTF-8 are replaced."""
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
