"""Both servers as processes of their own, for the length of a `with`."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts import local_registry
from tests.serve.logins import users
from tests.serve.spec.clauses import World
from tests.serve.spec.passwords import NAME, PASSWORD
from tests.serve.spec.tokens import TOKENS

# The name that a case asks for in the Host header, as if a proxy were in front of the server.
_NAME = ("--name", "registry.example.org")


@contextlib.contextmanager
def ours(directory: Path, world: World = "open") -> Iterator[str]:
    """Serve a new store below `directory`: yields `host:port`, and ends the server."""
    environment = {**os.environ, "POLYARCH_ROOT": str(directory / "store"), "HOME": str(directory)}
    command = [sys.executable, "-m", "polyarch", "serve", "--listen", "127.0.0.1:0", *_NAME]
    if world == "read-only":
        command.append("--read-only")
    if world == "password":
        command += ["--auth", "htpasswd", str(_htpasswd(directory))]
    if world == "token":
        (directory / "tokens").write_text(TOKENS)
        command += ["--auth", "token", str(directory / "tokens")]
    log = directory / "log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        # It says the name above, which only it knows.
        found = re.search(r"https?://[^/]+:([0-9]+)/", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"polyarch serve did not start: {log.read_text()}")
        yield f"127.0.0.1:{found[1]}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def docker_registry(directory: Path, world: World = "open") -> Iterator[str]:
    """docker-registry with its content in memory, because it waits for the disk after each request: `host:port`."""
    storage: dict[str, Any] = {"inmemory": {}, "delete": {"enabled": True}}
    if world == "read-only":
        storage["maintenance"] = {"readonly": {"enabled": True}}
    passwords = _htpasswd(directory) if world == "password" else None
    extra: dict[str, Any] = {"storage": storage}
    if world == "token":
        # It gives no tokens itself: nothing listens there.
        given = {"realm": "http://127.0.0.1:9/token", "service": "a registry", "issuer": "an issuer"}
        extra["auth"] = {"token": {**given, "rootcertbundle": str(_certificate(directory))}}
    with local_registry.running(directory / "registry", htpasswd=passwords, extra=extra) as registry:
        yield registry.address


def _htpasswd(directory: Path) -> Path:
    path = directory / "htpasswd"
    path.write_text(users((NAME, PASSWORD.encode())))
    return path


def _certificate(directory: Path) -> Path:
    """A certificate of an issuer of tokens."""
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=issuer".split()
    path = directory / "issuer.pem"
    subprocess.run([*new, "-keyout", directory / "issuer.key", "-out", path], check=True, capture_output=True)
    return path
