"""Changes to an emulator's file that make emulated programs faster and are not visible to them.

Debian's qemu-user is a static position-independent executable. At each start it reads 2 MB of relocations and writes
to 500 pages: a quarter of the time that a small emulated program takes. `prelinked` does this once, in the file.

qemu 7.2 computes pointer authentication codes of arm64 by QARMA5, the cipher of real processors, in software.
Programs that were compiled with -mbranch-protection (Ubuntu's, Fedora's, Debian's since 13) then spend most of their
time there: a shell loop 8 times as much as needed. `with_fast_pointer_authentication` makes the faster algorithm the
default, as later versions do.
"""

import contextlib
import struct
from array import array
from collections.abc import Iterator

import msgspec
from msgspec import structs

from polyarch.errors import UnsupportedError

# Below the addresses where the kernel places libraries and files at random, so that an emulated program finds the same
# addresses free as before. ELF headers cannot say "anywhere" once the relocations are applied.
_BASE = 0x7E80_0000_0000
_PAGE = 4096
_EXECUTABLE, _DYNAMIC_EXECUTABLE = 2, 3
_AMD64 = 62
_LOAD, _DYNAMIC, _INTERPRETER, _NOTE = 1, 2, 3, 4
_WRITABLE, _READ_WRITE = 2, 6
_RELA, _RELA_SIZE, _RELR, _RELA_COUNT = 7, 8, 36, 0x6FFFFFF9
_RELATIVE = 8
_RELOCATION = struct.Struct("<QQq")
_WORD = struct.Struct("<Q")
_TAG = struct.Struct("<QQ")
_HEADER = struct.Struct("<IIQQQQQQ")
_PAUTH = b"\0pauth-impdef\0"


class ProgramHeader(msgspec.Struct, frozen=True):
    """A program header, in the order of its fields in a file."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    size: int
    memory: int
    alignment: int

    def packed(self, base: int = 0) -> bytes:
        """The header of a segment at `base`."""
        address = self.address + base
        values = (self.kind, self.flags, self.offset, address, address, self.size, self.memory, self.alignment)
        return _HEADER.pack(*values)


class StaticProgram:
    """A static position-independent executable for amd64: its headers, and its table of relocations."""

    def __init__(self, image: bytearray) -> None:
        """Read the headers of `image`. Raises UnsupportedError, and what `checked` turns into it."""
        kind, machine = struct.unpack_from("<HH", image, 16)
        if image[:6] != b"\x7fELF\2\1" or (kind, machine) != (_DYNAMIC_EXECUTABLE, _AMD64):
            raise UnsupportedError("not a position-independent executable for amd64")
        headers = _WORD.unpack_from(image, 32)[0]
        size, count = struct.unpack_from("<HH", image, 54)
        if size != _HEADER.size:
            raise UnsupportedError("program headers of another size")
        self._places = range(headers, headers + size * count, size)
        self.segments = [ProgramHeader(*_HEADER.unpack_from(image, place)) for place in self._places]
        if any(each.kind == _LOAD and each.offset + each.size > len(image) for each in self.segments):
            raise UnsupportedError("not a complete file")
        by_kind = {segment.kind: segment for segment in self.segments}
        if _INTERPRETER in by_kind:
            raise UnsupportedError("not a static executable")
        dynamic = by_kind[_DYNAMIC]
        # The place of each value, and the value.
        self.tags: dict[int, tuple[int, int]] = {}
        for place in range(dynamic.offset, dynamic.offset + dynamic.size, _TAG.size):
            tag, value = _TAG.unpack_from(image, place)
            self.tags.setdefault(tag, (place + 8, value))
        if _RELR in self.tags:
            raise UnsupportedError("relocations of another kind")
        self.table = self.offset(self.tags[_RELA][1])
        self.relative = self.tags[_RELA_COUNT][1]
        if self.relative * _RELOCATION.size > self.tags[_RELA_SIZE][1]:
            raise UnsupportedError("fewer relocations than promised")

    def lengthen(self, image: bytearray, segment: ProgramHeader, size: int) -> None:
        """Let a segment have `size` bytes more of the file."""
        number = self.segments.index(segment)
        longer = structs.replace(segment, size=segment.size + size, memory=segment.memory + size)
        image[self._places[number] : self._places[number] + _HEADER.size] = longer.packed()
        self.segments[number] = longer

    def offset(self, address: int) -> int:
        """Return the offset in the file of an address of the program."""
        for segment in self.segments:
            if segment.kind == _LOAD and 0 <= address - segment.address < segment.size:
                return segment.offset + address - segment.address
        raise UnsupportedError("memory that is not in the file")

    def address(self, offset: int) -> int:
        """The address that a byte of the file has."""
        for segment in self.segments:
            if segment.kind == _LOAD and 0 <= offset - segment.offset < segment.size:
                return int(segment.address + offset - segment.offset)
        raise UnsupportedError("a part of the file that is not in memory")

    def relocations(self, image: bytearray) -> tuple["array[int]", "array[int]"]:
        """Return the offsets in the file of the words to relocate, and their values relative to the program's start."""
        table = array("Q", bytes(image[self.table : self.table + self.relative * _RELOCATION.size]))
        addresses, kinds, values = table[::3], table[1::3], table[2::3]
        if not addresses or set(kinds) != {_RELATIVE} or max(values) >= _BASE:
            raise UnsupportedError("relocations of another kind")
        first, last = min(addresses), max(addresses)
        for segment in self.segments:
            inside = segment.address <= first and last + _WORD.size <= segment.address + segment.size
            if segment.kind == _LOAD and segment.flags & _WRITABLE and inside:
                shift = segment.offset - segment.address
                return array("Q", (address + shift for address in addresses)), values
        raise UnsupportedError("relocations of memory that is not in the file, or in several segments")


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """Report what damaged headers lead to as UnsupportedError."""
    try:
        yield
    except (struct.error, LookupError, ValueError, OverflowError) as error:
        raise UnsupportedError(f"not a complete ELF file: {error}") from error


