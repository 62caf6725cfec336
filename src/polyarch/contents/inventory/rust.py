"""Rust: the dependencies that cargo-auditable records in a program, compressed JSON in the section `.dep-v0`."""

import zlib

import msgspec

from polyarch.contents.inventory.component import Component, InventoryFile
from polyarch.contents.inventory.sections import RUST

LARGEST_SECTION = 8 << 20
# As cargo-auditable limits it for those who read.
_LARGEST = 8 << 20


class _Crate(msgspec.Struct, frozen=True):
    name: str
    version: str
    kind: str = "runtime"


class _Crates(msgspec.Struct, frozen=True):
    packages: list[_Crate] = []


def read(section: bytes) -> InventoryFile:
    """The crates that are linked into a program. Those that only its build needed are not in it."""
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(section, _LARGEST)
        if not inflater.eof:
            cut = "is cut off" if not inflater.unconsumed_tail else f"has more than {_LARGEST} bytes"
            return InventoryFile(notes=(f"its section {RUST} {cut}",))
        crates = msgspec.json.decode(content, type=_Crates).packages
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        return InventoryFile(notes=(f"its section {RUST} cannot be read: {error}",))
    found = [
        Component(ecosystem="cargo", name=crate.name, version=crate.version)
        for crate in crates
        if crate.name and crate.version and crate.kind == "runtime"
    ]
    return InventoryFile(tuple(dict.fromkeys(found)))
