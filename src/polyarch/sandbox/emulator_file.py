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
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import structs

from polyarch.errors import UnsupportedError
from polyarch.sandbox.emulator_image import EmulatorImage

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
# Relocations that are read at once.
_AT_ONCE = 1024
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


class Relocations:
    """The table of relocations of a program: words in one `segment`, and their values relative to the program's start.

    There are a hundred thousand. So they are read some at a time, and what can be done with all bytes of these at once
    is not done one by one.
    """

    def __init__(self, image: EmulatorImage, offset: int, count: int, segments: Sequence[ProgramHeader]) -> None:
        """Check the table at `offset` of the image. Raises UnsupportedError."""
        self._image, self._offset, self._count = image, offset, count
        first, last = _BASE, -1
        for addresses, values, kinds in self._pieces():
            if kinds != _WORD.pack(_RELATIVE) * len(addresses) or max(values) >= _BASE:
                raise UnsupportedError("relocations of another kind")
            first, last = min(first, *addresses), max(last, *addresses)
        if last < 0:
            raise UnsupportedError("relocations of another kind")
        for segment in segments:
            inside = segment.address <= first and last + _WORD.size <= segment.address + segment.size
            if segment.kind == _LOAD and segment.flags & _WRITABLE and inside:
                self.segment = segment
                return
        raise UnsupportedError("relocations of memory that is not in the file, or in several segments")

    def pieces(self) -> Iterator[tuple["array[int]", "array[int]"]]:
        """Addresses and values, some thousands at a time."""
        for addresses, values, _ in self._pieces():
            yield addresses, values

    def _pieces(self) -> Iterator[tuple["array[int]", "array[int]", bytes]]:
        for start in range(0, self._count, _AT_ONCE):
            size = min(_AT_ONCE, self._count - start) * _RELOCATION.size
            raw = self._image.read(self._offset + start * _RELOCATION.size, size)
            if len(raw) != size:
                raise UnsupportedError("not a complete file")
            table = array("Q", raw)
            yield table[::3], table[2::3], table[1::3].tobytes()


class StaticProgram:
    """A static position-independent executable for amd64: its headers, and its table of relocations."""

    def __init__(self, image: EmulatorImage) -> None:
        """Read the headers of `image`. Raises UnsupportedError, and what `checked` turns into it."""
        if image.read(0, 6) != b"\x7fELF\2\1" or image.unpack("<HH", 16) != (_DYNAMIC_EXECUTABLE, _AMD64):
            raise UnsupportedError("not a position-independent executable for amd64")
        (headers,) = image.unpack("<Q", 32)
        size, count = image.unpack("<HH", 54)
        if size != _HEADER.size:
            raise UnsupportedError("program headers of another size")
        self._places = range(headers, headers + size * count, size)
        self.segments = [ProgramHeader(*image.unpack(_HEADER.format, place)) for place in self._places]
        if any(each.kind == _LOAD and each.offset + each.size > len(image) for each in self.segments):
            raise UnsupportedError("not a complete file")
        by_kind = {segment.kind: segment for segment in self.segments}
        if _INTERPRETER in by_kind:
            raise UnsupportedError("not a static executable")
        dynamic = by_kind[_DYNAMIC]
        # The place of each value, and the value.
        self.tags: dict[int, tuple[int, int]] = {}
        for place in range(dynamic.offset, dynamic.offset + dynamic.size, _TAG.size):
            tag, value = image.unpack(_TAG.format, place)
            self.tags.setdefault(tag, (place + 8, value))
        if _RELR in self.tags:
            raise UnsupportedError("relocations of another kind")
        self.table = self.offset(self.tags[_RELA][1])
        self.relative = self.tags[_RELA_COUNT][1]
        if self.relative * _RELOCATION.size > self.tags[_RELA_SIZE][1]:
            raise UnsupportedError("fewer relocations than promised")

    def lengthen(self, image: EmulatorImage, segment: ProgramHeader, size: int) -> None:
        """Let a segment have `size` bytes more of the file."""
        number = self.segments.index(segment)
        longer = structs.replace(segment, size=segment.size + size, memory=segment.memory + size)
        image.write(self._places[number], longer.packed())
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

    def relocations(self, image: EmulatorImage) -> Relocations:
        """Return all relocations. Raises UnsupportedError if they are others than expected."""
        return Relocations(image, self.table, self.relative, self.segments)


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """Report what damaged headers lead to as UnsupportedError."""
    try:
        yield
    except (struct.error, LookupError, ValueError, OverflowError) as error:
        raise UnsupportedError(f"not a complete ELF file: {error}") from error


