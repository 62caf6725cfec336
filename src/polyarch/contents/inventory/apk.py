"""apk: the list of installed packages of Alpine and its relatives (apk-package(5))."""

from polyarch.contents.inventory import fields
from polyarch.contents.inventory.component import Component, InventoryFile

ENDINGS = ("lib/apk/db/installed",)


def is_database(path: str) -> bool:
    """Whether a file lists installed packages."""
    return path in ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def read(raw: bytes) -> InventoryFile:
    """The packages in the list."""
    content, notes = fields.text(raw)
    found: list[Component] = []
    problems = list(notes)
    for number, lines in enumerate(paragraphs(content), 1):
        name, version = lines.get("P", ""), lines.get("V", "")
        if not name or not version:
            missing = f"the package {name} has no version (V)" if name else f"paragraph {number} has no name (P)"
            problems.append(f"{missing}; the file may be cut off")
            continue
        found.append(
            Component(
                ecosystem="apk",
                name=name,
                version=version,
                architecture=lines.get("A", ""),
                source=lines.get("o", ""),
                licenses=tuple(filter(None, (lines.get("L", ""),))),
                supplier=lines.get("m", ""),
                homepage=lines.get("U", ""),
            )
        )
    ended = () if problems[len(notes) :] else fields.cut_off(raw)
    return InventoryFile(tuple(found), notes=(*problems, *ended))


def paragraphs(content: str) -> list[dict[str, str]]:
    """The fields of each package. Their names are single letters, and `p` is not `P`. The first one counts: after the
    fields of the package, the lines of its files use the same letters.
    """
    result: list[dict[str, str]] = []
    for paragraph in content.replace("\r\n", "\n").split("\n\n"):
        lines: dict[str, str] = {}
        for line in paragraph.split("\n"):
            name, colon, value = line.partition(":")
            if colon:
                lines.setdefault(name, value.strip())
        if lines:
            result.append(lines)
    return result
