"""How a registry is shown who asks: its challenge, the token that it wants, what the token is for.

RFC 7235 decides the challenge's grammar; distribution's "Token Authentication Specification" and "OAuth2" the rest.
"""

import base64
import re
import time
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from polyarch.errors import RegistryError
from polyarch.oci.urls import authority
from polyarch.registry import errors
from polyarch.registry.credentials import Credential
from polyarch.registry.hosts import Endpoint, is_loopback
from polyarch.registry.http import Body, Transport, joined
from polyarch.registry.response import Response

_CLIENT = "polyarch"
# What a token without `expires_in` lives (the specification says 60), and what is taken off for clocks and transit.
_DEFAULT_LIFE = 60
_MARGIN = 0.9
_LARGEST_TOKEN = 1 << 20
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Expressions are text, here and elsewhere, until somebody needs them: to compile them costs every start of a command.
_PARAMETER = rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)'
_SCHEME = rf"[\s,]*({_TOKEN})(?:\s+|(?=,)|$)"


class Scope(msgspec.Struct, frozen=True):
    """What a token is for: pairs of a resource (`repository:library/debian`) and an action (`pull`)."""

    grants: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: "Scope") -> "Scope":
        return Scope(self.grants | other.grants)

    def contains(self, other: "Scope") -> bool:
        """Whether a token for this serves for `other`."""
        return self.grants >= other.grants

    def texts(self) -> tuple[str, ...]:
        """The canonical text, one for each resource: `repository:library/debian:pull,push`."""
        resources: dict[str, list[str]] = {}
        for resource, action in sorted(self.grants):
            resources.setdefault(resource, []).append(action)
        return tuple(f"{resource}:{','.join(actions)}" for resource, actions in resources.items())


def repository(path: str, *actions: str) -> Scope:
    """The scope of actions on a repository."""
    return Scope(frozenset((f"repository:{path}", action) for action in actions))


def parse_scope(text: str) -> Scope:
    """The scope that a challenge's `scope` spells: several are separated by spaces."""
    grants: set[tuple[str, str]] = set()
    for part in text.split():
        resource, colon, actions = part.rpartition(":")
        if colon:
            grants.update((resource, action) for action in actions.split(",") if action)
    return Scope(frozenset(grants))


class Challenge(msgspec.Struct, frozen=True):
    """One challenge of a WWW-Authenticate header; scheme and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges in WWW-Authenticate headers, in order; what does not fit the grammar is left out."""
    found: list[Challenge] = []
    scheme, parameter = re.compile(_SCHEME), re.compile(_PARAMETER)
    for value in values:
        position = 0
        while match := scheme.match(value, position):
            position = match.end()
            parameters: dict[str, str] = {}
            while pair := parameter.match(value, position):
                quoted = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
                parameters.setdefault(pair[1].lower(), quoted)
                position = pair.end()
            found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)


class Asking(Protocol):
    """What gives credentials: `credentials.Credentials`, or a login that tries one."""

    def get(self, host: str, repository: str = "") -> Credential | None: ...


class _Held(msgspec.Struct, frozen=True):
    scope: Scope
    header: str
    expires: float

    def __repr__(self) -> str:
        return f"_Held({' '.join(self.scope.texts())})"


class Authorizer:
    """Gives each request its Authorization header. It keeps challenges, credentials and tokens for one command.

    Safe from several threads: those that need the same token wait for the one that fetches it. With `offline`, a
    token server is asked for an identity token as well, which can stand for the password later; it is then in
    `identity_token`.
    """

    def __init__(self, transport: Transport, credentials: Asking, *, offline: bool = False) -> None:
        self.identity_token = ""
        self._offline = offline
        self._transport = transport
        self._credentials = credentials
        self._challenges: dict[str, Challenge] = {}
        self._found: dict[tuple[str, str], Credential | None] = {}
        self._tokens: dict[tuple[str, str], list[_Held]] = {}
        self._locks: dict[tuple[str, str], Lock] = {}
        self._lock = Lock()

    def header(self, base: str, endpoint: Endpoint, scope: Scope) -> str | None:
        """The Authorization for a request to `base`, None where none is asked for or nobody is known.

        Raises RegistryError where the token server refuses.
        """
        with self._lock:
            challenge = self._challenges.get(base)
            lock = self._locks.setdefault((base, endpoint.repository), Lock())
        if challenge is None:
            return None
        with lock:
            credential = self._credential(endpoint)
            if challenge.scheme == "basic":
                return _basic(credential) if credential is not None and credential.username else None
            if credential is not None and credential.registry_token:
                return _shown(credential.registry_token, endpoint.host)
            return self._bearer(base, endpoint, challenge, scope, credential)

    def challenged(self, base: str, endpoint: Endpoint, response: Response, refused: str | None) -> Scope:
        """Learn from a 401 how `base` wants to be asked; a token that was refused is forgotten.

        Returns the scope that the registry names, which may be more than what was thought of.
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
        """Whether there are credentials for an endpoint, as far as anyone has asked."""
        with self._lock:
            return self._found.get((endpoint.host, endpoint.repository)) is not None

    def _credential(self, endpoint: Endpoint) -> Credential | None:
        key = (endpoint.host, endpoint.repository)
        with self._lock:
            if key in self._found:
                return self._found[key]
        found = self._credentials.get(*key)
        with self._lock:
            self._found[key] = found
        return found

    def _bearer(
        self, base: str, endpoint: Endpoint, challenge: Challenge, scope: Scope, credential: Credential | None
    ) -> str:
        now = time.monotonic()
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
    ) -> _Held:
        realm, service = challenge.parameters.get("realm", ""), challenge.parameters.get("service", "")
        self._check_realm(base, realm, endpoint.host)
        started = time.monotonic()
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
            response = self._transport.send("POST", realm, headers, Body(urlencode(form).encode()))
        else:
            query = [("service", service)] if service else []
            query += [("scope", text) for text in scope.texts()]
            if credential is not None and credential.username:
                query.append(("account", credential.username))
                if self._offline:
                    query += [("client_id", _CLIENT), ("offline_token", "true")]
                headers["Authorization"] = _basic(credential)
            joint = "&" if "?" in realm else "?"
            response = self._transport.send("GET", f"{realm}{joint}{urlencode(query)}" if query else realm, headers)
        with response:
            body = response.body(_LARGEST_TOKEN)
            if response.status != 200:
                what = f"no token for {endpoint.host}/{endpoint.repository}".rstrip("/")
                if response.status == 404:
                    said = errors.words(404, errors.problems(body))
                    raise RegistryError(
                        f"{what}: the token server {authority(realm)} answered {said}",
                        f"{endpoint.host} names it; one of the two is misconfigured",
                        status=404,
                    )
                known = credential is not None
                # The token server may be another host, but a login is to the registry.
                raise errors.refusal(response.status, body, what, endpoint.host, known=known)
        document = _decode(body, realm)
        text = document.get("token") or document.get("access_token")
        if not isinstance(text, str) or not text:
            raise RegistryError(f"the token server {authority(realm)} gave no token")
        if self._offline and isinstance(identity := document.get("refresh_token"), str):
            self.identity_token = identity
        life = document.get("expires_in")
        seconds = life if isinstance(life, int | float) and life > 0 else _DEFAULT_LIFE
        return _Held(scope, _shown(text, endpoint.host), started + seconds * _MARGIN)

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


def _shown(token: str, host: str) -> str:
    if not (token.isascii() and token.isprintable()):
        raise RegistryError(f"the token for {host} contains invalid characters")
    return f"Bearer {token}"


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
