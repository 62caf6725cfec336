"""A real registry (docker-registry, CNCF's distribution) on a free port of loopback, for tests and benchmarks."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.registry_process import RegistryProcess

_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(?P<port>[0-9]+)[^0-9]")


class LocalRegistry(RegistryProcess):
    """A docker-registry process and its storage. Who makes it ends it: `stop()`, or `running()` as a context."""

    def __init__(
        self,
        directory: Path,
        *,
        htpasswd: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Start the registry, and return when it answers.

        htpasswd: a file of `name:bcrypt` lines; without it everyone may read and write.
        certificate: PEM files (certificate chain, key); without it the registry speaks plain HTTP.
        extra: further top-level parts of its configuration.
        """
        self.storage = directory / "storage"
        directory.mkdir(parents=True, exist_ok=True)
        # Port 0: the kernel gives a free one, and the log says which.
        http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "not one: this registry has a single process"}
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}},
            "http": http,
        }
        if certificate:
            http["tls"] = {"certificate": str(certificate[0]), "key": str(certificate[1])}
        if htpasswd:
            config["auth"] = {"htpasswd": {"realm": "loopback", "path": str(htpasswd)}}
        config.update(extra or {})
        # JSON is YAML.
        (directory / "config.yml").write_text(json.dumps(config))
        command = ["docker-registry", "serve", str(directory / "config.yml")]
        super().__init__(directory, command, _LISTENING, scheme="https" if certificate else "http")

    def requests(self) -> list[str]:
        """What was asked of it so far: `METHOD /path STATUS`, oldest first."""
        asked = []
        for line in self.log.read_text(errors="replace").splitlines():
            parts = line.split('"')
            if not line.startswith("time=") and len(parts) > 2:
                method, _, rest = parts[1].partition(" ")
                asked.append(f"{method} {rest.rpartition(' ')[0]} {parts[2].split()[0]}")
        return asked

    def blob_path(self, digest: str) -> Path:
        """Where it keeps a blob: to spoil it, or to see that it is there."""
        algorithm, _, encoded = digest.partition(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[LocalRegistry]:
    """A registry for the length of a `with`; its directory is removed afterwards."""
    registry = LocalRegistry(directory, **options)
    try:
        yield registry
    finally:
        registry.stop()
        shutil.rmtree(directory, ignore_errors=True)
