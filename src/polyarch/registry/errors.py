"""What a registry's answer means: status and body of distribution-spec's "Error Codes" to one PolyarchError.

Nothing that could be secret gets into a message: URLs are redacted, request headers are not looked at, and what
the registry wrote is stripped of control characters and cut.
"""

from typing import Any

import msgspec

from polyarch.errors import NotFoundError, PolyarchError, RegistryError

_ABSENT = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
_LONGEST = 400
# Asking again makes sense: too early, too many, and what a gateway says of a server that restarts.
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


class Problem(msgspec.Struct, frozen=True):
    """One entry of the `errors` of a body."""

    code: str = ""
    message: str = ""


def problems(body: bytes) -> tuple[Problem, ...]:
    """What a registry's error body lists; empty if it is not of the specification's form."""
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    entries = document.get("errors")
    if not isinstance(entries, list):
        # Token servers and gateways have their own forms.
        text = document.get("details") or document.get("message") or document.get("error") or ""
        return (Problem(message=_clean(str(text))),) if text else ()
    return tuple(
        Problem(code=_clean(str(entry.get("code") or "")), message=_clean(str(entry.get("message") or "")))
        for entry in entries[:10]
        if isinstance(entry, dict)
    )


def words(status: int, found: tuple[Problem, ...]) -> str:
    """The registry's own words, else the status."""
    texts = [f"{p.message} ({p.code})" if p.message and p.code else p.message or p.code for p in found]
    said = "; ".join(text for text in texts if text)
    if said:
        return said
    from http import HTTPStatus

    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
    return f"HTTP status {status} ({phrase})"


def refusal(
    status: int, body: bytes, what: str, host: str, *, known: bool = False, writing: bool = False
) -> PolyarchError:
    """The error for an answer that is none of those expected.

    `what` names what was asked for, with its verb; `known` says whether credentials were sent, `writing` that
    something was to be written, so that what is absent is not what was asked for.
    """
    found = problems(body)
    codes = tuple(problem.code for problem in found if problem.code)
    said = words(status, found)
    if status == 407:
        return RegistryError(
            f"{what}: the proxy in front of {host} wants a name and a password ({said})",
            "put them into the proxy's URL: http://USER:PASSWORD@PROXY:PORT",
            status=status,
        )
    if status == 404 and not writing and (not codes or _ABSENT & set(codes)):
        return NotFoundError(f"{what}: {said}", f"{host} has no such image; check the name and the tag")
    return RegistryError(
        f"{what}: {host} answered {said}",
        _hint_writing(codes) if status == 404 and writing else _hint(status, host, known),
        status=status,
        codes=codes,
        retryable=status in RETRYABLE,
    )


def _hint_writing(codes: tuple[str, ...]) -> str | None:
    if {"MANIFEST_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"} & set(codes):
        return "the registry lacks something that this names; it may have removed it meanwhile: send the image again"
    if not codes or "NAME_UNKNOWN" in codes:
        return "the registry may want the repository to be created before anything is sent to it; check the name"
    return None


def _hint(status: int, host: str, known: bool) -> str | None:
    shown = "docker.io" if host == "registry-1.docker.io" else host
    if status == 401 and known:
        return f"the credentials were refused: log in again with `polyarch login {shown}`"
    if status == 401:
        return f"log in with `polyarch login {shown}`; a private or absent repository may answer like this, too"
    if status == 403:
        return f"this account may not do that; `polyarch login {shown}` with one that may"
    if status == 429:
        return f"the registry limits requests: wait, or log in with `polyarch login {shown}` for a higher limit"
    if status == 413:
        return "the registry, or a proxy in front of it, limits the size of a request"
    if status >= 500:
        return f"{host} has a problem of its own: try again later"
    return None


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST].strip()
