"""`polyarch serve` on a free port of loopback: a store as a registry, for the demo, tests and benchmarks."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.registry_process import RegistryProcess

_LISTENING = re.compile(r"127\.0\.0\.1:(?P<port>[0-9]+)[^0-9]")
POLYARCH = Path(sys.executable).parent / "polyarch"


class ServedStore(RegistryProcess):
    """A `polyarch serve` process. Who makes it ends it: `stop()`, or `running()` as a context.

    `root` is the store that it serves.
    """

    def __init__(
        self,
        directory: Path,
        *,
        root: Path | None = None,
        htpasswd: Path | None = None,
        tokens: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        self_signed: bool = False,
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        """Start it, and return when it listens.

        root: the store; None: one below the directory.
        htpasswd: a file of `name:bcrypt` lines; without it and `tokens` everyone may read and write.
        tokens: a file of tokens instead.
        certificate: PEM files (certificate chain, key); without it the registry speaks plain HTTP.
        self_signed: it makes its certificate itself; `authority` is the file with that of its authority.
        port: where to listen; 0: the kernel chooses.
        """
        self.root = root or directory / "store"
        words = ["serve", "--listen", f"127.0.0.1:{port}", *options]
        if htpasswd:
            words += ["--auth", "htpasswd", str(htpasswd)]
        if tokens:
            words += ["--auth", "token", str(tokens)]
        if certificate:
            words += ["--tls", *map(str, certificate)]
        if self_signed:
            words += ["--tls-self-signed"]
        self.authority = self.root / "serve/ca.crt"
        environment = {
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "POLYARCH_ROOT": str(self.root),
        }
        scheme = "https" if certificate or self_signed else "http"
        command = [str(POLYARCH), *words]
        super().__init__(directory, command, _LISTENING, scheme=scheme, environment=environment)


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[ServedStore]:
    """A served store for the length of a `with`; its directory is removed afterwards."""
    registry = ServedStore(directory, **options)
    try:
        yield registry
    finally:
        registry.stop()
        shutil.rmtree(directory, ignore_errors=True)
