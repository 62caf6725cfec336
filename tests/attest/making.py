"""Files that have packages in them, made byte by byte: ELF programs, rpm's databases, jars."""

import io
import json
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

# Where programs are in memory.
_BASE = 0x400000


def elf(*, wide: bool = True, little: bool = True, data: bytes = b"", **sections: bytes) -> bytes:
    """A program with a writable segment that begins with `data` and has the sections; `go_buildinfo` stands for the
    section `.go.buildinfo`. Without sections it has no table of sections either.
    """
    order = "<" if little else ">"
    names = ["", *(f".{name.replace('_', '.', 1)}" for name in sections), ".shstrtab"]
    table = b"\0".join(name.encode() for name in names) + b"\0"
    head, row, segment = (64, 64, 56) if wide else (52, 40, 32)
    at = (head + segment + 15) // 16 * 16
    layout = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
    rows = [struct.pack(layout, *(0,) * 10)]
    body = bytearray(data)
    for name, content in zip(names[1:], [*sections.values(), table], strict=True):
        body += bytes(-len(body) % 16)
        offset, start = at + len(body), table.index(name.encode() + b"\0")
        body += content
        is_table = name == names[-1]
        kind, flags, address = (3, 0, 0) if is_table else (1, 2, _BASE + offset)
        rows.append(struct.pack(layout, start, kind, flags, address, offset, len(content), 0, 0, 1, 0))
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if little else 2, 1)) + bytes(9)
    place, count = at + len(body), len(rows)
    if not sections:
        place, rows, count = 0, [], 1
    layout = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    machine = 62 if wide else 3
    header = struct.pack(layout, 2, machine, 1, 0, head, place, 0, head, segment, 1, row, len(rows), count - 1)
    load = (_BASE + at, 0, len(body), len(body))
    program = (
        struct.pack(order + "IIQQQQQQ", 1, 6, at, *load, 4096)
        if wide
        else struct.pack(order + "IIIIIIII", 1, at, *load, 6, 4096)
    )
    return (ident + header + program).ljust(at, b"\0") + bytes(body) + b"".join(rows)


def go_info(version: str, modules: str) -> bytes:
    """What Go's linker writes since Go 1.18."""
    marked = (
        b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6"
        + modules.encode()
        + b"\xf92C1\x86\x18 r\0\x82B\x10A\x16\xd8\xf2"
    )
    header = b"\xff Go buildinf:" + bytes((8, 2)) + bytes(16)
    return header + b"".join(_varint(len(text)) + text for text in (version.encode(), marked))


def old_go_info(version: str, modules: str, *, little: bool = True, wide: bool = True, at: int = 128) -> bytes:
    """What it wrote before: pointers to the texts. The result is the segment of `elf`, which begins at `at`."""
    width, order = (8, "<" if little else ">") if wide else (4, "<" if little else ">")
    number = order + ("Q" if wide else "I")
    texts = [version.encode(), bytes(16) + modules.encode() + bytes(16)]
    header = bytearray(b"\xff Go buildinf:" + bytes((width, 0 if little else 1)))
    base = _BASE + at
    first = 32 + 4 * width
    second = first + len(texts[0])
    header += struct.pack(number, base + 32) + struct.pack(number, base + 32 + 2 * width)
    header = header.ljust(32, b"\0")
    header += struct.pack(number, base + first) + struct.pack(number, len(texts[0]))
    header += struct.pack(number, base + second) + struct.pack(number, len(texts[1]))
    return bytes(header) + b"".join(texts)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def crates(*packages: Mapping[str, object]) -> bytes:
    """What cargo-auditable writes into the section `.dep-v0`."""
    return zlib.compress(json.dumps({"packages": packages}).encode())


