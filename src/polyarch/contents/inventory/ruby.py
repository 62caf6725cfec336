"""Ruby: the specifications of installed gems, which RubyGems writes as Ruby code in a fixed form."""

import re

from polyarch.contents.inventory import fields
from polyarch.contents.inventory.component import Component, InventoryFile

ENDINGS = (".gemspec",)
# Compiled where they are used: most images have no gems.
_SPECIFICATION = r"(?s)(?:.*/)?specifications/(?:.*/)?[^/]+\.gemspec"
_ASSIGNED = r"(?m)^\s*\w+\.(name|version|homepage|license)\s*=\s*([\"'])(.*?)(?<!\\)\2"
_LISTED = r"(?ms)^\s*\w+\.(licenses|authors|email)\s*=\s*\[(.*?)\]"
_TEXT = r"(?s)([\"'])(.*?)(?<!\\)\1"
_CODE = r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))"


def is_specification(path: str) -> bool:
    """Whether a file specifies an installed gem."""
    return path.endswith(ENDINGS) and re.fullmatch(_SPECIFICATION, path) is not None


def read(raw: bytes) -> InventoryFile:
    """The gem that a specification is for. Ruby code that computes the name or the version is not run."""
    content, notes = fields.text(raw)
    values: dict[str, str] = {}
    for name, _, value in re.findall(_ASSIGNED, content):
        values.setdefault(name, _plain(value))
    lists = {
        name: [_plain(text) for _, text in re.findall(_TEXT, listed)] for name, listed in re.findall(_LISTED, content)
    }
    name, version = values.get("name", ""), values.get("version", "")
    if not name or not version or "#{" in name + version:
        missing = "version" if name and "#{" not in name else "name"
        return InventoryFile(notes=(*notes, f"it has no {missing} that can be read without running it"))
    homepage = values.get("homepage", "")
    component = Component(
        ecosystem="gem",
        name=name,
        version=version,
        licenses=tuple(filter(None, lists.get("licenses") or [values.get("license", "")])),
        supplier=", ".join(lists.get("authors", ())),
        homepage="" if "#{" in homepage else homepage,
    )
    return InventoryFile((component,), notes=notes)


def _plain(text: str) -> str:
    """The text of a literal: characters may be written as codes."""

    def character(match: re.Match[str]) -> str:
        code = int(match[1] or match[2], 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"

    return " ".join(re.sub(_CODE, character, text).split())