def prelinked(original: bytes | bytearray) -> bytearray:
    """Return a static position-independent executable for amd64 with a fixed address, `_BASE`.

    Raises UnsupportedError for any other file.

    The kernel takes addresses in the program headers as absolute, the C library as relative to `_BASE`. So the headers
    get a page of their own at the end of the file, which the kernel reads, and the relocations that remain make them
    relative in memory.
    """
    image = bytearray(original)
    with checked():
        _prelink(image)
    return image


def _prelink(image: bytearray) -> None:
    program = StaticProgram(image)
    places, values = program.relocations(image)
    if any(place % _WORD.size for place in places):
        raise UnsupportedError("words that are not aligned")
    segments = _rearranged(program, len(image))
    headers = segments[-1]
    remaining = bytearray()
    for number, segment in enumerate(segments):
        if segment.kind == _LOAD:
            place = headers.address + number * _HEADER.size + 16
            for address in (place, place + 8):
                remaining += _RELOCATION.pack(address, _RELATIVE, segment.address - _BASE)
    count = len(remaining) // _RELOCATION.size
    applied = program.relative - count
    if applied < 0:
        raise UnsupportedError("too few relocations")
    with memoryview(image)[: len(image) // _WORD.size * _WORD.size].cast("Q") as words:
        for place, value in zip(places, values, strict=True):
            words[place >> 3] = value + _BASE
    start = program.table + applied * _RELOCATION.size
    image[start : start + len(remaining)] = remaining
    for tag, change in ((_RELA, applied * _RELOCATION.size), (_RELA_SIZE, -applied * _RELOCATION.size)):
        place, value = program.tags[tag]
        _WORD.pack_into(image, place, value + change)
    _WORD.pack_into(image, program.tags[_RELA_COUNT][0], count)
    first_page = bytes(image[:_PAGE])
    struct.pack_into("<H", image, 16, _EXECUTABLE)
    _WORD.pack_into(image, 24, _BASE + _WORD.unpack_from(image, 24)[0])
    _WORD.pack_into(image, 32, headers.offset)
    image += bytes(segments[0].offset - len(image)) + first_page
    image += b"".join(each.packed(_BASE if each.kind == _LOAD else 0) for each in segments)


def _rearranged(program: StaticProgram, size: int) -> list[ProgramHeader]:
    """The segments of a prelinked program, of which the first and the last are new pages at the end of the file.

    glibc 2.41, not 2.36, finds out where it is by the segment that begins with the file, before it relocates anything.
    Without such a segment it does as 2.36. So the first page is mapped from a copy.
    """
    loaded = [each for each in program.segments if each.kind == _LOAD]
    if loaded != sorted(loaded, key=lambda each: each.address) or len({each.alignment for each in loaded}) != 1:
        raise UnsupportedError("segments in another order")
    first, last = loaded[0], loaded[-1]
    notes = [each for each in program.segments if each.kind == _NOTE][:2]
    if len(notes) != 2 or first.offset or first.address or first.size <= _PAGE or first.alignment != _PAGE:
        raise UnsupportedError("no room for two segments more")
    copy = -(-size // _PAGE) * _PAGE
    beginning = structs.replace(first, offset=copy, size=_PAGE, memory=_PAGE)
    rest = structs.replace(first, offset=_PAGE, address=_PAGE, size=first.size - _PAGE, memory=first.memory - _PAGE)
    others = [each for each in program.segments if each is not first and all(each is not note for note in notes)]
    end = -(-(last.address + last.memory) // _PAGE) * _PAGE
    length = len(program.segments) * _HEADER.size
    headers = ProgramHeader(_LOAD, _READ_WRITE, copy + _PAGE, end, end, length, length, _PAGE)
    return [beginning, rest, *others, headers]


def with_fast_pointer_authentication(original: bytes | bytearray) -> bytearray:
    """Return an emulator for arm64 (qemu 7.2) whose default is `pauth-impdef`. Prelink it afterwards.

    Raises UnsupportedError for any other file.
    """
    image = bytearray(original)
    with checked():
        _set_property(image)
    return image


def _set_property(image: bytearray) -> None:
    """Set the default of a Property of qemu (include/hw/qdev-properties.h).

    It has pointers to name and type, an offset, two words for bit fields, whether there is a default, and the default.
    """
    name = image.find(_PAUTH)
    if name < 0 or image.find(_PAUTH, name + 1) >= 0:
        raise UnsupportedError("pauth-impdef is not once in this emulator")
    program = StaticProgram(image)
    places, values = program.relocations(image)
    address = program.address(name + 1)
    if values.count(address) != 1:
        raise UnsupportedError("pauth-impdef has another number of properties than one")
    place = places[values.index(address)]
    words = struct.unpack_from("<10Q", image, place)
    relocated = set(places)
    pointers = [number for number in range(10) if place + 8 * number in relocated]
    if pointers != [0, 1] or not 0 < words[2] < 1 << 20 or words[3:] != (0, 0, 1, 0, 0, 0, 0):
        raise UnsupportedError("pauth-impdef is another kind of property")
    _WORD.pack_into(image, place + 48, 1)
