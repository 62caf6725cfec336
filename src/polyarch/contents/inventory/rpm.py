"""rpm: its database of installed packages, in each of the three formats that it has had, and the list of packages of
an image without a database.
"""

import struct

from polyarch.contents.inventory import fields, rpm_databases
from polyarch.contents.inventory.component import Component, InventoryFile

_DIRECTORIES = ("var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm")
_FILES = ("Packages", "Packages.db", "rpmdb.sqlite")
_LOG = "rpmdb.sqlite-wal"
# Azure Linux writes it instead of the database where there is no package manager (toolkit/docs/how_it_works/5_misc.md).
_MANIFEST = "var/lib/rpmmanifest/container-manifest-2"
ENDINGS = (*(f"rpm/{name}" for name in (*_FILES, _LOG)), _MANIFEST)
_COLUMNS = 10
_NONE = "(none)"

# The header of a package (rpm, docs/manual/format_header.md): tags that are read, and the types of their values.
_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _LICENSE = 1000, 1001, 1002, 1003, 1011, 1014
_URL, _ARCH, _SOURCE = 1020, 1022, 1044
_TEXTS = frozenset({_NAME, _VERSION, _RELEASE, _VENDOR, _LICENSE, _URL, _ARCH, _SOURCE})
_INT32, _STRING, _STRINGS, _TRANSLATED = 4, 6, 8, 9
_MOST_TAGS = 1 << 16
_LONGEST_TEXT = 64 << 10


def is_database(path: str) -> bool:
    """Whether a file is the database of installed packages."""
    return path.endswith(_FILES) and _is_in_database(path, _FILES)


def is_log(path: str) -> bool:
    """Whether a file is the write-ahead log of a database in SQLite's format."""
    return path.endswith(_LOG) and _is_in_database(path, (_LOG,))


def _is_in_database(path: str, names: tuple[str, ...]) -> bool:
    directory, _, name = path.rpartition("/")
    return name in names and directory in _DIRECTORIES


def is_manifest(path: str) -> bool:
    """Whether a file is the list of packages of an image without a database."""
    return path == _MANIFEST


def read_manifest(raw: bytes) -> InventoryFile:
    """The packages in such a list: a line each, of columns between tabs."""
    content, notes = fields.text(raw)
    found: list[Component] = []
    problems = list(notes)
    for number, line in enumerate(content.splitlines(), 1):
        columns = line.split("\t")
        if len(columns) < _COLUMNS or not columns[0] or not columns[1]:
            problems.append(f"line {number} has {len(columns)} columns; the file may be cut off")
            continue
        name, version, _, _, vendor, epoch, _, architecture, _, source = columns[:_COLUMNS]
        found.append(
            Component(
                ecosystem="rpm",
                name=name,
                version=f"{epoch}:{version}" if epoch.isdigit() else version,
                architecture=architecture,
                source=source if source != _NONE else "",
                supplier=vendor,
            )
        )
    return InventoryFile(tuple(found), notes=tuple(problems))


def read_log(raw: bytes) -> InventoryFile:
    """A note, because a log that is not empty may have changes that the database lacks."""
    return InventoryFile(notes=(f"it has {len(raw)} bytes of changes to rpmdb.sqlite, which are not read",))


def read(raw: bytes) -> InventoryFile:
    """The packages in a database."""
    found: list[Component] = []
    notes: list[str] = []
    try:
        for number, header in enumerate(rpm_databases.headers(raw), 1):
            try:
                found.append(_component(header))
            except _DamagedHeaderError as error:
                notes.append(f"package {number} cannot be read: {error}")
    except rpm_databases.DamagedError as error:
        notes.append(f"{error}; packages after the first {len(found)} are not listed" if found else str(error))
    return InventoryFile(tuple(found), notes=tuple(notes))


class _DamagedHeaderError(Exception):
    """The header of a package has an impossible value."""


def _component(header: bytes) -> Component:
    tags = _tags(header)
    name, version, release = (tags.get(tag, "") for tag in (_NAME, _VERSION, _RELEASE))
    if not name or not version:
        raise _DamagedHeaderError(f"it has no {'version' if name else 'name'}")
    full = f"{version}-{release}" if release else version
    epoch = tags.get(_EPOCH, "")
    return Component(
        ecosystem="rpm",
        name=name,
        version=f"{epoch}:{full}" if epoch else full,
        architecture=tags.get(_ARCH, ""),
        source=tags.get(_SOURCE, ""),
        licenses=tuple(filter(None, (tags.get(_LICENSE, ""),))),
        supplier=tags.get(_VENDOR, ""),
        homepage=tags.get(_URL, ""),
    )


def _tags(header: bytes) -> dict[int, str]:
    """The values that are read, by tag."""
    if len(header) < 8:
        raise _DamagedHeaderError(f"its header has {len(header)} bytes")
    count, size = struct.unpack_from(">II", header)
    start = 8 + 16 * count
    if count > _MOST_TAGS or start + size > len(header):
        raise _DamagedHeaderError(f"its header claims {count} tags and {size} bytes, and has {len(header)} bytes")
    data = memoryview(header)[start : start + size]
    values: dict[int, str] = {}
    for tag, kind, offset, number in struct.iter_unpack(">IIII", memoryview(header)[8:start]):
        if tag in values or not number:
            continue
        if tag in _TEXTS and kind in (_STRING, _STRINGS, _TRANSLATED):
            raw = bytes(data[offset : offset + _LONGEST_TEXT])
            text, end, _ = raw.partition(b"\0")
            if not end:
                raise _DamagedHeaderError(f"the text of its tag {tag} has no end")
            values[tag] = fields.text(text)[0].strip()
        elif tag == _EPOCH and kind == _INT32 and offset + 4 <= size:
            values[tag] = str(struct.unpack_from(">I", data, offset)[0])
    return values
