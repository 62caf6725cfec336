"""Ruby: the specifications of installed gems, which RubyGems writes as Ruby code in a fixed form."""

import re

from polyarch.contents.inventory import fields
from polyarch.contents.inventory.component import Component, InventoryFile

ENDINGS = (".gemspec",)
_SPECIFICATION = re.compile(r"(?:.*/)?specifications/(?:.*/)?[^/]+\.gemspec", re.DOTALL)
_ASSIGNED = re.compile(r"^\s*\w+\.(name|version|homepage|license)\s*=\s*([\"'])(.*?)(?<!\\)\2", re.MULTILINE)
_LISTED = re.compile(r"^\s*\w+\.(licenses|authors|email)\s*=\s*\[(.*?)\]", re.MULTILINE | re.DOTALL)
_TEXT = re.compile(r"([\"'])(.*?)(?<!\\)\1", re.DOTALL)
_CODE = re.compile(r"\\u(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{4}))")


def is_specification(path: str) -> bool:
    """Whether a file specifies an installed gem."""
    return path.endswith(ENDINGS) and _SPECIFICATION.fullmatch(path) is not None


def read(raw: bytes) -> InventoryFile:
    """The gem that a specification is for. Ruby code that computes the name or the version is not run."""
    content, notes = fields.text(raw)
    values: dict[str, str] = {}
    for name, _, value in _ASSIGNED.findall(content):
        values.setdefault(name, _plain(value))
    lists = {name: [_plain(text) for _, text in _TEXT.findall(listed)] for name, listed in _LISTED.findall(content)}
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

    return " ".join(_CODE.sub(character, text).split())