def jar(files: Mapping[str, bytes | str]) -> bytes:
    """A jar, the same bytes each time."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return output.getvalue()


def pom(group: str, artifact: str, version: str) -> dict[str, str]:
    """The pom.properties of a library, as a file of a jar."""
    text = f"#Created by Apache Maven\ngroupId={group}\nartifactId={artifact}\nversion={version}\n"
    return {f"META-INF/maven/{group}/{artifact}/pom.properties": text}


_TAGS = {"name": 1000, "version": 1001, "release": 1002, "epoch": 1003, "vendor": 1011, "license": 1014, "url": 1020}
_TAGS |= {"arch": 1022, "sourcerpm": 1044}


def rpm_header(**values: str | int) -> bytes:
    """The header of an rpm package, as a database has it."""
    data, rows = bytearray(), []
    for name, value in sorted(values.items(), key=lambda pair: _TAGS[pair[0]]):
        if isinstance(value, int):
            data += bytes(-len(data) % 4)
        rows.append(struct.pack(">IIII", _TAGS[name], 4 if isinstance(value, int) else 6, len(data), 1))
        data += struct.pack(">I", value) if isinstance(value, int) else value.encode() + b"\0"
    return struct.pack(">II", len(rows), len(data)) + b"".join(rows) + bytes(data)


def sqlite_database(headers: Sequence[bytes], *, wal: bool = True, schema: str = "") -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        schema or "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"
    )
    if headers:
        connection.executemany("INSERT INTO Packages(blob) VALUES (?)", [(header,) for header in headers])
    connection.commit()
    raw = bytes(connection.serialize())
    connection.close()
    return raw[:18] + b"\2\2" + raw[20:] if wal else raw


def ndb_database(headers: Sequence[bytes]) -> bytes:
    slots, blobs = b"", b""
    for index, header in enumerate(headers, 1):
        block = (4096 + len(blobs)) // 16
        blob = struct.pack("<4sIII", b"BlbS", index, 1, len(header)) + header
        blob += bytes(-len(blob) % 4) + struct.pack("<II4s", zlib.adler32(blob), len(header), b"BlbE")
        blob += bytes(-len(blob) % 16)
        slots += struct.pack("<4sIII", b"Slot", index, block, len(blob) // 16)
        blobs += blob
    slots += struct.pack("<4sIII", b"Slot", 0, 0, 0) * (254 - len(headers))
    return struct.pack("<4sIIIIIII", b"RpmP", 0, 1, 1, len(headers) + 1, 0, 0, 0) + slots + blobs


def hash_database(headers: Sequence[bytes], *, order: str = "<", size: int = 512) -> bytes:
    """A hash of Berkeley DB with one page of entries, and with each value on pages of its own."""
    meta = bytearray(size)
    struct.pack_into(order + "I", meta, 12, 0x00061561)
    struct.pack_into(order + "I", meta, 20, size)
    meta[25] = 8
    pages = 2 + sum(-(-len(header) // (size - 26)) for header in headers)
    struct.pack_into(order + "I", meta, 32, pages - 1)
    overflow: list[bytearray] = []
    items: list[bytes] = []
    for number, header in enumerate(headers, 1):
        first = 2 + len(overflow)
        pieces = [header[at : at + size - 26] for at in range(0, len(header), size - 26)]
        for count, piece in enumerate(pieces, 1):
            page = bytearray(size)
            following = first + count if count < len(pieces) else 0
            struct.pack_into(order + "I", page, 16, following)
            struct.pack_into(order + "HH", page, 20, 1, len(piece))
            page[25] = 7
            page[26 : 26 + len(piece)] = piece
            overflow.append(page)
        items += [b"\1" + struct.pack(order + "I", number), b"\3\0\0\0" + struct.pack(order + "II", first, len(header))]
    table = bytearray(size)
    struct.pack_into(order + "H", table, 20, len(items))
    table[25] = 13
    end = size
    for at, item in enumerate(items):
        end -= len(item)
        table[end : end + len(item)] = item
        struct.pack_into(order + "H", table, 26 + 2 * at, end)
    return bytes(meta + table) + b"".join(map(bytes, overflow))
