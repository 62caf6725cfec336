"""Programs and libraries that say which packages were compiled into them: Go, and Rust with cargo-auditable."""

from polyarch.contents.inventory import sections
from polyarch.contents.inventory.component import InventoryFile
from polyarch.contents.inventory.sections import Seekable

_NOTHING = InventoryFile()


def read(file: Seekable) -> InventoryFile:
    """The packages in an ELF file; none if it is not one, or says nothing."""
    parts = sections.read(file, (sections.GO, sections.RUST))
    if parts is None:
        return _NOTHING
    crates = parts.sections.get(sections.RUST)
    if crates is not None:
        from polyarch.contents.inventory import rust

        return rust.read(sections.content(file, crates, rust.LARGEST_SECTION))
    from polyarch.contents.inventory import golang

    return golang.read(file, parts) or _NOTHING
