"""Logins of tests: what a client sends, and the files that say who may do what."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256


def credentials(name: str, password: str | bytes) -> str:
    """The value of Authorization for a name and a password (RFC 7617)."""
    raw = password if isinstance(password, bytes) else password.encode()
    return "Basic " + b64encode(name.encode() + b":" + raw).decode()


def basic(name: str, password: str) -> dict[str, str]:
    """The headers of a request that logs in."""
    return {"Authorization": credentials(name, password)}


def users(*pairs: tuple[str, bytes], cost: int = 4) -> str:
    """A file of htpasswd, with a line for each name and password."""
    return "".join(f"{name}:{hashed(password, cost)}\n" for name, password in pairs)


def hashed(password: bytes, cost: int = 4) -> str:
    """A password as it stands in a file of htpasswd; 4 is the least cost that bcrypt has."""
    import bcrypt

    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def token(name: str, secret: str, may: Mapping[str, Sequence[str]], *, digest: bool = False, expires: str = "") -> str:
    """A token in a token file: the secret, or its `digest` instead."""
    known = f'sha256 = "{sha256(secret.encode()).hexdigest()}"' if digest else f'secret = "{secret}"'
    end = f"expires = {expires}\n" if expires else ""
    return f'\n[[token]]\nname = "{name}"\n{known}\n{_may(may)}{end}'


def anonymous(may: Mapping[str, Sequence[str]]) -> str:
    """The part of a token file for clients that do not log in."""
    return f"\n[anonymous]\n{_may(may)}"


def _may(may: Mapping[str, Sequence[str]]) -> str:
    rules = ", ".join(f"{json.dumps(pattern)} = {json.dumps(actions)}" for pattern, actions in may.items())
    return f"may = {{ {rules} }}\n"
