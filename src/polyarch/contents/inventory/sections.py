"""Sections and segments of an ELF file that can be read anywhere (System V gABI, chapters 4 and 5).

`contents/elf.py` reads what `check` needs from a stream. Section headers are at the end of a file and name places in
its middle, which a stream has passed by then.
"""

import struct
from typing import BinaryIO, NamedTuple

_MOST = 4096
_LONGEST_NAMES = 1 << 20
_LOAD, _WRITABLE = 1, 2
_NO_BITS = 8
_COMPRESSED = 0x800


class ElfPart(NamedTuple):
    """A section or a segment: its bytes in the file, and where they are in memory."""

    name: str
    offset: int
    size: int
    address: int
    writable: bool


class ElfParts(NamedTuple):
    """The sections by name, and the segments that are loaded. `order` is the byte order, as for `struct`."""

    order: str
    sections: dict[str, ElfPart]
    segments: tuple[ElfPart, ...]


def read(file: BinaryIO) -> ElfParts | None:
    """Where the parts of an ELF file are; None if it is not one, or its headers are damaged."""
    head = _at(file, 0, 64)
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    layout = "QQQIHHHHHH" if wide else "IIIIHHHHHH"
    _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, names = struct.unpack_from(order + layout, head, 24)
    programs = _table(file, phoff, phsize, phnum, 56 if wide else 32)
    sections = _table(file, shoff, shsize, shnum, 64 if wide else 40)
    return ElfParts(order, _sections(file, order, wide, sections, names), _segments(order, wide, programs))


def content(file: BinaryIO, part: ElfPart, limit: int) -> bytes:
    """The first `limit` bytes of a part."""
    return _at(file, part.offset, min(part.size, limit))


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    # The offset comes from the file; a seek to 2**63 or beyond is an error.
    if size <= 0 or offset >= 1 << 62:
        return b""
    file.seek(offset)
    return file.read(size)


def _table(file: BinaryIO, offset: int, size: int, count: int, least: int) -> list[bytes]:
    if count > _MOST or size < least:
        return []
    raw = _at(file, offset, size * count)
    return [raw[at : at + least] for at in range(0, len(raw) - size + 1, size)]


def _sections(file: BinaryIO, order: str, wide: bool, headers: list[bytes], names: int) -> dict[str, ElfPart]:
    layout = order + ("IIQQQQ" if wide else "IIIIII")
    found = [struct.unpack_from(layout, header) for header in headers]
    if names >= len(found):
        return {}
    text = _at(file, found[names][4], min(found[names][5], _LONGEST_NAMES))
    parts: dict[str, ElfPart] = {}
    for name, kind, flags, address, offset, size in found:
        if kind == _NO_BITS or flags & _COMPRESSED or name >= len(text):
            continue
        called = text[name : text.find(b"\0", name) if b"\0" in text[name:] else len(text)].decode("latin-1")
        parts.setdefault(called, ElfPart(called, offset, size, address, bool(flags & 1)))
    return parts


def _segments(order: str, wide: bool, headers: list[bytes]) -> tuple[ElfPart, ...]:
    found = []
    for header in headers:
        if wide:
            kind, flags, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", header)
        else:
            kind, offset, address, _, size, _, flags = struct.unpack_from(order + "IIIIIII", header)
        if kind == _LOAD:
            found.append(ElfPart("", offset, size, address, bool(flags & _WRITABLE)))
    return tuple(found)
