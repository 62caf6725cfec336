"""Programs and libraries that say which packages were compiled into them: Go, and Rust with cargo-auditable."""

from typing import BinaryIO

from polyarch.contents.inventory import golang, rust, sections
from polyarch.contents.inventory.component import InventoryFile


def read(_: str, file: BinaryIO) -> InventoryFile:
    """The packages in an ELF file; none if it is not one, or says nothing."""
    parts = sections.read(file, (golang.SECTION, rust.SECTION))
    if parts is None:
        return InventoryFile()
    crates = parts.sections.get(rust.SECTION)
    if crates is not None:
        return rust.read(sections.content(file, crates, rust.LARGEST_SECTION))
    return golang.read(file, parts) or InventoryFile()
