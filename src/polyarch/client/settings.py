"""The settings of a client as one value, and opening the store and the registries with them."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from polyarch.client import opening
from polyarch.client.environment import Environment
from polyarch.registry.credentials import Credential, Credentials, StoredCredential

if TYPE_CHECKING:
    from polyarch.transfer.locate import Places


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a client. A worker process receives them, too.

    `credentials` are by host, and take precedence over the credential files of `environment`. `insecure` are hosts that
    may use plain HTTP or an invalid certificate. `cache_limit` takes precedence over that of `environment`.
    """

    environment: Environment
    credentials: Mapping[str, Credential] = {}
    insecure: tuple[str, ...] = ()
    cache_limit: str | None = None


class GivenCredentials(Credentials):
    """Credentials by host from a program. For other hosts, those in files."""

    def __init__(self, given: Mapping[str, Credential], environment: Environment) -> None:
        first, *others = environment.files.credentials
        scoped = environment.files.buildx / "config"
        super().__init__(first, others=others, search_path=environment.search_path, scoped=scoped)
        self._given = {_host(host): credential for host, credential in given.items()}

    def get(self, host: str, repository: str = "", actions: Collection[str] = ()) -> Credential | None:
        """The credential for a registry, or None. Raises as `Credentials.get`."""
        return self._given.get(_host(host)) or super().get(host, repository, actions)

    def places(self) -> tuple[StoredCredential, ...]:
        """The hosts of the program, then those of files. Raises as `Credentials.places`."""
        given = (StoredCredential(host, "the program") for host in self._given)
        return (*given, *(place for place in super().places() if _host(place.host) not in self._given))


def _host(host: str) -> str:
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


@contextlib.contextmanager
def opened(settings: ClientSettings) -> Iterator["Places"]:
    """The store and the registries of these settings, which are closed at the end of the `with` statement."""
    from polyarch.transfer.locate import Places

    environment = settings.environment
    with contextlib.ExitStack() as stack:
        limit = opening.cache_limit(environment, environment.root, settings.cache_limit)
        store = stack.enter_context(opening.open_store(environment, environment.root, limit))
        credentials = GivenCredentials(settings.credentials, environment)
        registry = stack.enter_context(opening.open_registry(environment, credentials, settings.insecure))

        def spool() -> BinaryIO:
            import tempfile

            # In the store, which has space for images. /tmp is often in memory.
            return tempfile.TemporaryFile(dir=store.layout.temporary)

        yield Places(store, registry, spool)
