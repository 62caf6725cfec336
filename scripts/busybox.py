"""A base image for every platform, made on the spot from Debian's busybox-static packages.

`bases(platforms, cache)` gives a root file system as a tar for each platform, to be imported with
`polyarch import --platform PLATFORM FILE NAME`. The demo, the tests and the benchmarks all start from these.
"""

import fcntl
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts import debian

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")

_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/share": 0o755,
    "usr/share/doc": 0o755,
    "usr/share/doc/busybox-static": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_FILES = {
    "etc/group": "root:x:0:\nusers:x:100:\nnogroup:x:65534:\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
}


def cache_directory() -> Path:
    """Where bases are kept from one run to the next: one directory a user, outside the repository."""
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polyarch-bases"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise debian.UnavailableError(
            f"cannot create {directory}: {error.strerror}; XDG_CACHE_HOME names another"
        ) from error
    return directory


def bases(platforms: Sequence[str], cache: Path) -> dict[str, Path]:
    """The root file system of each platform, as a tar in the cache directory; fetched where it is not there yet.

    Several processes may ask at once. Raises debian.UnavailableError when a package cannot be had.
    """
    tars = {platform: cache / f"busybox-{debian.ARCHITECTURES[platform]}.tar" for platform in platforms}
    with open(cache / "busybox.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [platform for platform, tar in tars.items() if not tar.exists()]
        if wanted:
            with tempfile.TemporaryDirectory(prefix="polyarch-busybox-") as scratch:
                packages = {platform: f"busybox-static:{debian.ARCHITECTURES[platform]}" for platform in wanted}
                fetched = debian.download(list(packages.values()), Path(scratch))
                for platform, package in packages.items():
                    _write(root_filesystem(fetched[package]), tars[platform])
    return tars


def root_filesystem(package: Path) -> bytes:
    """The tar of a root file system around the busybox of a package. The same package gives the same bytes."""
    inside = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(inside)) as tar:
        paths = {member.name.removeprefix("./"): member for member in tar.getmembers() if member.isfile()}
        # Debian 13 and Ubuntu moved /bin into /usr/bin.
        program = next(path for path in ("bin/busybox", "usr/bin/busybox") if path in paths)
        busybox = _read(tar, paths[program])
        licence = _read(tar, paths["usr/share/doc/busybox-static/copyright"])
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, mode in _DIRECTORIES.items():
            _add(tar, path, tarfile.DIRTYPE, mode)
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, busybox)
        for applet in applets(busybox):
            _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        for path, text in _FILES.items():
            _add(tar, path, tarfile.REGTYPE, 0o644, text.encode())
        # Where the first line of a script looks for it.
        _add(tar, "usr/bin/env", tarfile.SYMTYPE, 0o777, link="../../bin/busybox")
        _add(tar, "usr/share/doc/busybox-static/copyright", tarfile.REGTYPE, 0o644, licence)
    return output.getvalue()


def applets(busybox: bytes) -> list[str]:
    """The names that a busybox answers to, read from its table: a foreign one cannot be asked by running it."""
    start = busybox.index(b"\0[\0[[\0") + 1
    end = busybox.index(b"\0\0", start)
    return [name.decode() for name in busybox[start:end].split(b"\0") if name != b"busybox"]


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None
    return content.read()


def _add(tar: tarfile.TarFile, path: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.linkname, member.size = kind, mode, link, len(content)
    tar.addfile(member, io.BytesIO(content))


def _write(content: bytes, path: Path) -> None:
    """Whole or not at all: a run that is interrupted must not leave half a tar in the cache."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(path)


if __name__ == "__main__":
    for where in bases(sys.argv[1:] or PLATFORMS, cache_directory()).values():
        print(where)
