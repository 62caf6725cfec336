"""Base images for tests, made on the spot from Debian's packages and kept in a cache across runs."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from scripts import busybox, debian, debian_root
from tests.needs import missing, need
from tests.program import Program

PLATFORMS = busybox.PLATFORMS


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
    try:
        return debian_root.base(for_platform, busybox.cache_directory())
    except debian.UnavailableError as problem:
        missing(str(problem))


def import_busybox(polyarch: Program, name: str = "busybox", platforms: Sequence[str] = PLATFORMS) -> str:
    """Import the busybox of each platform into a store, under one name."""
    for wanted, tar in busybox_tars(platforms).items():
        polyarch("import", "--platform", wanted, tar, name)
    return name


def copy_store(template: Path, root: Path) -> None:
    """A store of a test's own, from one that holds what it starts from."""
    shutil.copytree(template, root, symlinks=True, dirs_exist_ok=True)
