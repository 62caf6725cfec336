"""`--auth token FILE`: tokens with rights, over docker's token protocol ("Docker Registry v2 authentication").

A client that is refused is told where to ask for a bearer token and for what. It logs in there, with the name of a
token and its secret as password, and sends the bearer token with its requests. What a bearer token allows is looked up
in the file for each request: one whose line is removed or changed ends at once. Basic, and the secret itself as a
bearer token, work without that way.
"""

import datetime
from collections.abc import Callable, Iterable

import msgspec

from polyarch.distribution.auth import parse_scope
from polyarch.errors import PolyarchError
from polyarch.serve.access import AccessRefusal, ClientRights
from polyarch.serve.authentication import basic, tokenfile
from polyarch.serve.authentication.basic import Login
from polyarch.serve.authentication.bearer import Grant, Seal
from polyarch.serve.authentication.file import WatchedFile
from polyarch.serve.authentication.tokenfile import AccessToken, Tokens

PATH = "/token"
# Seconds. Clients renew a token when it ends, in the middle of a push too.
LIFE = 300
_SERVICE = "polyarch"
_REALM = "polyarch"
# A client asks for the two repositories of a mount, or for those of a catalog page at most.
_MOST_GRANTS = 64
_STALE = AccessRefusal(401, "the bearer token has ended, or is not one of this server")
_UNKNOWN = AccessRefusal(401, "the name or the secret of the token is wrong")


class IssuedToken(msgspec.Struct, frozen=True):
    """The response of the token endpoint; `token` and `access_token` are the same, for the protocol's two versions."""

    token: str
    access_token: str
    expires_in: int
    issued_at: str


class TokenAccess:
    """Implements `access.AccessControl`, and gives bearer tokens. `now` is the time in seconds since 1970."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        self._file = WatchedFile(path, tokenfile.parse)
        self._now = now
        self._seal = Seal()

    async def rights(self, authorization: str) -> ClientRights | AccessRefusal:
        """Implements `access.AccessControl`."""
        found = self._open()
        if isinstance(found, AccessRefusal):
            return found
        if not authorization:
            return ClientRights(rules=found.anonymous)
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._of_bearer(rest.strip(), found)
        login = basic.parse(authorization)
        if login is None:
            return basic.MALFORMED
        token = found.find(login.name, login.password, self._now())
        return _UNKNOWN if token is None else _rights(token)

    def issue(self, login: Login | None, scopes: Iterable[str]) -> IssuedToken | AccessRefusal:
        """A bearer token for what is asked for. Whether the account may do it is looked up when the token is used.
        Without a login, it is for an anonymous client, if the file has rights for one.
        """
        found = self._open()
        if isinstance(found, AccessRefusal):
            return found
        now = self._now()
        token = None if login is None else found.find(login.name, login.password, now)
        if token is None and (login is not None or not found.anonymous):
            return _UNKNOWN
        asked = parse_scope(" ".join(scopes)).grants
        if len(asked) > _MOST_GRANTS:
            return AccessRefusal(400, f"a token is for at most {_MOST_GRANTS} actions")
        ends = min(now + LIFE, token.expires if token is not None and token.expires else now + LIFE)
        account, proof = ("", "") if token is None else (token.name, self._seal.proof(token.hashed))
        sealed = self._seal.seal(Grant(account, proof, tuple(sorted(asked)), ends))
        return IssuedToken(
            token=sealed,
            access_token=sealed,
            expires_in=max(1, int(ends - now)),
            issued_at=_rfc3339(now),
        )

    def challenge(self, base: str, scope: str = "") -> str:
        """Implements `access.AccessControl`."""
        wanted = f',scope="{scope}"' if scope else ""
        return f'Bearer realm="{base}{PATH}",service="{_SERVICE}"{wanted}'

    def page_challenge(self) -> str:
        """Implements `access.AccessControl`."""
        return basic.challenge(_REALM)

    def close(self) -> None:
        """It owns nothing."""

    def _of_bearer(self, text: str, found: Tokens) -> ClientRights | AccessRefusal:
        now = self._now()
        grant = self._seal.open(text, now)
        if grant is None:
            secret = found.bearer(text.encode(), now)
            return _STALE if secret is None else _rights(secret)
        if not grant.account:
            return ClientRights(rules=found.anonymous, scope=frozenset(grant.scope))
        token = found.named(grant.account, now)
        if token is None or grant.proof != self._seal.proof(token.hashed):
            return _STALE
        return _rights(token, frozenset(grant.scope))

    def _open(self) -> Tokens | AccessRefusal:
        try:
            return self._file.content()
        except PolyarchError as error:
            return AccessRefusal(503, f"logins are refused: {error.message}")


def _rights(token: AccessToken, scope: frozenset[tuple[str, str]] | None = None) -> ClientRights:
    return ClientRights(rules=token.rules, account=token.name, scope=scope)


def _rfc3339(now: float) -> str:
    return datetime.datetime.fromtimestamp(int(now), datetime.UTC).isoformat().replace("+00:00", "Z")
