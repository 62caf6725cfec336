"""Files like those of qemu's emulators, for tests of what becomes of them: whole and damaged."""

import struct

from hypothesis import strategies as st

from polyarch.sandbox import emulator_file
from polyarch.sandbox.emulator_image import EmulatorImage

PAGE = 4096
# How many relocations there are.
COUNT = 20
TABLE, DYNAMIC, NAME, PROPERTY, SIZE = 0x400, 0x2000, 0x1800, 0x2200, 0x2400


def emulator() -> bytearray:
    """A static position-independent executable with a property `pauth-impdef`, like qemu's, but without any code."""
    image = bytearray(SIZE)
    image[:20] = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 3, 62)
    struct.pack_into("<QQ", image, 24, 0x1234, 64)
    struct.pack_into("<HH", image, 54, 56, 5)
    headers = [
        (1, 4, 0, 0, 0, 0x2000, 0x2000, PAGE),
        (1, 6, 0x2000, 0x2000, 0x2000, 0x400, 0x1400, PAGE),
        (2, 6, DYNAMIC, DYNAMIC, DYNAMIC, 64, 64, 8),
        (4, 4, 0x300, 0x300, 0x300, 32, 32, 4),
        (4, 4, 0x320, 0x320, 0x320, 32, 32, 4),
    ]
    for number, header in enumerate(headers):
        struct.pack_into("<IIQQQQQQ", image, 64 + 56 * number, *header)
    tags = (7, TABLE, 8, 24 * COUNT, 0x6FFFFFF9, COUNT, 0, 0)
    struct.pack_into("<8Q", image, DYNAMIC, *tags)
    image[NAME - 1 : NAME + 13] = b"\0pauth-impdef\0"
    struct.pack_into("<QQQQQQ", image, PROPERTY, 0, 0, 80, 0, 0, 1)
    targets = [(PROPERTY, NAME), (PROPERTY + 8, 0x1000)]
    targets += [(0x2100 + 8 * number, 0x1000 + number) for number in range(COUNT - 2)]
    for number, (address, value) in enumerate(targets):
        struct.pack_into("<QQq", image, TABLE + 24 * number, address, 8, value)
    return image


def prelinked(raw: bytes | bytearray) -> bytes:
    """The file whose start takes fewer page faults."""
    image = EmulatorImage.of_bytes(raw)
    return bytes(emulator_file.prelinked(image, emulator_file.relocations(image)))


@st.composite
def damaged(draw: st.DrawFn, image: bytearray) -> tuple[bytearray, bytearray]:
    """The image with other bytes somewhere, and only the beginning of that."""
    place, damage = draw(st.integers(0, len(image) - 1)), draw(st.binary(min_size=1, max_size=8))
    image = image.copy()
    image[place : place + len(damage)] = damage
    return image, image[: draw(st.integers(0, len(image)))]
