"""Debian sid's cosign, in a root of its own: the program that signatures must agree with."""

import functools
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from scripts import busybox, debian, debian_root
from tests.needs import missing
from tests.program import Result, run

_LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
PASSWORD = "correct horse"


@functools.cache
def _root() -> Path:
    try:
        return debian_root.root("sid", ("cosign",), busybox.cache_directory())
    except debian.UnavailableError as error:
        missing(f"needs cosign of Debian sid: {error}")


class Cosign:
    """`cosign`, with a home of its own. It reaches registries on loopback only, and no service of Sigstore."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __call__(self, *arguments: str | Path, check: bool = True, env: Mapping[str, str] | None = None) -> Result:
        root = _root()
        machine = platform.machine()
        # Its own C library, because that of this machine may be too old for it.
        loader = [root / "usr/lib" / f"{machine}-linux-gnu" / _LOADERS[machine], "--library-path"]
        libraries = root / "usr/lib" / f"{machine}-linux-gnu"
        environment = {
            "HOME": str(self._home),
            "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": PASSWORD,
            # Nothing may be fetched: a test that needs a service fails at once.
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }
        command = [*loader, libraries, root / "usr/bin/cosign", *arguments]
        return run(command, check=check, env=environment | dict(env or {}), cwd=self._home)
