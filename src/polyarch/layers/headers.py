"""The 512-byte headers of tar and the pax records beside them (POSIX.1-2017, pax, "ustar" and "pax" formats).

Written is ustar, with a pax header only if ustar has no room for a name, a number or an xattr. The same entry always
gives the same bytes. Read are ustar, pax, GNU and the oldest (v7) format, strictly.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from zlib import adler32

import msgspec

from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry

BLOCK = 512
ZEROS = bytes(BLOCK)
END = bytes(2 * BLOCK)
XATTR = "SCHILY.xattr."

# The same limit for a pax header or a long name as in Go's archive/tar, with which every peer reads layers.
MAX_EXTENSION = 1 << 20
# No file system of Linux has files of more than 2**63 - 1 bytes, nor larger numbers anywhere in an inode.
_MAX_NUMBER = (1 << 63) - 1

_FLAGS = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "character": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}
# Name, mode with owner, size, time, checksum, flag, link and magic of a header block.
_FIELDS = struct.Struct("100s24s12s12s8sc100s5s").unpack_from
_TAIL = b"ustar\x0000" + bytes(64)
_NO_DEVICE = b"0000000\x000000000\x00"


def _plain_tail(flag: bytes) -> tuple[bytes, int]:
    tail = b"".join((flag, bytes(100), _TAIL, _NO_DEVICE, bytes(167)))
    return tail, sum(tail) + 256


# The second part of most headers, and its contribution to the checksum.
_PLAIN_TAILS = {flag: _plain_tail(flag) for flag in (*_FLAGS.values(), b"x")}


def encode(entry: Entry) -> bytes:
    """The header block of an entry, preceded by a pax header if one is needed.

    Raises CorruptError for a name with a NUL byte, which a tar cannot hold.
    """
    name = _name_bytes(entry)
    link = entry.link.encode("utf-8", "surrogateescape")
    records: list[bytes] = []
    prefix = b""
    if len(name) > 100 or not name.isascii():
        split = _split(name)
        if split is None:
            records.append(_record(b"path", name))
            name = _plain(name, 100)
        else:
            prefix, name = split
    if len(link) > 100 or not link.isascii():
        records.append(_record(b"linkpath", link))
        link = _plain(link, 100)
    if b"\0" in name or b"\0" in link or any(b"\0" in record for record in records):
        raise CorruptError(f"{entry.path!r} has a NUL byte in its name or link, which a tar cannot hold")
    uid, gid = _number(b"uid", entry.uid, 7, records), _number(b"gid", entry.gid, 7, records)
    size, mtime = _number(b"size", entry.size, 11, records), _number(b"mtime", entry.mtime, 11, records)
    records.extend(
        _record(XATTR.encode() + key.encode("utf-8", "surrogateescape"), value) for key, value in entry.xattrs
    )
    header = _header(
        name, entry.mode & 0o7777, uid, gid, size, mtime, _FLAGS[entry.kind], link, prefix, entry.major, entry.minor
    )
    if not records:
        return header
    # The name of a pax header is for readers that do not know pax: they unpack it as a file of this name.
    records.sort(key=_key)
    payload = b"".join(records)
    pax_name = b"PaxHeaders.0/" + _plain(name.rstrip(b"/").rpartition(b"/")[2], 80)
    pax = _header(pax_name, 0o644, 0, 0, len(payload), 0, b"x", b"", b"", 0, 0)
    return b"".join((pax, payload, bytes(-len(payload) % BLOCK), header))


def _key(record: bytes) -> bytes:
    return record.partition(b" ")[2]


def _name_bytes(entry: Entry) -> bytes:
    if entry.kind != "directory":
        return entry.path.encode("utf-8", "surrogateescape")
    return (entry.path or ".").encode("utf-8", "surrogateescape") + b"/"


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """A long ASCII name as ustar's prefix and name, cut at the first slash that makes both fit."""
    if not name.isascii() or len(name) > 256:
        return None
    cut = name.find(b"/", max(len(name) - 101, 1))
    if cut == -1 or cut > 155 or cut == len(name) - 1:
        return None
    return name[:cut], name[cut + 1 :]


def _plain(name: bytes, room: int) -> bytes:
    return bytes(byte if byte < 0x80 else 0x5F for byte in name)[:room]


def _number(key: bytes, value: int, digits: int, records: list[bytes]) -> int:
    """The value for the octal field: `value` itself, or 0 if a pax record has it."""
    if 0 <= value < 8**digits:
        return value
    records.append(_record(key, str(value).encode()))
    return 0


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record. Its length includes the digits of the length."""
    length = len(key) + len(value) + 3
    digits = len(str(length))
    while len(str(length + digits)) != digits:
        digits += 1
    return b"%d %s=%s\n" % (length + digits, key, value)


def _header(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    flag: bytes,
    link: bytes,
    prefix: bytes,
    major: int,
    minor: int,
) -> bytes:
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    if link or prefix or major or minor:
        devices = b"%07o\0%07o\0" % (major, minor) if major or minor else _NO_DEVICE
        tail = b"".join((flag, link.ljust(100, b"\0"), _TAIL, devices, prefix.ljust(167, b"\0")))
        return b"%b%06o\0 %b" % (head, sum(head) + sum(tail) + 256, tail)
    tail, total = _PLAIN_TAILS[flag]
    return b"%b%06o\0 %b" % (head, sum(head) + total, tail)


class Header(msgspec.Struct, frozen=True):
    """The raw fields of one header block; names are not decoded."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    flag: bytes
    link: bytes
    major: int
    minor: int


