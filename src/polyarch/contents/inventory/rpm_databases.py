"""The formats of rpm's database: SQLite (rpm 4.16), ndb (SUSE), and a hash of Berkeley DB (before rpm 4.16).

Each holds the headers of packages. Every count, offset and length is checked before it is used.
"""

import struct
from collections.abc import Iterator

_MOST_PACKAGES = 200_000
_LARGEST_HEADER = 64 << 20
# How many instructions of its virtual machine SQLite may need, in thousands: a damaged index can make it loop.
_MOST_STEPS = 20_000

_SQLITE = b"SQLite format 3\0"
_NDB = b"RpmP"
_HASH = 0x00061561


class DamagedError(Exception):
    """A database cannot be read further; the message says why."""


def headers(raw: bytes) -> Iterator[bytes]:
    """The header of each package in a database. Raises DamagedError where it cannot be read further."""
    if raw.startswith(_SQLITE):
        found = _of_sqlite(raw)
    elif raw.startswith(_NDB):
        found = _of_ndb(raw)
    elif len(raw) >= 16 and _HASH in struct.unpack_from("<I", raw, 12) + struct.unpack_from(">I", raw, 12):
        found = _of_hash(raw)
    else:
        raise DamagedError("it is not a database of rpm: its first bytes are those of no format that rpm has had")
    for number, header in enumerate(found):
        if number == _MOST_PACKAGES:
            raise DamagedError(f"it has more than {_MOST_PACKAGES} packages")
        yield header


def _of_sqlite(raw: bytes) -> Iterator[bytes]:
    import sqlite3

    steps = 0

    def too_long() -> bool:
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS

    connection = sqlite3.connect(":memory:")
    try:
        # rpm uses a write-ahead log, which a database in memory cannot have; these bytes say so (SQLite's file format).
        connection.deserialize(raw[:18] + b"\1\1" + raw[20:])
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_HEADER)
        connection.set_progress_handler(too_long, 1000)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        # A view or a virtual table of this name could compute anything.
        table = connection.execute("SELECT 1 FROM sqlite_master WHERE name='Packages' AND type='table' AND rootpage>0")
        if table.fetchone() is None:
            raise DamagedError("it has no table Packages")
        for (header,) in connection.execute("SELECT blob FROM Packages"):
            if isinstance(header, bytes):
                yield header
    except (sqlite3.Error, MemoryError, ValueError, OverflowError) as error:
        raise DamagedError(f"SQLite cannot read it: {error or type(error).__name__}") from error
    finally:
        connection.close()


def _of_ndb(raw: bytes) -> Iterator[bytes]:
    """rpm, lib/backend/ndb/rpmpkg.c: pages of slots, each of which points to a header, in units of 16 bytes."""
    if len(raw) < 32:
        raise DamagedError("it ends in its header")
    version, _, pages = struct.unpack_from("<III", raw, 4)
    if version != 0:
        raise DamagedError(f"it has version {version} of the format, and only version 0 is known")
    end = pages * 4096
    if not pages or end > len(raw):
        raise DamagedError(f"it claims {pages} pages of slots, and has {len(raw)} bytes")
    slots = struct.iter_unpack("<4sIII", memoryview(raw)[32:end])
    for magic, index, block, _ in slots:
        if magic != b"Slot":
            raise DamagedError("a slot does not begin as a slot does")
        if not index:
            continue
        start = block * 16
        if start + 16 > len(raw):
            raise DamagedError(f"the header of package {index} lies outside the file")
        blob, owner, _, size = struct.unpack_from("<4sIII", raw, start)
        if blob != b"BlbS" or owner != index or size > _LARGEST_HEADER or start + 16 + size > len(raw):
            raise DamagedError(f"the header of package {index} is not where its slot says")
        yield raw[start + 16 : start + 16 + size]


# Types of pages and of values (Berkeley DB 5.3, db_page.h).
_OVERFLOW, _HASH_UNSORTED, _HASH_SORTED = 7, 2, 13
_KEY_DATA, _OFF_PAGE = 1, 3
_PAGE_HEADER = 26
# The record 0 of rpm is the highest number of a package, 4 bytes long.
_SMALLEST_HEADER = 16


def _of_hash(raw: bytes) -> Iterator[bytes]:
    order = "<" if struct.unpack_from("<I", raw, 12)[0] == _HASH else ">"
    if len(raw) < 512:
        raise DamagedError("it ends in its first page")
    (size,) = struct.unpack_from(order + "I", raw, 20)
    if size not in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
        raise DamagedError(f"it claims pages of {size} bytes")
    if raw[24]:
        raise DamagedError("it is encrypted")
    for start in range(0, len(raw) - size + 1, size):
        if raw[start + 25] not in (_HASH_UNSORTED, _HASH_SORTED):
            continue
        page = raw[start : start + size]
        (count,) = struct.unpack_from(order + "H", page, 20)
        if _PAGE_HEADER + 2 * count > size:
            raise DamagedError(f"page {start // size} claims {count} entries")
        places = struct.unpack_from(f"{order}{count}H", page, _PAGE_HEADER)
        # Keys and values alternate.
        for number in range(1, count, 2):
            at, end = places[number], places[number - 1]
            if at + 12 <= size and page[at] == _OFF_PAGE:
                first, length = struct.unpack_from(order + "II", page, at + 4)
                yield _overflowing(raw, order, size, first, length)
            elif at < size and page[at] == _KEY_DATA and end - at > _SMALLEST_HEADER:
                yield page[at + 1 : end]
    if len(raw) % size:
        raise DamagedError("it ends in the middle of a page")


def _overflowing(raw: bytes, order: str, size: int, number: int, length: int) -> bytes:
    """A value on pages of its own, each of which names the next."""
    if length > min(_LARGEST_HEADER, len(raw)):
        raise DamagedError(f"it claims a value of {length} bytes")
    parts: list[bytes] = []
    left = length
    while left > 0:
        start = number * size
        if not number or start + size > len(raw) or raw[start + 25] != _OVERFLOW:
            raise DamagedError(f"page {number}, where a package continues, is not there")
        (following,) = struct.unpack_from(order + "I", raw, start + 16)
        (used,) = struct.unpack_from(order + "H", raw, start + 22)
        part = raw[start + _PAGE_HEADER : start + _PAGE_HEADER + min(used, left, size - _PAGE_HEADER)]
        if not part:
            raise DamagedError(f"page {number}, where a package continues, is empty")
        parts.append(part)
        left -= len(part)
        number = following
    return b"".join(parts)
