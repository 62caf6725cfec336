"""The clients by name, and a registry with an image for them."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from scripts.registry_process import RegistryProcess
from scripts.served_store import ServedStore
from tests.needs import need
from tests.program import run
from tests.serve.clients.client import Client
from tests.serve.clients.containers_image import Buildah, DockerSchema, NewestSkopeo, Podman, Skopeo
from tests.serve.clients.daemons import ClassicDocker, Containerd, Docker
from tests.serve.clients.drive import SOURCE, Drive, layout
from tests.serve.clients.small_programs import Crane, Oras, Polyarch
from tests.serve.contents import Where

# Characters that need quoting somewhere.
_LOGIN = ("ada", "s3cret: ü/+%")
CLIENTS: Mapping[str, type[Client]] = {
    client.name: client
    for client in (
        Skopeo,
        DockerSchema,
        NewestSkopeo,
        Crane,
        Oras,
        Polyarch,
        Buildah,
        Podman,
        Docker,
        ClassicDocker,
        Containerd,
    )
}


def served(directory: Path) -> tuple[RegistryProcess, Where]:
    """A served store that lets everyone in."""
    registry = ServedStore(directory)
    return registry, Where(registry.address)


def secured(directory: Path) -> tuple[RegistryProcess, Where]:
    """A served store with TLS, whose certificate it makes itself, for a user with a password."""
    need("htpasswd")
    directory.mkdir(parents=True)
    file = directory / "htpasswd"
    file.write_text(run(["htpasswd", "-nbB", *_LOGIN]).stdout.strip() + "\n")
    registry = ServedStore(directory, htpasswd=file, self_signed=True)
    return registry, Where(registry.address, _LOGIN, registry.authority)


def with_tokens(directory: Path) -> tuple[RegistryProcess, Where]:
    """The same for a token with every right: clients get bearer tokens for what they do."""
    directory.mkdir(parents=True)
    name, secret = "ci", "s3cret_of_a_token: /+%"
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    file = directory / "tokens.toml"
    file.write_text(f'[[token]]\nname = "{name}"\nsha256 = "{hashed}"\nmay = {{ "**" = ["push", "delete"] }}\n')
    registry = ServedStore(directory, tokens=file, self_signed=True)
    return registry, Where(registry.address, (name, secret), registry.authority)


class Counter:
    """A registry with an image of two platforms in it, for clients that come one after the other.

    It owns the registry and a directory with what the clients keep; both end with the `with`.
    """

    def __init__(self, start: Callable[[Path], tuple[RegistryProcess, Where]]) -> None:
        """start: starts the registry with its files in a directory."""
        self._start = start

    def __enter__(self) -> Self:
        self._resources = contextlib.ExitStack()
        with self._resources as resources:
            name = resources.enter_context(tempfile.TemporaryDirectory(prefix="polyarch-serve-clients-"))
            self._directory = Path(name)
            self._source = layout(self._directory / "source")
            self._registry, self._where = self._start(self._directory / "registry")
            resources.callback(self._registry.stop)
            first = Skopeo(self._directory / "first", self._where)
            if self._where.login:
                first.login()
            first.push(self._source, SOURCE)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._resources.close()

    def drive(self, name: str) -> Drive:
        """Let a client do all that it can. Returns the results."""
        with contextlib.closing(CLIENTS[name](self._directory / name, self._where)) as client:
            drive = Drive(client, self._source)
            drive.version = client.version()
            drive.all()
        return drive