def decode(block: bytes, at: int) -> Header:
    """The fields of the header block at byte `at`. Raises CorruptError if it is damaged."""
    try:
        name, owner, size, mtime, checksum, flag, link, magic = _FIELDS(block)
        # adler32's lower half is the sum of the bytes, plus one, modulo 65521: of ASCII it stays below that.
        total = (adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)
        total += 256 - sum(checksum)
        if checksum != b"%06o\0 " % total:
            stated = _decoded(checksum)
            if stated != total and stated != _signed_sum(block):
                raise ValueError("its checksum is wrong")
        # Old writers put other versions after "ustar". All of them have the device fields.
        devices = magic == b"ustar"
        name = name.partition(b"\0")[0]
        if block[345] and devices and block[262:265] == b"\x0000":
            # star's form of ustar keeps two times behind a shorter prefix.
            prefix = block[345 : 476 if block[508:] == b"tar\0" else 500]
            name = prefix.partition(b"\0")[0] + b"/" + name
        major, minor = (octal(block[329:337]), octal(block[337:345])) if devices and flag in b"34" else (0, 0)
        return Header(
            name,
            *_owner(owner),
            _decoded(size),
            octal(mtime, True),
            flag,
            link.partition(b"\0")[0] if link[0] else b"",
            major,
            minor,
        )
    except ValueError as error:
        raise CorruptError(f"the tar header at byte {at} is damaged: {error}") from error


def _signed_sum(block: bytes) -> int:
    """The checksum as the oldest writers computed it, with signed bytes."""
    return sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256


# Most headers have the same mode and owner as another, and many the same time. Sizes and checksums differ.
@lru_cache(maxsize=4096)
def octal(field: bytes, signed: bool = False) -> int:
    """A number: octal digits between blanks and NULs, or GNU's base-256. Raises ValueError."""
    return _decoded(field, signed)


@lru_cache(maxsize=1024)
def _owner(fields: bytes) -> tuple[int, int, int]:
    """Mode, uid and gid, which are next to each other."""
    return _decoded(fields[:8]) & 0o7777, _decoded(fields[8:16]), _decoded(fields[16:])


def _decoded(field: bytes, signed: bool = False) -> int:
    first = field[0]
    if first & 0x80:
        # The first bit marks base-256, the second is the sign.
        value = int.from_bytes(field, "big") - (1 << 8 * len(field) - 1)
        if first & 0x40:
            value -= 1 << 8 * len(field) - 1
        if not -_MAX_NUMBER <= value <= _MAX_NUMBER:
            raise ValueError("a number is too large")
        if value < 0 and not signed:
            raise ValueError("a number is negative")
        return value
    digits = field.strip(b" \0")
    if digits.isdigit():
        return int(digits, 8)
    if not digits:
        return 0
    # int() alone would also accept a sign, underscores and a prefix.
    digits = digits.partition(b"\0")[0].rstrip()
    if not digits.isdigit():
        raise ValueError(f"{field!r} is not a number")
    return int(digits, 8)


def decode_pax(payload: bytes, at: int) -> dict[str, bytes]:
    """The records of a pax header; the last record of a key counts. Raises CorruptError if it is malformed.

    GNU's old sparse records are repeated pairs. They are joined by commas, as in the later format.
    """
    records: dict[str, bytes] = {}
    rest = 0
    while rest < len(payload):
        space = payload.find(b" ", rest, rest + 20)
        length = payload[rest:space] if space > 0 else b""
        end = rest + int(length) if length.isdigit() and not length.startswith(b"0") else 0
        equals = payload.find(b"=", space, end)
        if equals == -1 or end > len(payload) or payload[end - 1 : end] != b"\n" or equals == space + 1:
            raise CorruptError(f"the pax header at byte {at} is malformed")
        key = payload[space + 1 : equals].decode("utf-8", "surrogateescape")
        value = payload[equals + 1 : end - 1]
        if key in ("path", "linkpath") and b"\0" in value:
            raise CorruptError(f"the pax header at byte {at} has a NUL byte in a name")
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            key = "GNU.sparse.map"
            value = records[key] + b"," + value if key in records else value
        records[key] = value
        rest = end
    return records


def pax_number(records: Mapping[str, bytes], key: str, default: int, at: int, signed: bool = False) -> int:
    """The whole part of a pax record's number, `default` if it is missing or empty. Raises CorruptError."""
    text = records.get(key, b"")
    if not text:
        return default
    negative = text.startswith(b"-")
    whole, _, fraction = text.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 19:
        raise CorruptError(f"the pax header at byte {at} says {key}={text[:40]!r}, which is not a number")
    value = int(whole)
    if negative:
        # A time before the epoch rounds down, as the seconds of a timespec do.
        value = -value - (1 if fraction.strip(b"0") else 0)
    if (value < 0 and not signed) or value > _MAX_NUMBER:
        raise CorruptError(f"the pax header at byte {at} says {key}={text[:40]!r}, which is not possible")
    return value
