"""The packages of the clients, from npm and PyPI: into a directory of the cache, outside of the repository."""

import fcntl
import hashlib
import shutil
import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts import busybox

Install = Callable[[Path, Sequence[str]], None]


def installed(name: str, install: Install, packages: Sequence[str]) -> Path:
    """The directory with these packages, which is made once for each set of versions."""
    versions = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    cache = busybox.cache_directory()
    place = cache / f"client-{name}-{versions}"
    with open(cache / f"{place.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "installed").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            install(place, packages)
            (place / "installed").touch()
    return place


def npm(place: Path, packages: Sequence[str]) -> None:
    """Install packages of npm into `node_modules`. Their scripts do not run: all that they need is in the packages."""
    (place / "package.json").write_text('{"type": "module"}')
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", *packages]
    _run(command, place)


def pip(place: Path, packages: Sequence[str]) -> None:
    """Install packages of PyPI into the virtual environment `venv`."""
    venv.create(place / "venv", with_pip=True)
    _run([place / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages], place)


def nothing(place: Path, packages: Sequence[str]) -> None:
    """For a client that the driver gets from elsewhere."""


def _run(command: Sequence[str | Path], place: Path) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
