"""Debian's and Ubuntu's packages for any architecture, by an apt of our own beside the machine's.

The machine's sources, keys and proxy are used; its lists, its cache and its set of architectures stay as they are, and
nothing is installed. No root is needed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ARCHITECTURES: Mapping[str, str] = {
    "linux/amd64": "amd64",
    "linux/arm64": "arm64",
    "linux/arm/v7": "armhf",
    "linux/s390x": "s390x",
    "linux/386": "i386",
    "linux/arm/v5": "armel",
    "linux/ppc64le": "ppc64el",
    "linux/mips64le": "mips64el",
}

# Ubuntu keeps amd64 and i386 on one kind of mirror and all the other architectures on another.
_UBUNTU_MIRROR = re.compile(r"https?://(?:[\w.-]+\.)?(?:archive|security)\.([\w.-]+)/ubuntu/?(?=\s|$)")


class UnavailableError(Exception):
    """A package that the distribution does not have, or that its mirrors could not deliver now."""


def download(packages: Sequence[str], directory: Path) -> dict[str, Path]:
    """Fetch packages, written as `name:architecture`, into a directory; apt verifies them.

    Raises UnavailableError, naming those that could not be had.
    """
    own = _output(["dpkg", "--print-architecture"])
    mirrors = {
        "own": [p for p in packages if _architecture(p) in {own, "all"}],
        "foreign": [p for p in packages if _architecture(p) not in {own, "all"}],
    }
    for kind, wanted in mirrors.items():
        if wanted:
            with tempfile.TemporaryDirectory(prefix="polyarch-apt-") as scratch:
                config = _configure(Path(scratch), [_architecture(p) for p in wanted], foreign=kind == "foreign")
                _fetch(wanted, directory, config)
    return {package: _downloaded(package, directory) for package in packages}


def download_missing(packages: Sequence[str], architecture: str, status: bytes, directory: Path) -> None:
    """Fetch what installing packages takes on a system with this /var/lib/dpkg/status, dependencies included.

    Raises UnavailableError.
    """
    own = architecture == _output(["dpkg", "--print-architecture"])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="polyarch-apt-") as scratch:
        config = _configure(Path(scratch), [architecture], foreign=not own)
        (Path(scratch) / "status").write_bytes(status)
        words = ("install", "--yes", "--no-install-recommends", "--download-only", *packages)
        for pause in (3, 10, 0):
            _apt(config, directory, "update", "-o", "APT::Update::Error-Mode=any")
            fetched = _apt(config, directory, *words)
            if fetched.returncode == 0:
                for package in (Path(scratch) / "cache/archives").glob("*.deb"):
                    shutil.move(package, directory)
                return
            time.sleep(pause)
    raise UnavailableError(f"apt could not fetch {', '.join(packages)} for {architecture}:\n{fetched.stderr}")


def _architecture(package: str) -> str:
    return package.partition(":")[2]


def _configure(scratch: Path, architectures: Sequence[str], *, foreign: bool) -> Path:
    """Write the private apt's configuration, read after the machine's."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    unique = list(dict.fromkeys(architectures))
    lines = [
        # The machine's hooks are for the machine's lists: they would tell its package managers of a change.
        "#clear APT::Update::Pre-Invoke;",
        "#clear APT::Update::Post-Invoke;",
        "#clear APT::Update::Post-Invoke-Success;",
        "#clear APT::Architectures;",
        f'APT::Architecture "{unique[0]}";',
        "APT::Architectures { " + " ".join(f'"{name}";' for name in unique) + " };",
        # The scratch directory is ours alone, so the user _apt could not write there.
        'APT::Sandbox::User "root";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        f'Dir::State "{scratch}/state";',
        f'Dir::State::status "{scratch}/status";',
        f'Dir::Cache "{scratch}/cache";',
    ]
    if foreign and "ID=ubuntu" in Path("/etc/os-release").read_text():
        lines += _ubuntu_ports(scratch)
    config = scratch / "apt.conf"
    config.write_text("\n".join(lines) + "\n")
    return config


def _ubuntu_ports(scratch: Path) -> list[str]:
    parts = scratch / "sources.list.d"
    parts.mkdir()
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if source.suffix in {".list", ".sources"} and source.is_file():
            (parts / source.name).write_text(ports(source.read_text()))
    return ['Dir::Etc::sourcelist "/dev/null";', f'Dir::Etc::sourceparts "{parts}";']


def ports(sources: str) -> str:
    """An apt source file, in either format, with Ubuntu's main mirrors replaced by those of its other architectures."""
    sources = _UBUNTU_MIRROR.sub(r"http://ports.\1/ubuntu-ports", sources)
    sources = re.sub(r"^(deb\s+\[[^\]]*?)\s*arch=\S+?(?=[\s\]])", r"\1", sources, flags=re.MULTILINE)
    return re.sub(r"^Architectures:.*\n", "", sources, flags=re.MULTILINE)


def _fetch(packages: Sequence[str], directory: Path, config: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    said = ""
    # A mirror in mid-sync fails for one index or one file, and is right a moment later.
    for pause in (3, 10, 0):
        update = _apt(config, directory, "update", "-o", "APT::Update::Error-Mode=any")
        # What could be updated may be enough, so the download is tried after a failed update as well.
        fetched = _apt(config, directory, "download", *packages)
        if fetched.returncode == 0:
            return
        said = "\n".join(line for line in (update.stderr + fetched.stderr).splitlines() if line[:2] in {"E:", "W:"})
        time.sleep(pause)
    absent = [p for p in packages if not list(directory.glob(_pattern(p)))]
    raise UnavailableError(f"apt could not fetch {', '.join(absent)}:\n{said}")


def _apt(config: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-c", str(config), "-q", *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _pattern(package: str) -> str:
    name, _, architecture = package.partition(":")
    return f"{name}_*_{architecture}.deb"


def _downloaded(package: str, directory: Path) -> Path:
    return max(directory.glob(_pattern(package)), key=lambda path: path.stat().st_mtime)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    for path in download(sys.argv[1:], Path.cwd()).values():
        print(path)
