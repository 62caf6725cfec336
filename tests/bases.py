"""Base images for tests, made on the spot from Debian's packages and kept in a cache across runs."""

import fcntl
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from scripts import busybox, debian
from tests.needs import missing, need
from tests.program import Program, run

PLATFORMS = busybox.PLATFORMS

# What every Debian has. Where the packages cannot be configured, they are named one by one.
_ESSENTIAL = (
    "base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname "
    "init-system-helpers libc-bin login mawk ncurses-base ncurses-bin perl-base sed sysvinit-utils tar util-linux"
)

# Packages of another processor are unpacked only: their scripts would have to run. What those would have written, and
# dpkg's own list of what is there, comes from the packages themselves.
_UNPACKED = r"""
set -e
for package in "$1"/var/cache/apt/archives/*.deb; do
  name=$(dpkg-deb -f "$package" Package)
  grep -q "^Package: $name$" "$1/var/lib/dpkg/status" && continue
  { dpkg-deb -f "$package" | sed '1a Status: install ok unpacked'; echo; } >> "$1/var/lib/dpkg/status"
  { echo /.; dpkg-deb --fsys-tarfile "$package" | tar -t | sed -e 's/^\.//' -e 's,/$,,' -e '/^$/d'; } \
    > "$1/var/lib/dpkg/info/$name.list"
done
cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
"""


def busybox_tars(platforms: Sequence[str] = PLATFORMS) -> dict[str, Path]:
    """A small root file system as a tar for each platform (`linux/arm64`), 2 MB each."""
    need("apt-get", "dpkg-deb")
    try:
        return busybox.bases(platforms, busybox.cache_directory())
    except debian.UnavailableError as problem:
        missing(str(problem))


def debian_tar(for_platform: str) -> Path:
    """A Debian (or Ubuntu: what this machine is) root file system as a tar, about 100 MB.

    For this machine's own processor it is installed; for another the packages are unpacked, not configured.
    """
    need("mmdebstrap", "dpkg")
    own = run(["dpkg", "--print-architecture"]).stdout.strip()
    architecture = debian.ARCHITECTURES[for_platform]
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    tar = busybox.cache_directory() / f"{suite}-{architecture}.tar"
    with open(tar.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            partial = tar.with_suffix(".partial.tar")
            kind = ["--variant=essential"] if architecture == own else _unpacked()
            options = [
                f"--architectures={architecture}",
                "--skip=output/dev",
                "--dpkgopt=path-exclude=/usr/share/doc/*",
            ]
            environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
            made = run(["mmdebstrap", *kind, *options, suite, partial], env=environment, check=False, seconds=600)
            if made.status != 0:
                missing(f"mmdebstrap made no {suite} for {architecture}:\n{made}")
            partial.rename(tar)
    return tar


def _unpacked() -> list[str]:
    hooks = "/usr/share/mmdebstrap/hooks/merged-usr"
    packages = _ESSENTIAL.replace(" ", ",")
    return ["--variant=extract", f"--include={packages}", f"--hook-dir={hooks}", f"--extract-hook={_UNPACKED}"]


def import_busybox(polyarch: Program, name: str = "busybox", platforms: Sequence[str] = PLATFORMS) -> str:
    """Import the busybox of each platform into a store, under one name."""
    for wanted, tar in busybox_tars(platforms).items():
        polyarch("import", "--platform", wanted, tar, name)
    return name


def copy_store(template: Path, root: Path) -> None:
    """A store of a test's own, from one that holds what it starts from."""
    shutil.copytree(template, root, symlinks=True, dirs_exist_ok=True)
