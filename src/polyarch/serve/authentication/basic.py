"""The Basic scheme (RFC 7617): a name and a password in a header."""

import base64
import binascii

import msgspec

from polyarch.serve.access import AccessRefusal

WRONG = AccessRefusal(401, "the user name or the password is wrong")
MALFORMED = AccessRefusal(401, "the Authorization header is malformed")
# Names and passwords above this are refused before any work is done for them.
LONGEST = 1024


class Login(msgspec.Struct, frozen=True):
    """A name and a password, as bytes, because a password need not be UTF-8. The repr has only the name."""

    name: str
    password: bytes

    def __repr__(self) -> str:
        return f"Login({self.name!r})"


def parse(authorization: str) -> Login | None:
    """The login of an Authorization header; None if it is of another scheme, or malformed."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 4 * LONGEST:
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        text = name.decode()
    except (binascii.Error, ValueError):
        return None
    return Login(text, password) if colon and len(name) <= LONGEST and len(password) <= LONGEST else None


def challenge(realm: str) -> str:
    """The challenge of a 401. The charset is that of the name (RFC 7617, section 2.1)."""
    return f'Basic realm="{realm}", charset="UTF-8"'
