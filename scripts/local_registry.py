"""A real registry (docker-registry, CNCF's distribution) on a free port of loopback, for demo, tests and benchmarks."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_START_SECONDS = 20.0


class LocalRegistry:
    """A docker-registry process, its storage and its log. Who makes it ends it: `stop()`, or `running()` as a context.

    `address` is host:port, as in a reference. Everything lies below `directory`.
    """

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
        self.directory = directory
        self.storage = directory / "storage"
        self.log = directory / "log"
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
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(directory / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.scheme = "https" if certificate else "http"
        try:
            self.address = self._wait()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

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

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            said = self.log.read_text(errors="replace")
            if "listening on 127.0.0.1:" in said:
                port = said.split("listening on 127.0.0.1:", 1)[1]
                return "127.0.0.1:" + "".join(c for c in port[:5] if c.isdigit())
            if self._process.poll() is not None:
                raise RuntimeError(f"docker-registry ended with status {self._process.returncode}:\n{said}")
            time.sleep(0.005)
        raise RuntimeError(f"docker-registry did not listen within {_START_SECONDS:.0f} s:\n{said}")


@contextlib.contextmanager
def running(directory: Path, **options: Any) -> Iterator[LocalRegistry]:
    """A registry for the length of a `with`; its directory is removed afterwards."""
    registry = LocalRegistry(directory, **options)
    try:
        yield registry
    finally:
        registry.stop()
        shutil.rmtree(directory, ignore_errors=True)
