"""The image of container/Dockerfile, on Debian roots that are made here and pushed to a registry on loopback."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts import busybox, debian, debian_root
from tests.apps.bases import settings
from tests.program import Program

REPOSITORY = Path(__file__).resolve().parents[2]
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")
_SECONDS = 3600.0
# What the machine's package managers know of mirrors and certificates is in the base, not in container/Dockerfile.
_BASE = "FROM debian-root\nCOPY --from=machine / /\n"


def push_base(polyarch: Program, name: str, platforms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Push a Debian with apt for these platforms under a name. Making the roots takes a minute each, once.

    Returns the platforms that it is for, and why there is none for the others: mirrors may lack packages for a day.
    """
    there, reasons = [], []
    for platform in platforms:
        try:
            tar = debian_root.installed(platform, busybox.cache_directory())
        except debian.UnavailableError as problem:
            reasons.append(f"{platform} was not tested: {problem}")
            continue
        polyarch("import", "--platform", platform, tar, "debian-root")
        there.append(platform)
    with tempfile.TemporaryDirectory(prefix="polyarch-container-") as scratch:
        machine = settings(Path(scratch))
        _keep_certificates(machine)
        words = ["build", f"--platform={','.join(there)}", f"--tag={name}", "--push"]
        polyarch(*words, f"--build-context=machine={machine}", "-", stdin=_BASE, seconds=_SECONDS)
    return there, reasons


def _keep_certificates(machine: Path) -> None:
    """Let pip read the machine's certificates from a file that installing ca-certificates does not replace."""
    bundle = machine / "etc/ssl/certs/ca-certificates.crt"
    if bundle.exists():
        bundle.rename(machine / "etc/ssl/machine.crt")
        pip = machine / "etc/pip.conf"
        pip.write_text(pip.read_text().replace("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/machine.crt"))


def build(polyarch: Program, base: str, name: str, platforms: Sequence[str]) -> None:
    """Build the image on a base that is in a registry."""
    words = ["build", "--progress=plain", f"--platform={','.join(platforms)}", f"--build-arg=BASE={base}"]
    polyarch(*words, f"--tag={name}", "-f", REPOSITORY / "container/Dockerfile", REPOSITORY, seconds=_SECONDS)


def native() -> str:
    """The platform of this machine."""
    return "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
