"""Whole Debians, made with mmdebstrap: as base images, what real images stand on, and as roots to run a program in."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts import busybox, debian, foreign

# What every Debian has. Where the packages cannot be configured, they are named one by one.
_ESSENTIAL = (
    "base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname "
    "init-system-helpers libc-bin login mawk ncurses-base ncurses-bin perl-base sed sysvinit-utils tar util-linux"
)

_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}

# Bytes that leave room for ".partial" at the end of a name.
_LONGEST_NAME = 200

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


def base(for_platform: str, cache: Path) -> Path:
    """The root file system of what this machine is, Debian or Ubuntu, as a tar in the cache directory; about 100 MB.

    For this machine's own processor it is installed. For another the packages are unpacked, not configured, so nothing
    has to be emulated. Raises debian.UnavailableError when mmdebstrap cannot make it.
    """
    own = _output("dpkg", "--print-architecture")
    architecture = debian.ARCHITECTURES[for_platform]
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    tar = cache / f"{suite}-{architecture}.tar"
    with open(tar.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            partial = tar.with_suffix(".partial.tar")
            kind = ["--variant=essential"] if architecture == own else _unpacked()
            _mmdebstrap(suite, architecture, partial, *kind, *_apt_options())
            partial.rename(tar)
    return tar


def installed(for_platform: str, cache: Path) -> Path:
    """As base(), but with apt, and configured for every processor: what images are made from. It needs root.

    Packages of another processor are configured by its own programs, emulated, which takes a minute once. Raises
    debian.UnavailableError, also where the machine does not allow that (it takes Linux 6.7).
    """
    architecture = debian.ARCHITECTURES[for_platform]
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    tar = cache / f"{suite}-{architecture}-apt.tar"
    with open(tar.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            partial = tar.with_suffix(".partial.tar")
            own = architecture == _output("dpkg", "--print-architecture")
            options = [f"--dpkgopt=path-exclude=/usr/share/{directory}/*" for directory in ("man", "locale")]
            # Its own check looks for a registration by another name.
            _mmdebstrap(
                suite,
                architecture,
                partial,
                "--variant=apt",
                "--mode=root",
                "--skip=check/qemu",
                *options,
                *_apt_options(),
                emulated=not own,
            )
            partial.rename(tar)
    return tar


def root(suite: str, packages: Sequence[str], cache: Path) -> Path:
    """A directory in the cache with these packages of a suite of Debian installed, for this machine's processor.

    It is made once, as root. Nothing of the machine's own packages changes. Raises debian.UnavailableError.
    """
    architecture = _output("dpkg", "--print-architecture")
    directory = cache / _root_name(suite, packages, architecture)
    with open(cache / f"{directory.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            partial = cache / f"{directory.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            # A mirror that stands still has lists past their date; their signatures are looked at all the same.
            late = '--aptopt=Acquire::Check-Valid-Until "false"'
            wanted = f"--include={','.join(packages)}"
            _mmdebstrap(suite, architecture, partial, "--variant=essential", "--format=directory", wanted, late)
            partial.rename(directory)
    return directory


def command(root: Path, program: str) -> tuple[str, ...]:
    """How to start a program of such a root out here: with its own C library, since that of this machine may be too
    old for it.
    """
    machine = os.uname().machine
    libraries = root / f"usr/lib/{machine}-linux-gnu"
    return (str(libraries / _LOADERS[machine]), "--library-path", str(libraries), str(root / "usr/bin" / program))


def _root_name(suite: str, packages: Sequence[str], architecture: str) -> str:
    """The name of a root's directory: its packages, or a digest of many, because a name has 255 bytes at most."""
    name = "-".join((suite, *packages, architecture))
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(" ".join(packages).encode()).hexdigest()
    return f"{suite}-{digest[:32]}-{architecture}"


def _mmdebstrap(suite: str, architecture: str, target: Path, *options: str, emulated: bool = False) -> None:
    shared = ("--skip=output/dev", "--dpkgopt=path-exclude=/usr/share/doc/*", f"--architectures={architecture}")
    # The same packages give the same tar, whenever it is made.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    command = ["mmdebstrap", *shared, *options, suite, str(target)]
    if emulated and not foreign.works():
        raise debian.UnavailableError(f"this machine cannot run the programs of {architecture}")
    made = subprocess.run(
        foreign.command(*command) if emulated else command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise debian.UnavailableError(f"mmdebstrap made no {suite} for {architecture}:\n{made.stderr}")


def _unpacked() -> list[str]:
    hooks = "/usr/share/mmdebstrap/hooks/merged-usr"
    packages = _ESSENTIAL.replace(" ", ",")
    return ["--variant=extract", f"--include={packages}", f"--hook-dir={hooks}", f"--extract-hook={_UNPACKED}"]


def _apt_options() -> list[str]:
    """What this machine's apt is told of mirrors that lag behind holds for the new root's apt as well."""
    dump = _output("apt-config", "dump", "Acquire")
    names = ("Acquire::Check-Valid-Until ", "Acquire::Check-Date ")
    return [f"--aptopt={line}" for line in dump.splitlines() if line.startswith(names)]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(base(argument, busybox.cache_directory()))
