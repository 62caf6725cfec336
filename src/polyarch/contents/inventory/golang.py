"""Go: the build information that its linker records in every program (debug/buildinfo): modules, and Go's version."""

import re
import struct
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from polyarch.contents.inventory import fields, sections
from polyarch.contents.inventory.component import Component, InventoryFile
from polyarch.contents.inventory.sections import ElfPart, ElfParts, Seekable

_MAGIC = b"\xff Go buildinf:"
_HEADER = 32
_ALIGNMENT = 16
_LARGEST = 8 << 20
_SEARCHED = 4 << 20
_INLINE, _BIG_ENDIAN = 2, 1
# The text of modules stands between two marks of this length (runtime/debug, modinfo).
_MARK = 16
_MOST_LINES = 100_000

_DEVELOPMENT = "(devel)"
_WITHOUT_PACKAGE = "command-line-arguments"
_RELEASED = re.compile(r"go\d+(?:\.\d+)*(?:[a-z]+\d+)?(?:[-+][\w.-]+)*")
# A version that the author set with -ldflags "-X main.version=1.2.3".
_SET = re.compile(r"-X[= ]\"?'?([\w./~-]+)\.\w*(?:[vV]er(?:sion)?|[tT]ag)=(?:\S+/)*(v?\d+\.\d+\.\d+[-\w]*)")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z")


class Module(NamedTuple):
    """A module of a program. `version` is empty or "(devel)" if it is not known."""

    path: str
    version: str


class BuildInfo(NamedTuple):
    """What the linker recorded. `dependencies` are what was linked, replacements included."""

    go: str
    path: str = ""
    main: Module | None = None
    dependencies: tuple[Module, ...] = ()
    settings: Mapping[str, str] = MappingProxyType({})


def read(file: Seekable, parts: ElfParts) -> InventoryFile | None:
    """The modules of a program; None if it has no build information."""
    place = parts.sections.get(sections.GO) or next((part for part in parts.segments if part.writable), None)
    if place is None:
        return None
    raw = sections.content(file, place, _SEARCHED)
    at = raw.find(_MAGIC)
    while at >= 0 and (place.address + at) % _ALIGNMENT:
        at = raw.find(_MAGIC, at + 1)
    if at < 0 or len(raw) < at + _HEADER:
        return None
    if raw[at + 15] & _INLINE:
        start = ElfPart("", place.offset + at + _HEADER, _LARGEST, 0, False)
        texts = _inline(sections.content(file, start, _LARGEST))
    else:
        texts = _pointed(file, parts, raw[at : at + _HEADER])
    if texts is None:
        return InventoryFile(notes=("its Go build information is cut off",))
    go, modules = texts
    if not go.startswith(("go", "devel")):
        return InventoryFile(notes=("its Go build information does not begin with a version of Go",))
    return InventoryFile(tuple(dict.fromkeys(_components(parse(go, modules)))))


def _inline(raw: bytes) -> tuple[str, str] | None:
    """Version and modules, each after its length (since Go 1.18)."""
    texts = []
    at = 0
    for _ in range(2):
        length, shift = 0, 0
        while True:
            if at >= len(raw) or shift > 63:
                return None
            byte = raw[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if at + length > len(raw):
            return None
        texts.append(raw[at : at + length])
        at += length
    return _decoded(*texts)


def _pointed(file: Seekable, parts: ElfParts, header: bytes) -> tuple[str, str] | None:
    """The same where the header points to the texts (before Go 1.18)."""
    width = header[14]
    if width not in (4, 8):
        return None
    order = ">" if header[15] & _BIG_ENDIAN else "<"
    number = order + ("Q" if width == 8 else "I")
    texts = []
    for at in (16, 16 + width):
        (pointer,) = struct.unpack_from(number, header, at)
        text = _loaded(file, parts, pointer, 2 * width)
        if len(text) < 2 * width:
            return None
        address, length = struct.unpack(number + number[1:], text)
        raw = _loaded(file, parts, address, length)
        if len(raw) < length:
            return None
        texts.append(raw)
    return _decoded(*texts)


def _loaded(file: Seekable, parts: ElfParts, address: int, size: int) -> bytes:
    """Bytes of the program as they are in memory; fewer if they are not in the file."""
    for part in parts.segments:
        if part.address <= address < part.address + part.size:
            inside = address - part.address
            return sections.content(
                file, ElfPart("", part.offset + inside, min(size, part.size - inside), 0, False), _LARGEST
            )
    return b""


def _decoded(go: bytes, modules: bytes) -> tuple[str, str]:
    marked = len(modules) > 2 * _MARK and modules[-_MARK - 1 : -_MARK] == b"\n"
    inner = modules[_MARK:-_MARK] if marked else b""
    return fields.text(go)[0], fields.text(inner)[0]


def parse(go: str, modules: str) -> BuildInfo:
    """The build information from its two texts (runtime/debug, `BuildInfo.String`)."""
    path, main = "", None
    found: list[Module] = []
    settings: dict[str, str] = {}
    replacing_main = False
    for line in modules.split("\n")[:_MOST_LINES]:
        kind, *rest = line.split("\t")
        if kind == "path" and rest:
            path = rest[0]
        elif kind == "mod" and len(rest) >= 2:
            main, replacing_main = Module(rest[0], rest[1]), True
        elif kind == "dep" and len(rest) >= 2:
            found.append(Module(rest[0], rest[1]))
            replacing_main = False
        elif kind == "=>" and len(rest) >= 2 and not replacing_main and found:
            # A directory has no name by which others know it.
            kept = found[-1].path if rest[0].startswith((".", "/")) else rest[0]
            found[-1] = Module(kept, rest[1])
        elif kind == "build" and rest:
            name, _, value = rest[0].partition("=")
            settings[name] = value
    return BuildInfo(go.partition(" ")[0], path, main, tuple(found), settings)


def _components(info: BuildInfo) -> Iterator[Component]:
    main, dependencies = _main(info)
    if main is not None:
        version = main.version if main.version != _DEVELOPMENT else _built_version(info, main.path)
        yield Component(ecosystem="golang", name=main.path, version=version)
    for module in dependencies:
        if module.path and module != main:
            version = "" if module.version == _DEVELOPMENT else module.version
            yield Component(ecosystem="golang", name=module.path, version=version)
    if _RELEASED.match(info.go):
        yield Component(ecosystem="golang", name="stdlib", version=info.go, licenses=("BSD-3-Clause",))


def _main(info: BuildInfo) -> tuple[Module | None, tuple[Module, ...]]:
    """The main module and the others. `go build FILE` names no main module: it is the one without a version."""
    if info.main is not None and info.main.path and info.main.path != _WITHOUT_PACKAGE:
        return info.main, info.dependencies
    if not info.path:
        return None, info.dependencies
    candidates = [module for module in info.dependencies if module.version == _DEVELOPMENT]
    if len(candidates) == 1:
        return candidates[0], tuple(module for module in info.dependencies if module != candidates[0])
    return Module(info.path, _DEVELOPMENT), info.dependencies


def _built_version(info: BuildInfo, path: str) -> str:
    """The version of a main module that was built in its repository: as the author set it, or from the commit."""
    for package, version in _SET.findall(info.settings.get("-ldflags", "")):
        if package == "main" or package.startswith(f"{path}/"):
            return version if version.startswith("v") else f"v{version}"
    revision, time = info.settings.get("vcs.revision", ""), _TIME.match(info.settings.get("vcs.time", ""))
    return f"v0.0.0-{''.join(time.groups())}-{revision[:12]}" if revision and time else ""