def relocations(image: EmulatorImage) -> Relocations:
    """Return the relocations of a static position-independent executable for amd64, checked once for all that is done
    to it. Raises UnsupportedError for any other file.
    """
    with checked():
        return StaticProgram(image).relocations(image)


def prelinked(original: EmulatorImage, relocations: Relocations) -> EmulatorImage:
    """Return a static position-independent executable for amd64 with a fixed address, `_BASE`.

    Raises UnsupportedError for any other file.

    The kernel takes addresses in the program headers as absolute, the C library as relative to `_BASE`. So the headers
    get a page of their own at the end of the file, which the kernel reads, and the relocations that remain make them
    relative in memory.
    """
    image = original.copy()
    with checked():
        _prelink(image, relocations)
    return image


def _prelink(image: EmulatorImage, relocations: Relocations) -> None:
    program = StaticProgram(image)
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
    _relocate(image, relocations)
    image.write(program.table + applied * _RELOCATION.size, remaining)
    for tag, change in ((_RELA, applied * _RELOCATION.size), (_RELA_SIZE, -applied * _RELOCATION.size)):
        place, value = program.tags[tag]
        image.pack("<Q", place, value + change)
    image.pack("<Q", program.tags[_RELA_COUNT][0], count)
    first_page = image.read(0, _PAGE)
    image.pack("<H", 16, _EXECUTABLE)
    image.pack("<Q", 24, _BASE + image.unpack("<Q", 24)[0])
    image.pack("<Q", 32, headers.offset)
    packed = b"".join(each.packed(_BASE if each.kind == _LOAD else 0) for each in segments)
    image.write(segments[0].offset, first_page + packed)


def _relocate(image: EmulatorImage, relocations: Relocations) -> None:
    """Apply all relocations for `_BASE`."""
    segment = relocations.segment
    shift = segment.offset - segment.address
    for addresses, values in relocations.pieces():
        # The lowest bytes of the addresses: all words are aligned, in memory and in the file.
        if any(byte % _WORD.size for byte in {*addresses.tobytes()[:: _WORD.size], abs(shift)}):
            raise UnsupportedError("words that are not aligned")
        # Most tables are in the order of the addresses, so that this is a small part.
        start = min(addresses)
        content = bytearray(image.read(start + shift, max(addresses) + _WORD.size - start))
        with memoryview(content).cast("Q") as words:
            for address, value in zip(addresses, values, strict=True):
                words[address - start >> 3] = value + _BASE
        image.write(start + shift, content)


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


def with_fast_pointer_authentication(original: EmulatorImage, relocations: Relocations) -> EmulatorImage:
    """Return an emulator for arm64 (qemu 7.2) whose default is `pauth-impdef`. Prelink it afterwards.

    Raises UnsupportedError for any other file.
    """
    image = original.copy()
    with checked():
        _set_property(image, relocations)
    return image


def _set_property(image: EmulatorImage, relocations: Relocations) -> None:
    """Set the default of a Property of qemu (include/hw/qdev-properties.h).

    It has pointers to name and type, an offset, two words for bit fields, whether there is a default, and the default.
    """
    names = image.places(_PAUTH)
    if len(names) != 1:
        raise UnsupportedError("pauth-impdef is not once in this emulator")
    program = StaticProgram(image)
    name = program.address(names[0] + 1)
    found: list[int] = []
    for addresses, values in relocations.pieces():
        if name in values:
            found += [addresses[values.index(name)]] * values.count(name)
    if len(found) != 1:
        raise UnsupportedError("pauth-impdef has another number of properties than one")
    (start,) = found
    near = sorted(each - start for addresses, _ in relocations.pieces() for each in addresses if 0 <= each - start < 80)
    place = program.offset(start)
    words = image.unpack("<10Q", place)
    if near != [0, 8] or not 0 < words[2] < 1 << 20 or words[3:] != (0, 0, 1, 0, 0, 0, 0):
        raise UnsupportedError("pauth-impdef is another kind of property")
    image.pack("<Q", place + 48, 1)
