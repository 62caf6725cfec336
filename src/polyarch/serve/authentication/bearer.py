"""Bearer tokens: what the server gives for a login, so that a client sends its secret to one place only.

A token is a JSON object and its HMAC, under a key that exists only in the memory of this process. After a restart, all
tokens are refused, and clients ask for others. There is one algorithm, and nothing in a token names it.
"""

import base64
import binascii
import hashlib
import hmac
import os

import msgspec

_LONGEST = 8 << 10


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What a bearer token says: the account that asked for it (empty for an anonymous one) and a proof of the secret
    that it had, what it asked for, and the second since 1970 at which the token ends.
    """

    account: str
    proof: str
    scope: tuple[tuple[str, str], ...]
    expires: float


class Seal:
    """Makes and opens bearer tokens."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._decoder = msgspec.json.Decoder(Grant)

    def seal(self, grant: Grant) -> str:
        """The token for a grant."""
        body = msgspec.json.encode(grant)
        return f"{_encoded(body)}.{_encoded(self._mac(body))}"

    def open(self, token: str, now: float) -> Grant | None:
        """What a token says; None if this process did not make it, or if it has ended."""
        head, _, tail = token.partition(".")
        if not tail or len(token) > _LONGEST:
            return None
        try:
            body, mac = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, tail))
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        grant = self._decoder.decode(body)
        return grant if now < grant.expires else None

    def proof(self, hashed: bytes) -> str:
        """A text that stands for the hash of a secret, and says nothing about it."""
        return self._mac(b"proof" + hashed).hex()

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
