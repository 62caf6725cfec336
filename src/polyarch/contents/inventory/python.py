"""Python: the metadata of installed wheels and eggs (packaging.python.org, "Core metadata specifications")."""

import re

from polyarch.contents.inventory import fields
from polyarch.contents.inventory.component import Component, InventoryFile

_METADATA = re.compile(
    r"(?:.*/)?(?:[^/]+\.dist-info/METADATA|[^/]+\.egg-info(?:/PKG-INFO)?|EGG-INFO/PKG-INFO)", re.DOTALL
)
ENDINGS = ("/METADATA", "/PKG-INFO", ".egg-info")
_CLASSIFIER = "License :: "
# Classifiers that name exactly one license. Others, like "BSD License", name a family.
_CLASSIFIED = {
    "MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}


def is_metadata(path: str) -> bool:
    """Whether a file is the metadata of an installed distribution."""
    return path.endswith(ENDINGS) and _METADATA.fullmatch(path) is not None


def read(raw: bytes) -> InventoryFile:
    """The distribution that a metadata file describes."""
    content, notes = fields.text(raw)
    header = next(fields.paragraphs(content), {})
    name, version = fields.first(header, "name"), fields.first(header, "version")
    if not name or not version:
        return InventoryFile(notes=(*notes, f"it has no {'Version' if name else 'Name'}; the file may be cut off"))
    if name == "Python":
        # Python 2 describes itself in this form, and is not a distribution on an index.
        return InventoryFile()
    author = fields.first(header, "author") or fields.first(header, "maintainer")
    address = fields.first(header, "author-email") or fields.first(header, "maintainer-email")
    supplier = f"{author} <{address}>" if author and address and "<" not in address else author or address
    component = Component(
        ecosystem="pypi",
        # As indexes spell it (PEP 503): the authors of a package and of what needs it differ in case and in `-_.`.
        name=re.sub(r"[-_.]+", "-", name).lower(),
        version=version,
        licenses=_licenses(header),
        supplier=supplier.partition("\n")[0],
        homepage=fields.first(header, "home-page"),
    )
    return InventoryFile((component,), notes=notes)


def _licenses(header: dict[str, list[str]]) -> tuple[str, ...]:
    """License-Expression (PEP 639), else License, else the classifiers."""
    for field in ("license-expression", "license"):
        text = fields.first(header, field)
        if text and text.upper() != "UNKNOWN":
            return (text,)
    classifiers = [line for line in header.get("classifier", ()) if line.startswith(_CLASSIFIER)]
    names = [line.rpartition(" :: ")[2] for line in classifiers if not line.endswith("OSI Approved")]
    return tuple(_CLASSIFIED.get(name, name) for name in names)
