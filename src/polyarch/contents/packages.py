"""Installed packages: names and versions, for those who compare images and read the facts about layers anyway.

The databases of dpkg, apk and rpm are read by the inventory. A pip package is known by the name of its .dist-info
directory alone, and a gem by that of its specification: to read thousands of small files would read most of a layer.
"""

import re

import msgspec

from polyarch.contents.inventory import apk, dpkg, rpm
from polyarch.layers.entry import Entry

_MAX = 64 << 20
_DIST_INFO = re.compile(r"([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)\.dist-info")
_GEM = re.compile(r".*/specifications/(?:.*/)?([^/]+?)-([0-9][^/-]*)(?:-[^/]*)?\.gemspec", re.DOTALL)


class Package(msgspec.Struct, frozen=True, array_like=True):
    """An installed package; `manager` is "dpkg", "apk", "rpm", "pip" or "gem"."""

    manager: str
    name: str
    version: str


class PackageList(msgspec.Struct, frozen=True, array_like=True):
    """The packages in a database; `notes` say what could not be read, and why."""

    packages: tuple[Package, ...] = ()
    notes: tuple[str, ...] = ()


def is_list(entry: Entry) -> bool:
    """Whether a file of a layer is a database of packages that `read` reads."""
    path = entry.path
    is_database = dpkg.is_database(path) or apk.is_database(path) or rpm.is_database(path)
    return is_database and entry.kind == "file" and entry.size <= _MAX


def of_path(path: str) -> Package | None:
    """The pip package of a .dist-info directory, with its name normalized (PEP 503), or the gem of a specification."""
    if path.endswith(".gemspec"):
        gem = _GEM.fullmatch(path)
        return Package("gem", gem[1], gem[2]) if gem else None
    match = _DIST_INFO.fullmatch(path.rpartition("/")[2])
    return Package("pip", re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]) if match else None


def read(path: str, raw: bytes) -> PackageList:
    """The packages in a database."""
    if apk.is_database(path):
        manager, found = "apk", apk.read(raw)
    elif rpm.is_database(path):
        manager, found = "rpm", rpm.read(raw)
    else:
        manager, found = "dpkg", dpkg.read(raw)
    packages = [Package(manager, one.name, one.version) for one in found.components]
    return PackageList(tuple(packages), found.notes)
