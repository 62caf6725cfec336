"""The answer to a request for a page, as a value."""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

# Everything comes from the page's own host, and nothing is inline.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HTML = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language",
    # A tag may move at any time, so a browser asks each time; the ETag makes the answer short.
    "Cache-Control": "private, no-cache",
}


class PageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A status, a media type, a body and further headers, among them an `ETag`."""

    status: int = 200
    media_type: str = "text/html; charset=utf-8"
    body: bytes = b""
    headers: Mapping[str, str] = {}


def of_html(text: str, status: int = 200) -> PageAnswer:
    """The answer that carries a page."""
    body = text.encode()
    return PageAnswer(status=status, body=body, headers={**_HTML, "ETag": etag(body)})


def of_asset(body: bytes, media_type: str) -> PageAnswer:
    """The answer that carries a file of the page itself, whose address changes with its content."""
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": etag(body),
    }
    return PageAnswer(media_type=media_type, body=body, headers=headers)


def of_redirect(location: str) -> PageAnswer:
    """The answer that sends a browser to another path of this site. `location` begins with one slash."""
    return PageAnswer(status=302, headers={**_HTML, "Location": location})


def unchanged(answer: PageAnswer, if_none_match: str) -> PageAnswer:
    """The answer, or 304 without a body if the client has it already (RFC 9110, 13.1.2)."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    if answer.status == 200 and ("*" in known or answer.headers.get("ETag", "") in known):
        return PageAnswer(status=304, media_type=answer.media_type, headers=answer.headers)
    return answer


def etag(body: bytes) -> str:
    """A strong entity tag: bytes that are equal have the same."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
