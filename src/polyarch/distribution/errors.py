"""Error bodies and statuses (distribution-spec, "Error Codes")."""

from typing import Any

import msgspec

NAME_UNKNOWN = "NAME_UNKNOWN"
MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
MANIFEST_INVALID = "MANIFEST_INVALID"
MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
BLOB_UNKNOWN = "BLOB_UNKNOWN"
BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
DIGEST_INVALID = "DIGEST_INVALID"
NAME_INVALID = "NAME_INVALID"
SIZE_INVALID = "SIZE_INVALID"
UNAUTHORIZED = "UNAUTHORIZED"
DENIED = "DENIED"
UNSUPPORTED = "UNSUPPORTED"
TOOMANYREQUESTS = "TOOMANYREQUESTS"
# Not in the specification, but in use.
NOT_FOUND = "NOT_FOUND"
UNKNOWN = "UNKNOWN"

# Statuses that are worth another attempt: too early, too many requests, and a gateway's for a restarting server.
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST = 400
_MOST = 10


class ErrorEntry(msgspec.Struct, frozen=True):
    """One entry of the `errors` of a body. The registry's text is stripped of control characters, and truncated."""

    code: str = ""
    message: str = ""


def parse(body: bytes) -> tuple[ErrorEntry, ...]:
    """The entries of an error body; none if it is not in the specification's format."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    entries = document.get("errors")
    if not isinstance(entries, list):
        # Token servers and gateways have their own formats.
        text = document.get("details") or document.get("message") or document.get("error") or ""
        return (ErrorEntry(message=_clean(str(text))),) if text else ()
    return tuple(
        ErrorEntry(code=_clean(str(entry.get("code") or "")), message=_clean(str(entry.get("message") or "")))
        for entry in entries[:_MOST]
        if isinstance(entry, dict)
    )


def describe(status: int, entries: tuple[ErrorEntry, ...] = ()) -> str:
    """The registry's own message, or else the status as text."""
    texts = [f"{e.message} ({e.code})" if e.message and e.code else e.message or e.code for e in entries]
    if own := "; ".join(text for text in texts if text):
        return own
    from http import HTTPStatus

    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
    return f"HTTP status {status} ({phrase})"


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST].strip()
