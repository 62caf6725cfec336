"""Logging in: a credential is tried at the registry before it is stored."""

from collections.abc import Collection

from polyarch.errors import RegistryError, UsageError
from polyarch.registry.auth import Authorizer
from polyarch.registry.credentials import Credential, Credentials
from polyarch.registry.hosts import Hosts, of_registry
from polyarch.registry.http import Transport
from polyarch.registry.wire import ClientSession, ping


class _FixedCredential:
    """Gives one credential, whatever is stored."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def get(self, host: str, repository: str = "", actions: Collection[str] = ()) -> Credential | None:
        """Implements `auth.CredentialSource`."""
        return self._credential


def login(host: str, credential: Credential, hosts: Hosts, transport: Transport, credentials: Credentials) -> str:
    """Ask for /v2/ with the credential, as the registry's challenge wants it; store it; return where it is stored.

    If the token server gives an identity token, that is stored instead of the password, as docker does.
    """
    host = host.removeprefix("https://").removeprefix("http://").rstrip("/")
    host = {"index.docker.io/v1": "docker.io", "index.docker.io": "docker.io"}.get(host, host)
    if not host or "/" in host:
        raise UsageError(f"{host!r} is not a registry", "a registry reads host[:port], as in ghcr.io or localhost:5000")
    authorizer = Authorizer(transport, _FixedCredential(credential), offline=True)
    try:
        ping(ClientSession(hosts, transport, authorizer), of_registry(host))
    except RegistryError as error:
        if error.status != 401:
            raise
        raise RegistryError(
            f"{host} refuses this user name or password",
            "check both; many registries need an access token instead of the password",
            status=error.status,
            codes=error.codes,
        ) from error
    if authorizer.identity_token:
        credential = Credential(username=credential.username, identity_token=authorizer.identity_token)
    return credentials.store(host, credential)
