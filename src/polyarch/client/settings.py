"""The settings of a client as one value, and the places that they describe."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from polyarch.client import opening
from polyarch.client.environment import Environment
from polyarch.registry.credentials import Credential, Credentials

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.transfer.locate import Places


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that a client was made with, as a worker process gets it.

    `environment` has the store's root, files, proxies and limits; `credentials` are by host and come before those of
    files; `insecure` are hosts that may speak plain HTTP or show a bad certificate; `cache_limit` wins over the
    environment's.
    """

    environment: Environment
    credentials: Mapping[str, Credential] = {}
    insecure: tuple[str, ...] = ()
    cache_limit: str | None = None


class GivenCredentials(Credentials):
    """Credentials that a program gives by host, before those that are stored in files."""

    def __init__(self, given: Mapping[str, Credential], environment: Environment) -> None:
        first, *others = environment.files.credentials
        super().__init__(first, others=others, search_path=environment.search_path)
        self._given = {_host(host): credential for host, credential in given.items()}

    def get(self, host: str, repository: str = "") -> Credential | None:
        """The credential for a registry. Raises as `Credentials.get`."""
        return self._given.get(_host(host)) or super().get(host, repository)


def _host(host: str) -> str:
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


@contextlib.contextmanager
def opened(settings: ClientSettings, registry: "Registry | None" = None) -> Iterator["Places"]:
    """The store and the registries of these settings, closed at the end of the `with`; a given registry stays open."""
    from polyarch.transfer.locate import Places

    environment = settings.environment
    with contextlib.ExitStack() as stack:
        limit = opening.cache_limit(environment, environment.root, settings.cache_limit)
        store = stack.enter_context(opening.open_store(environment, environment.root, limit))
        if registry is None:
            credentials = GivenCredentials(settings.credentials, environment)
            registry = stack.enter_context(opening.open_registry(environment, credentials, settings.insecure))

        def spool() -> BinaryIO:
            import tempfile

            # In the store, which has room for images; /tmp is often in memory.
            return tempfile.TemporaryFile(dir=store.layout.temporary)

        yield Places(store, registry, spool)
