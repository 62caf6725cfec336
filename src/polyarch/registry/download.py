"""One file fetched from a URL that belongs to no registry: what ADD and a build context name.

The same transport as for registries: its proxies, TLS settings, retries and redirects.
"""

from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from polyarch.distribution.errors import RETRYABLE_STATUSES
from polyarch.errors import NotFoundError, RegistryError
from polyarch.oci.urls import redact
from polyarch.registry.http import Transport
from polyarch.registry.response import Response


class Download:
    """The response to a request for a file: use it with `with`, and `read` it to the end.

    `unchanged` says that the file has not changed since the given `etag` or `modified`; then there is nothing to read.
    Those of this response are for the next request; `mtime` is `modified` in seconds since 1970, 0 if it is absent.
    """

    def __init__(self, response: Response) -> None:
        self._response = response
        self.unchanged = response.status == 304
        self.etag = response.header("ETag")
        self.modified = response.header("Last-Modified")
        self.mtime = _seconds(self.modified)
        length = response.header("Content-Length")
        self.size = int(length) if length.isascii() and length.isdigit() else 0

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises a retryable RegistryError if the connection is cut."""
        return self._response.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()


def open_(transport: Transport, url: str, etag: str = "", modified: str = "") -> Download:
    """Request a file; with `etag` or `modified`, only if it has changed since.

    Raises NotFoundError, RegistryError.
    """
    headers = {"Accept": "*/*"}
    plain, credential = _parted(url)
    if credential:
        headers["Authorization"] = credential
    if etag:
        headers["If-None-Match"] = etag
    elif modified:
        headers["If-Modified-Since"] = modified
    response = transport.send("GET", plain, headers)
    if response.status in (200, 304):
        return Download(response)
    with response:
        status, shown = response.status, redact(url)
        if status in (404, 410):
            raise NotFoundError(f"{shown}: the server answered {status}: there is no such file", "check the URL")
        raise RegistryError(
            f"{shown}: the server answered with HTTP status {status}",
            "the server asks for a login; put the file into the build context" if status in (401, 403) else None,
            status=status,
            retryable=status in RETRYABLE_STATUSES,
            exhausted=response.exhausted,
        )


def _parted(url: str) -> tuple[str, str]:
    """The URL without user and password, and the Authorization header for these, as curl and Go's client send it."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    from base64 import b64encode

    pair = ":".join(unquote(part) for part in user.split(":", 1))
    if ":" not in user:
        pair += ":"
    return urlunsplit(parts._replace(netloc=host)), f"Basic {b64encode(pair.encode()).decode()}"


def _seconds(date: str) -> int:
    from email.utils import parsedate_to_datetime

    try:
        return max(0, int(parsedate_to_datetime(date).timestamp())) if date else 0
    except (ValueError, OverflowError):
        return 0
