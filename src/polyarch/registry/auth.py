"""Authentication at registries: challenges are answered by credentials or tokens.

The grammar is in `distribution/auth.py`; the "Token Authentication Specification" and "OAuth2" of the Docker Registry
say how a token is fetched.
"""

import time
from collections.abc import Callable, Collection
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from polyarch.distribution import errors
from polyarch.distribution.auth import Challenge, Scope, parse_challenges, parse_scope
from polyarch.errors import PolyarchError, RegistryError
from polyarch.oci.urls import authority
from polyarch.registry import failures
from polyarch.registry.credentials import Credential
from polyarch.registry.hosts import Endpoint, is_loopback
from polyarch.registry.http import Body, Transport, joined
from polyarch.registry.response import Response

_CLIENT = "polyarch"
# How long a token without `expires_in` is good (the specification says 60 seconds), and the part of that which is used:
# the rest is for clocks and transit.
_DEFAULT_LIFE = 60
_USED_PART = 0.9
_LARGEST_TOKEN = 1 << 20


class CredentialSource(Protocol):
    """Where credentials come from: `credentials.Credentials`, or a login that tries one."""

    def get(self, host: str, repository: str = "", actions: Collection[str] = ()) -> Credential | None: ...


class _Token(msgspec.Struct, frozen=True):
    """An Authorization header, what it allows, and when it is no longer used (time.monotonic, in seconds)."""

    scope: Scope
    header: str
    expires: float

    def __repr__(self) -> str:
        return f"_Token({' '.join(self.scope.texts())})"


