"""Sections and segments of an ELF file that can be read anywhere (System V gABI, chapters 4 and 5).

`contents/elf.py` reads what `check` needs from a stream. Section headers are at the end of a file and name places in
its middle, which a stream has passed by then.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple, Protocol

# Where the linker of Go and cargo-auditable record what is in a program.
GO, RUST = ".go.buildinfo", ".dep-v0"
_MOST = 4096
_LONGEST_NAMES = 1 << 20
_LONGEST_NAME = 64
_LARGEST = 16 << 20
_LOAD, _WRITABLE = 1, 2
_NO_BITS = 8
_COMPRESSED = 0x800


class Seekable(Protocol):
    """A file that can be read anywhere."""

    def seek(self, offset: int, /) -> object: ...
    def read(self, size: int, /) -> bytes: ...


class ElfPart(NamedTuple):
    """A section or a segment: its bytes in the file, and where they are in memory."""

    name: str
    offset: int
    size: int
    address: int
    writable: bool


class ElfParts(NamedTuple):
    """The sections that were looked for, by name, and the segments that are loaded. `order` is the byte order, as for
    `struct`.
    """

    order: str
    sections: dict[str, ElfPart]
    segments: tuple[ElfPart, ...]


def read(file: Seekable, wanted: Sequence[str]) -> ElfParts | None:
    """Where the sections `wanted` of an ELF file are, and its segments.

    None if it is not an ELF file, has none of these sections although it has others, or its headers are damaged.
    """
    head = _at(file, 0, 64)
    if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    layout = "QQQIHHHHHH" if wide else "IIIIHHHHHH"
    _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, names = struct.unpack_from(order + layout, head, 24)
    found: dict[str, ElfPart] = {}
    if shnum:
        # Most files have none of them, and only the names of their sections are read.
        layout, least = order + ("IIQQQQ" if wide else "IIIIII"), 64 if wide else 40
        table = _at(file, shoff + names * shsize, least) if shsize >= least else b""
        text = _at(file, *struct.unpack_from(layout, table)[4:6], limit=_LONGEST_NAMES) if len(table) == least else b""
        for name in wanted:
            if name.encode() in text:
                break
        else:
            return None
        headers = _table(file, shoff, shsize, shnum, least)
        found = _sections([struct.unpack_from(layout, header) for header in headers], text, wanted)
    programs = _table(file, phoff, phsize, phnum, 56 if wide else 32)
    return ElfParts(order, found, _segments(order, wide, programs))


def content(file: Seekable, part: ElfPart, limit: int) -> bytes:
    """The first `limit` bytes of a part."""
    return _at(file, part.offset, min(part.size, limit))


def _at(file: Seekable, offset: int, size: int, *, limit: int = _LARGEST) -> bytes:
    # The offset comes from the file; a seek to 2**63 or beyond is an error.
    if size <= 0 or offset >= 1 << 62:
        return b""
    file.seek(offset)
    return file.read(min(size, limit))


def _table(file: Seekable, offset: int, size: int, count: int, least: int) -> list[bytes]:
    if count > _MOST or size < least:
        return []
    raw = _at(file, offset, size * count)
    return [raw[at : at + least] for at in range(0, len(raw) - size + 1, size)]


def _sections(headers: list[tuple[int, ...]], text: bytes, wanted: Sequence[str]) -> dict[str, ElfPart]:
    parts: dict[str, ElfPart] = {}
    for name, kind, flags, address, offset, size in headers:
        called = text[name : name + _LONGEST_NAME].partition(b"\0")[0].decode("latin-1")
        if called in wanted and kind != _NO_BITS and not flags & _COMPRESSED:
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
