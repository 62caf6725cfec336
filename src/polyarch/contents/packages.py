"""Installed packages: names and versions, from the files that package managers keep.

dpkg (status, and status.d as distroless images have it) and apk are read; a pip package is known by the name of its
.dist-info directory alone. rpm's database is recognised and not read.
"""

import re

import msgspec

from polyarch.contents.inventory import apk, dpkg, fields
from polyarch.layers.entry import Entry

_MAX = 64 << 20
_RPM = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm)/(?:rpmdb\.sqlite|Packages|Packages\.db)")
_DIST_INFO = re.compile(r"([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)\.dist-info")


class Package(msgspec.Struct, frozen=True, array_like=True):
    """An installed package; `manager` is "dpkg", "apk", "rpm" or "pip"."""

    manager: str
    name: str
    version: str


def is_list(entry: Entry) -> bool:
    """Whether a file of a layer is a list of packages that `read` reads."""
    path = entry.path
    return entry.kind == "file" and entry.size <= _MAX and (dpkg.is_database(path) or apk.is_database(path))


def is_rpm(path: str) -> bool:
    """Whether a path is rpm's database."""
    return _RPM.fullmatch(path) is not None


def of_directory(path: str) -> Package | None:
    """The pip package of a .dist-info directory, with its name normalized (PEP 503)."""
    match = _DIST_INFO.fullmatch(path.rpartition("/")[2])
    return Package("pip", re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]) if match else None


def read(path: str, raw: bytes) -> tuple[Package, ...]:
    """The packages in a list. A version that is missing is empty."""
    content, _ = fields.text(raw)
    if apk.is_database(path):
        named = [("apk", lines.get("P", ""), lines.get("V", "")) for lines in apk.paragraphs(content)]
    else:
        named = [
            ("dpkg", fields.first(paragraph, "package"), fields.first(paragraph, "version"))
            for paragraph in fields.paragraphs(content)
            if dpkg.is_installed(paragraph)
        ]
    return tuple(Package(*package) for package in named if package[1])