class Authorizer:
    """Gives each request its Authorization header. It keeps challenges, credentials and tokens for one command.

    It may be used by several threads: those that need the same token wait for the one that fetches it. With `offline`,
    a token server is also asked for an identity token, which can replace the password later; it is then in
    `identity_token`. `clock` gives seconds, like time.monotonic.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: CredentialSource,
        *,
        offline: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity_token = ""
        self._offline = offline
        self._clock = clock
        self._transport = transport
        self._credentials = credentials
        self._challenges: dict[str, Challenge] = {}
        self._known_credentials: dict[tuple[str, str], dict[frozenset[str], Credential | None]] = {}
        self._tokens: dict[tuple[str, str], list[_Token]] = {}
        self._locks: dict[tuple[str, str], Lock] = {}
        self._lock = Lock()

    def header(self, base: str, endpoint: Endpoint, scope: Scope) -> str | None:
        """The Authorization header for a request to `base`; None if none is required or there are no credentials.

        Raises RegistryError if the token server refuses.
        """
        with self._lock:
            challenge = self._challenges.get(base)
            lock = self._locks.setdefault((base, endpoint.repository), Lock())
        if challenge is None:
            return None
        with lock:
            credential = self._credential(endpoint, scope)
            if challenge.scheme == "basic":
                return _basic_header(credential) if credential is not None and credential.username else None
            if credential is not None and credential.registry_token:
                return _bearer_header(credential.registry_token, endpoint.host)
            return self._bearer(base, endpoint, challenge, scope, credential)

    def challenged(self, base: str, endpoint: Endpoint, response: Response, refused: str | None) -> Scope:
        """Learn from a 401 how `base` authenticates, and forget the token that was refused.

        Returns the scope that the registry names, which may be wider than the request's own.
        """
        challenges = parse_challenges(response.headers("WWW-Authenticate"))
        chosen = next((c for scheme in ("bearer", "basic") for c in challenges if c.scheme == scheme), None)
        with self._lock:
            held = self._tokens.get((base, endpoint.repository), [])
            self._tokens[base, endpoint.repository] = [token for token in held if token.header != refused]
            if chosen is not None:
                self._challenges[base] = chosen
        return parse_scope(chosen.parameters.get("scope", "")) if chosen is not None else Scope()

    def knows(self, endpoint: Endpoint) -> bool:
        """Whether credentials for an endpoint were looked up and found."""
        with self._lock:
            known = self._known_credentials.get((endpoint.host, endpoint.repository), {})
            return any(credential is not None for credential in known.values())

    def _credential(self, endpoint: Endpoint, scope: Scope) -> Credential | None:
        # As in buildx, credentials for a part of a registry are for requests that concern one repository.
        alone = len({resource for resource, _ in scope.grants}) == 1
        actions = frozenset(action for _, action in scope.grants) if alone else frozenset[str]()
        key = (endpoint.host, endpoint.repository)
        with self._lock:
            known = self._known_credentials.setdefault(key, {})
            if actions in known:
                return known[actions]
        found = self._credentials.get(*key, actions)
        with self._lock:
            known[actions] = found
        return found

    def _bearer(
        self, base: str, endpoint: Endpoint, challenge: Challenge, scope: Scope, credential: Credential | None
    ) -> str:
        now = self._clock()
        with self._lock:
            held = self._tokens.setdefault((base, endpoint.repository), [])
            for token in held:
                if token.expires > now and token.scope.contains(scope):
                    return token.header
        token = self._fetch(base, endpoint, challenge, scope, credential)
        with self._lock:
            self._tokens[base, endpoint.repository] = [*(t for t in held if t.expires > now), token]
        return token.header

    def _fetch(
        self, base: str, endpoint: Endpoint, challenge: Challenge, scope: Scope, credential: Credential | None
    ) -> _Token:
        realm = challenge.parameters.get("realm", "")
        self._check_realm(base, realm, endpoint.host)
        started = self._clock()
        with self._request_token(realm, challenge.parameters.get("service", ""), scope, credential) as response:
            body = response.body(_LARGEST_TOKEN)
            if response.status != 200:
                raise self._refused(response, body, realm, endpoint, credential)
        document = _decode(body, realm)
        text = document.get("token") or document.get("access_token")
        if not isinstance(text, str) or not text:
            raise RegistryError(f"the token server {authority(realm)} gave no token")
        if self._offline and isinstance(identity := document.get("refresh_token"), str):
            self.identity_token = identity
        life = document.get("expires_in")
        seconds = life if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        return _Token(scope, _bearer_header(text, endpoint.host), started + seconds * _USED_PART)

    def _request_token(self, realm: str, service: str, scope: Scope, credential: Credential | None) -> Response:
        headers: dict[str, str] = {}
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT,
                "scope": " ".join(scope.texts()),
                "refresh_token": credential.identity_token,
            }
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return self._transport.send("POST", realm, headers, Body(urlencode(form).encode()))
        query = [("service", service)] if service else []
        query += [("scope", text) for text in scope.texts()]
        if credential is not None and credential.username:
            query.append(("account", credential.username))
            if self._offline:
                query += [("client_id", _CLIENT), ("offline_token", "true")]
            headers["Authorization"] = _basic_header(credential)
        separator = "&" if "?" in realm else "?"
        return self._transport.send("GET", f"{realm}{separator}{urlencode(query)}" if query else realm, headers)

    def _refused(
        self, response: Response, body: bytes, realm: str, endpoint: Endpoint, credential: Credential | None
    ) -> PolyarchError:
        what = f"no token for {endpoint.host}/{endpoint.repository}".rstrip("/")
        if response.status == 404:
            said = errors.describe(404, errors.parse(body))
            return RegistryError(
                f"{what}: the token server {authority(realm)} answered {said}",
                f"{endpoint.host} names it; one of the two is misconfigured",
                status=404,
            )
        # The token server may be another host, but a login is to the registry.
        known = credential is not None
        return failures.refusal(response.status, body, what, endpoint.host, known=known, exhausted=response.exhausted)

    def _check_realm(self, base: str, realm: str, host: str) -> None:
        target = joined(base, realm)
        server = authority(target)
        if urlsplit(realm).scheme not in ("http", "https") or not server:
            raise RegistryError(f"{host} asks for a token, but does not name a token server")
        if urlsplit(target).scheme == "http" and urlsplit(base).scheme == "https" and not is_loopback(server):
            raise RegistryError(
                f"{host} uses TLS, but asks for credentials over plain HTTP at {server}",
                "the registry's token realm must be an https URL",
            )


def _decode(body: bytes, realm: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # The cause is left out: it could quote the token.
        raise RegistryError(f"the token server {authority(realm)} did not answer with a JSON object") from (
            None if body else error
        )


def _bearer_header(token: str, host: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise RegistryError(f"the token for {host} contains invalid characters")
    return f"Bearer {token}"


def _basic_header(credential: Credential) -> str:
    import base64  # 0.6 ms, only for those who log in

    pair = f"{credential.username}:{credential.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
