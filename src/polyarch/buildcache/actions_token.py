"""The token of the cache service of GitHub Actions: a JWT that says which branches may be read and written.

It is read without being verified, which only the service can do: it tells what to ask for, and grants nothing.
"""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import msgspec

from polyarch.errors import UsageError

_READ = 1
_WRITE = 2
_HINT = "ACTIONS_RUNTIME_TOKEN is set for actions, not for `run:` steps; or give token="


class ActionsScope(msgspec.Struct, frozen=True):
    """A ref, such as `refs/heads/main`, and what the token may do there."""

    ref: str
    permission: int

    @property
    def is_readable(self) -> bool:
        """Whether entries of the ref may be read."""
        return bool(self.permission & _READ)

    @property
    def is_writable(self) -> bool:
        """Whether entries of the ref may be written."""
        return bool(self.permission & _WRITE)


class ActionsToken(msgspec.Struct, frozen=True):
    """A token. `expires` is in Unix time, 0 if it does not say. The repr does not show the text."""

    text: str
    scopes: tuple[ActionsScope, ...]
    expires: float = 0.0

    def __repr__(self) -> str:
        return f"ActionsToken(scopes={self.scopes!r}, expires={self.expires!r})"

    @property
    def write_ref(self) -> str | None:
        """The ref that is written; None if the token may only read, as in the pull request of a fork."""
        return next((scope.ref for scope in reversed(self.scopes) if scope.is_writable), None)

    @property
    def read_refs(self) -> tuple[str, ...]:
        """The refs that may be read: its own first, then the target's and the default branch."""
        return tuple(dict.fromkeys(scope.ref for scope in self.scopes if scope.is_readable or scope.is_writable))


def parse(text: str, now: float) -> ActionsToken:
    """The claims of a token. `now` is in Unix time. Raises UsageError for one that is malformed or has expired.

    A service that is not GitHub's may give tokens without access controls: those have one nameless scope.
    """
    claims = _claims(text.strip())
    expires = claims.get("exp")
    if isinstance(expires, int | float) and not isinstance(expires, bool) and expires < now:
        when = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if expires > 0 else "1970"
        raise UsageError(
            f"the token of the cache service of GitHub Actions expired at {when}",
            "it lives as long as the job; check the clock of this machine",
        )
    controls = claims.get("ac")
    scopes = _scopes(controls) if controls is not None else (ActionsScope("", _READ | _WRITE),)
    return ActionsToken(text.strip(), scopes, float(expires) if isinstance(expires, int | float) else 0.0)


def _claims(text: str) -> dict[str, Any]:
    parts = text.split(".")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload)
    except (IndexError, ValueError, binascii.Error, RecursionError):
        claims = None
    if len(parts) != 3 or not isinstance(claims, dict) or not text.isascii() or not text.isprintable():
        raise UsageError("the token of the cache service of GitHub Actions is not a JSON web token", _HINT)
    return claims


class _Control(msgspec.Struct, frozen=True, rename="pascal"):
    """An element of the claim `ac`, whose value is JSON in a string."""

    scope: str
    permission: int = 0


def _scopes(controls: object) -> tuple[ActionsScope, ...]:
    try:
        found = msgspec.json.decode(controls if isinstance(controls, str) else b"", type=list[_Control])
    except (msgspec.MsgspecError, RecursionError):
        raise UsageError(
            "the token of the cache service of GitHub Actions has access controls that cannot be read", _HINT
        ) from None
    return tuple(ActionsScope(one.scope, one.permission) for one in found)
