"""Installed packages: names and versions, from the files that package managers keep.

dpkg (status, and status.d as distroless images have it) and apk are read; a pip package is known by the name of its
.dist-info directory alone. rpm's database is recognised and not read.
"""

import re

import msgspec

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
    return entry.kind == "file" and entry.size <= _MAX and (_is_dpkg(path) or _is_apk(path))


def is_rpm(path: str) -> bool:
    """Whether a path is rpm's database."""
    return _RPM.fullmatch(path) is not None


def of_directory(path: str) -> Package | None:
    """The pip package of a .dist-info directory, with its name normalized (PEP 503)."""
    match = _DIST_INFO.fullmatch(path.rpartition("/")[2])
    return Package("pip", re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]) if match else None


def read(path: str, raw: bytes) -> tuple[Package, ...]:
    """The packages in a list."""
    text = raw.decode("utf-8", "replace")
    return tuple(_apk(text) if _is_apk(path) else _dpkg(text))


def _is_dpkg(path: str) -> bool:
    directory, _, name = path.rpartition("/")
    return path == "var/lib/dpkg/status" or (directory == "var/lib/dpkg/status.d" and not name.endswith(".md5sums"))


def _is_apk(path: str) -> bool:
    return path in ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def _dpkg(text: str) -> list[Package]:
    found = []
    for paragraph in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Version: ", "Status: "))
        )
        # status.d has no Status field; in status, a removed package keeps its paragraph for its configuration.
        status = fields.get("Status", "").rpartition(" ")[2]
        if "Package" in fields and status not in ("not-installed", "config-files"):
            found.append(Package("dpkg", fields["Package"], fields.get("Version", "")))
    return found


def _apk(text: str) -> list[Package]:
    found = []
    for paragraph in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in paragraph.splitlines() if line.startswith(("P:", "V:")))
        if "P" in fields:
            found.append(Package("apk", fields["P"], fields.get("V", "")))
    return found
