"""Logging in: a credential is tried at the registry before it is stored."""

from polyarch.errors import UsageError
from polyarch.registry.auth import Authorizer
from polyarch.registry.credentials import Credential, Credentials
from polyarch.registry.hosts import Hosts, of_registry
from polyarch.registry.http import Transport
from polyarch.registry.wire import Session, ping


class _Tried:
    """Gives the one credential that is tried, whatever is stored."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get(self, host: str, repository: str = "") -> Credential | None:
        """As of `auth.Asking`."""
        return self._credential


def login(host: str, credential: Credential, hosts: Hosts, transport: Transport, credentials: Credentials) -> str:
    """Ask /v2/ with the credential, through the registry's own challenge; store it; say where."""
    host = host.removeprefix("https://").removeprefix("http://").rstrip("/")
    host = {"index.docker.io/v1": "docker.io", "index.docker.io": "docker.io"}.get(host, host)
    if not host or "/" in host:
        raise UsageError(f"{host!r} is not a registry", "a registry reads host[:port], as in ghcr.io or localhost:5000")
    session = Session(hosts, transport, Authorizer(transport, _Tried(credential)))
    ping(session, of_registry(host))
    return credentials.store(host, credential)
