"""dpkg: its status file, status.d of distroless images, and machine-readable copyright files (DEP-5)."""

import re

from polyarch.contents.inventory import fields
from polyarch.contents.inventory.component import Component, InventoryFile

_SOURCE = re.compile(r"(\S+)(?:\s+\((.+)\))?")
_COPYRIGHT = re.compile(r"usr/share/doc/[^/]+/copyright")
ENDINGS = ("/dpkg/status", "/copyright")
# Where each package of a distroless image has a file of its own.
DIRECTORY = "var/lib/dpkg/status.d/"
# Of a package in these states, nothing but its configuration is left (dpkg(1), "Package states").
_REMOVED = ("not-installed", "config-files")


def is_database(path: str) -> bool:
    """Whether a file lists installed packages."""
    directory, _, name = path.rpartition("/")
    return path == "var/lib/dpkg/status" or (f"{directory}/" == DIRECTORY and not name.endswith(".md5sums"))


def is_copyright(path: str) -> bool:
    """Whether a file says the licenses of a package."""
    return path.endswith("/copyright") and _COPYRIGHT.fullmatch(path) is not None


def is_installed(paragraph: dict[str, list[str]]) -> bool:
    """Whether a paragraph of a status file is about an installed package. In status.d there is no Status field."""
    return fields.first(paragraph, "status").rpartition(" ")[2] not in _REMOVED


def read(raw: bytes) -> InventoryFile:
    """The packages in a status file."""
    content, notes = fields.text(raw)
    found: list[Component] = []
    problems = list(notes)
    for number, paragraph in enumerate(fields.paragraphs(content), 1):
        if not is_installed(paragraph):
            continue
        name, version = fields.first(paragraph, "package"), fields.first(paragraph, "version")
        if not name or not version:
            missing = f"the package {name} has no Version" if name else f"paragraph {number} has no Package"
            problems.append(f"{missing}; the file may be cut off")
            continue
        source = _SOURCE.fullmatch(fields.first(paragraph, "source"))
        found.append(
            Component(
                ecosystem="deb",
                name=name,
                version=version,
                architecture=fields.first(paragraph, "architecture"),
                source=source[1] if source else "",
                source_version=(source[2] or "") if source else "",
                supplier=fields.first(paragraph, "maintainer"),
                homepage=fields.first(paragraph, "homepage"),
            )
        )
    # The files of status.d have no Status, and are made by many tools.
    ended = () if problems[len(notes) :] or b"\nStatus: " not in raw else fields.cut_off(raw)
    return InventoryFile(tuple(found), notes=(*problems, *ended))


def read_copyright(raw: bytes) -> InventoryFile:
    """The short names of licenses in a copyright file, sorted. There are none unless the file has the format of DEP-5:
    from free text, a license can only be guessed.
    """
    content, _ = fields.text(raw)
    names: set[str] = set()
    for number, paragraph in enumerate(fields.paragraphs(content)):
        if not number and not ("format" in paragraph or "format-specification" in paragraph):
            break
        if not number or "files" in paragraph:
            names.add(" ".join(fields.first(paragraph, "license").partition("\n")[0].split()))
    return InventoryFile(licenses=tuple(sorted(names - {""})))
