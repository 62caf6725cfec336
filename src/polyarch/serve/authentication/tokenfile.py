"""The file of `--auth token FILE`: in TOML, what each token may do with which repositories.

    [anonymous]
    may = { "public/**" = ["pull"] }

    [[token]]
    name = "ci"
    sha256 = "…"    # or: secret = "…"
    may = { "team/**" = ["push"], "**" = ["pull"] }
    expires = 2027-01-31

A token is a random text. So its plain SHA-256 is enough: it cannot be guessed.
"""

import datetime
import hashlib
import hmac
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.serve import access
from polyarch.serve.access import AccessRule

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A secret below this can be guessed.
_SHORTEST = 20
_FIELDS = frozenset({"name", "sha256", "secret", "may", "expires"})
_HINT = "make a secret with: openssl rand -hex 24"
_NOBODY = bytes(32)


class AccessToken(msgspec.Struct, frozen=True):
    """A token: its SHA-256, what it may do, and the second since 1970 at which it ends; 0 if it does not end."""

    name: str
    hashed: bytes
    rules: tuple[AccessRule, ...]
    expires: float = 0

    def __repr__(self) -> str:
        return f"AccessToken({self.name!r})"


class Tokens(msgspec.Struct, frozen=True):
    """The content of a file."""

    by_name: Mapping[str, AccessToken]
    by_hash: Mapping[bytes, AccessToken]
    anonymous: tuple[AccessRule, ...]

    def find(self, name: str, secret: bytes, now: float) -> AccessToken | None:
        """The token of this name and secret, if it has not ended. Compares in constant time, also for no token."""
        token = self.by_name.get(name)
        right = hmac.compare_digest(hashlib.sha256(secret).digest(), _NOBODY if token is None else token.hashed)
        return token if right and token is not None and _holds(token, now) else None

    def bearer(self, secret: bytes, now: float) -> AccessToken | None:
        """The token of this secret. It is found by its hash, so that no time says anything about a secret."""
        token = self.by_hash.get(hashlib.sha256(secret).digest())
        return token if token is not None and _holds(token, now) else None

    def named(self, name: str, now: float) -> AccessToken | None:
        """The token of a name that was proven before."""
        token = self.by_name.get(name)
        return token if token is not None and _holds(token, now) else None


def parse(text: str) -> Tokens:
    """The tokens of a file. Raises ValueError that names what is wrong, and no secret."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Some messages quote the line.
        where = re.search(r"\(at [^()]*\)$", str(error))
        raise ValueError(f"not TOML {where[0] if where else ''}".rstrip()) from None
    if unknown := set(document) - {"token", "anonymous"}:
        raise ValueError(f"{min(unknown)!r} is neither [anonymous] nor [[token]]")
    tables = document.get("token", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("[[token]] is not a list of tables")
    by_name: dict[str, AccessToken] = {}
    by_hash: dict[bytes, AccessToken] = {}
    for number, table in enumerate(tables, 1):
        token = _token(table, number)
        if token.name in by_name:
            raise ValueError(f"two tokens are named {token.name!r}")
        if token.hashed in by_hash:
            raise ValueError(f"{token.name!r} has the secret of {by_hash[token.hashed].name!r}")
        by_name[token.name] = by_hash[token.hashed] = token
    return Tokens(by_name, by_hash, _anonymous(document.get("anonymous", {})))


def _anonymous(table: object) -> tuple[AccessRule, ...]:
    if not isinstance(table, dict) or set(table) - {"may"}:
        raise ValueError("[anonymous] has only: may")
    found = _rules(table, "[anonymous]")
    if any(rule.actions != {"pull"} for rule in found):
        raise ValueError("[anonymous] may only pull")
    return found


def _token(table: dict[str, Any], number: int) -> AccessToken:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"[[token]] number {number} has no name, or one with other characters than A-Z a-z 0-9 . _ @ + -"
        )
    if unknown := set(table) - _FIELDS:
        raise ValueError(f"token {name!r}: {min(unknown)!r} is none of {', '.join(sorted(_FIELDS))}")
    return AccessToken(name, _hash(table, name), _rules(table, f"token {name!r}"), _end(table.get("expires"), name))


def _hash(table: dict[str, Any], name: str) -> bytes:
    secret, hashed = table.get("secret"), table.get("sha256")
    if (secret is None) == (hashed is None):
        raise ValueError(f"token {name!r} needs either sha256 or secret; {_HINT}")
    if hashed is not None:
        if not isinstance(hashed, str) or not _SHA256.fullmatch(hashed):
            raise ValueError(f"token {name!r}: sha256 is not 64 lower-case hexadecimal digits")
        return bytes.fromhex(hashed)
    if not isinstance(secret, str) or len(secret) < _SHORTEST:
        raise ValueError(f"token {name!r}: the secret has fewer than {_SHORTEST} characters; {_HINT}")
    return hashlib.sha256(secret.encode()).digest()


def _rules(table: dict[str, Any], where: str) -> tuple[AccessRule, ...]:
    may = table.get("may", {})
    if not isinstance(may, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in may.values()
    ):
        raise ValueError(f'{where}: may is not a table such as {{ "team/**" = ["pull"] }}')
    try:
        return access.rules(may)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _end(value: object, name: str) -> float:
    """A day counts to its end, in UTC; a time without an offset is UTC."""
    if value is None:
        return 0
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)).timestamp()
    if isinstance(value, datetime.date):
        midnight = datetime.datetime.combine(value, datetime.time(), datetime.UTC)
        return (midnight + datetime.timedelta(days=1)).timestamp()
    raise ValueError(f"token {name!r}: expires is not a date such as 2027-01-31")


def _holds(token: AccessToken, now: float) -> bool:
    return not token.expires or now < token.expires
