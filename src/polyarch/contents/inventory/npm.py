"""npm: the package.json of installed packages and applications, and lock files."""

import re
from typing import Any

import msgspec

from polyarch.contents.inventory.component import Component, InventoryFile

ENDINGS = ("package.json", "package-lock.json")
# Compiled where they are used: most images have no packages of npm.
_INSTALLED = r"(?s)(?:.*/)?node_modules/(?:@[^/]+/)?[^/@.][^/]*/package\.json"
_NAME = r"(?:@[^/@\s]+/)?[^/@\s]+"


def is_package(path: str) -> bool:
    """Whether a file describes an installed package or an application. A package.json deeper inside a package is one of
    its tests, or sets the type of its modules.
    """
    if not path.endswith("package.json") or path.rpartition("/")[2] != "package.json":
        return False
    return re.fullmatch(_INSTALLED, path) is not None or "node_modules/" not in path


def is_lock(path: str) -> bool:
    """Whether a file is the lock file of an application."""
    return (
        path.endswith("package-lock.json")
        and path.rpartition("/")[2] == "package-lock.json"
        and "node_modules/" not in path
    )


def read_package(raw: bytes) -> InventoryFile:
    """The package that a package.json describes; none if it has no name and version, as private packages may."""
    document, note = _object(raw)
    if document is None:
        return InventoryFile(notes=(note,))
    name, version = document.get("name"), document.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not _is_named(name, version):
        return InventoryFile()
    component = Component(
        ecosystem="npm",
        name=name,
        version=version,
        licenses=_licenses(document),
        supplier=_person(document.get("author")),
        homepage=_text(document.get("homepage")),
    )
    return InventoryFile((component,))


def read_lock(raw: bytes) -> InventoryFile:
    """The packages that a lock file locks, without those for development (lockfileVersion 1, 2 and 3)."""
    document, note = _object(raw)
    if document is None:
        return InventoryFile(notes=(note,))
    packages = document.get("packages")
    found = _locked(packages) if isinstance(packages, dict) else _nested(document.get("dependencies"))
    return InventoryFile(tuple(dict.fromkeys(found)))


def _locked(packages: dict[str, Any]) -> list[Component]:
    found = []
    for path, entry in packages.items():
        _, inside, folder = path.rpartition("node_modules/")
        if not inside or not isinstance(entry, dict) or entry.get("dev") or entry.get("link"):
            continue
        name, version = _text(entry.get("name")) or folder, _text(entry.get("version"))
        if _is_named(name, version):
            found.append(Component(ecosystem="npm", name=name, version=version, licenses=_licenses(entry)))
    return found


def _nested(dependencies: object) -> list[Component]:
    found = []
    pending = [dependencies]
    while pending:
        entries = pending.pop()
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict) and not entry.get("dev"):
                pending.append(entry.get("dependencies"))
                version = _text(entry.get("version"))
                if _is_named(name, version):
                    found.append(Component(ecosystem="npm", name=name, version=version))
    return found


def _object(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        document = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return None, f"it is not JSON: {error}"
    return (document, "") if isinstance(document, dict) else (None, "it is not a JSON object")


def _is_named(name: str, version: str) -> bool:
    return bool(version) and re.fullmatch(_NAME, name) is not None


def _licenses(document: dict[str, Any]) -> tuple[str, ...]:
    """`license`, as an expression or in its old form {"type": …}, or the old list `licenses`."""
    listed = document.get("licenses")
    values = [document.get("license"), *(listed if isinstance(listed, list) else ())]
    names = [_text(value.get("type")) if isinstance(value, dict) else _text(value) for value in values]
    return tuple(dict.fromkeys(filter(None, names)))


def _person(value: object) -> str:
    if isinstance(value, dict):
        name, address = _text(value.get("name")), _text(value.get("email"))
        return f"{name} <{address}>" if name and address else name or address
    return _text(value).partition(" (")[0]


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
