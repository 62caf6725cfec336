"""Packages of Debian, PyPI and npm, fetched once, kept in the cache, and served from loopback: no network in a bench.

The server has a flat apt repository a processor at `/debian-ARCH`, an index for pip at `/simple`, and the archives that
a package-lock.json names at `/npm`.
"""

import fcntl
import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts import busybox, debian, debian_root

PROJECTS = Path(__file__).parent / "projects"
# What the Dockerfiles of `projects` install, by processor: a closure over what the base has is fetched.
_DEBIAN = {
    "linux/amd64": ["curl", "gcc", "git", "less", "libc6-dev", "make", "xz-utils", "libpq5", "tini"],
    "linux/arm64": ["libpq5", "tini"],
}
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_GLIBCS = (36, 35, 34, 28, 27, 24, 17)


class PackageServer:
    """An HTTP server on a free port of loopback. Who makes it ends it with `close()`."""

    def __init__(self, directory: Path) -> None:
        handler = functools.partial(_Handler, directory=str(directory))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files, on connections that are kept, as the servers of packages keep theirs."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged: apt asks for many files that may be absent."""


def fetched(python: str) -> Path:
    """The directory to serve, made on first use. `python` is the version for which wheels are fetched (`3.11`).

    Raises debian.UnavailableError if something cannot be had now.
    """
    target = busybox.cache_directory() / f"bench-packages-{_state(python)}"
    with open(target.parent / "bench-packages.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            for platform, packages in _DEBIAN.items():
                _debian(platform, packages, partial / f"debian-{debian.ARCHITECTURES[platform]}")
            _wheels(python, partial)
            _npm(partial / "npm")
            partial.rename(target)
    return target


def lock_file(text: str, url: str) -> str:
    """A package-lock.json whose packages are at a registry."""
    lock = json.loads(text)
    for path, package in lock["packages"].items():
        if path:
            package["resolved"] = f"{url}/npm/{_archive(_npm_name(path, package), package['version'])}"
    return json.dumps(lock, indent=2) + "\n"


def _state(python: str) -> str:
    """A digest of what is fetched."""
    parts = [python, json.dumps(_DEBIAN), *(path.read_text() for path in (*_requirements(), *_locks()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _requirements() -> Sequence[Path]:
    return sorted(PROJECTS.rglob("requirements.txt"))


def _locks() -> Sequence[Path]:
    return sorted(PROJECTS.rglob("package-lock.json"))


def _debian(platform: str, packages: Sequence[str], directory: Path) -> None:
    """A flat repository: the packages, and their list as apt reads it."""
    with tarfile.open(debian_root.installed(platform, busybox.cache_directory())) as base:
        status = base.extractfile("./var/lib/dpkg/status")
        assert status is not None
        installed = status.read()
    debian.download_missing(packages, debian.ARCHITECTURES[platform], installed, directory)
    stanzas = []
    for package in sorted(directory.glob("*.deb")):
        control = _output("dpkg-deb", "--field", str(package))
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        # A version may have an escaped colon in the name of its file, which would be unescaped in a URL.
        path = package.rename(package.with_name(package.name.replace("%3a", "-")))
        stanzas.append(f"{control}\nFilename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n")
    (directory / "Packages").write_text("\n".join(stanzas))


def _wheels(python: str, directory: Path) -> None:
    """All that the requirements name, each for both processors, and an index of it."""
    wheels = directory / "wheels"
    for path in _requirements():
        for platform in _MACHINES if path.parent.name == "web" else list(_MACHINES)[:1]:
            tags = [f"manylinux_2_{minor}_{_MACHINES[platform]}" for minor in _GLIBCS]
            tags.append(f"manylinux2014_{_MACHINES[platform]}")
            words = ["download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
            words += [f"--platform={tag}" for tag in tags]
            words += [f"--python-version={python}", f"--dest={wheels}", f"--requirement={path}"]
            _output(sys.executable, "-m", "pip", *words)
    for wheel in wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            name = metadata.partition("-")[0].replace("_", "-").lower()
        index = directory / "simple" / name / "index.html"
        index.parent.mkdir(parents=True, exist_ok=True)
        with open(index, "a") as page:
            page.write(f'<a href="../../wheels/{wheel.name}">{wheel.name}</a><br>\n')


def _npm(directory: Path) -> None:
    """The archives that the lock files name."""
    directory.mkdir(parents=True)
    wanted = {
        (_npm_name(path, package), package["version"])
        for lock in _locks()
        for path, package in json.loads(lock.read_text())["packages"].items()
        if path
    }
    missing = sorted(f"{name}@{version}" for name, version in wanted)
    for some in (missing[start : start + 50] for start in range(0, len(missing), 50)):
        _output("npm", "pack", "--silent", f"--pack-destination={directory}", *some)


def _npm_name(path: str, package: Mapping[str, Any]) -> str:
    """The name of a package by its place in a lock file: `node_modules/a/node_modules/@b/c`."""
    return str(package.get("name") or path.rpartition("node_modules/")[2])


def _archive(name: str, version: str) -> str:
    """What `npm pack` calls it."""
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise debian.UnavailableError(f"{' '.join(command[:4])} … failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip()
