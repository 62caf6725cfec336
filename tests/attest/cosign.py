"""Debian sid's cosign, in a root of its own: the program that signatures must agree with."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from scripts import busybox, debian, debian_root
from tests.needs import missing
from tests.program import Result, run

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
        environment = {
            "HOME": str(self._home),
            "PATH": os.environ["PATH"],
            "COSIGN_PASSWORD": PASSWORD,
            # Nothing may be fetched: a test that needs a service fails at once.
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }
        command = [*debian_root.command(_root(), "cosign"), *arguments]
        return run(command, check=check, env=environment | dict(env or {}), cwd=self._home)
