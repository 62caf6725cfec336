"""The response to a request, as the registry's operations see it: status, headers, and a body streamed in."""

import contextlib
from types import TracebackType
from typing import Self

from polyarch.errors import RegistryError
from polyarch.oci.place import Readable
from polyarch.oci.urls import authority
from polyarch.registry import failures
from polyarch.registry.message import HTTPError, RawResponse

_CHUNK = 1 << 20
# An error body is read up to here, and a body that ends within it is drained so that its connection can be used again.
_SMALL = 64 << 10
_GZIP = b"\x1f\x8b"


class Response:
    """A response. Its user closes it, best with `with`; if much of it was not read, that closes the connection.

    `url` is the one that answered, after redirects; `mirror` the mirror that was asked, empty for the registry itself;
    `exhausted` says that the request was retried in vain, so that callers do not retry it again.
    """

    def __init__(self, raw: RawResponse, url: str) -> None:
        self._raw = raw
        self._body: bytes | None = None
        self._inflated: Readable | None = None
        self._ahead = b""
        self.status = raw.status
        self.url = url
        self.mirror = ""
        self.exhausted = False

    def header(self, name: str) -> str:
        """The value of a header, empty if it is absent."""
        return self._raw.fields.get(name) or ""

    def headers(self, name: str) -> list[str]:
        """The values of a header that may occur several times."""
        return self._raw.fields.get_all(name)

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, empty at the end. Raises a retryable RegistryError if the connection is cut."""
        if self._inflated is not None:
            return self._inflated.read(size)
        return self._read(size)

    @property
    def is_gzipped(self) -> bool:
        """Whether the body is said to have been compressed on its way, although that was not requested."""
        return self.header("Content-Encoding").strip().lower() in ("gzip", "x-gzip")

    def inflate(self) -> None:
        """Undo the Content-Encoding in everything that is read from now on."""
        from polyarch.registry.inflate import Inflated

        self._inflated = Inflated(self._read, authority(self.url))

    def holds_gzip(self) -> bool:
        """Whether what was compressed on its way is itself a gzip file. Call it before anything is read."""
        from polyarch.registry.inflate import begins

        self._ahead = self._read(_SMALL)
        return begins(self._ahead, _GZIP)

    def _read(self, size: int) -> bytes:
        if self._ahead:
            piece = self._ahead if size < 0 else self._ahead[:size]
            self._ahead = self._ahead[len(piece) :]
            return piece + (self._read(size) if size < 0 else b"")
        try:
            return self._raw.read(size)
        except HTTPError as error:
            raise RegistryError(
                f"the connection to {authority(self.url)} was cut: {failures.reason(error)}", retryable=True
            ) from error

    def body(self, limit: int = _SMALL) -> bytes:
        """The body up to `limit` bytes, read once and kept; gzip as a Content-Encoding is undone."""
        if self._body is None:
            if self.is_gzipped and self._inflated is None:
                self.inflate()
            pieces: list[bytes] = []
            while limit > 0 and (piece := self.read(min(limit, _CHUNK))):
                pieces.append(piece)
                limit -= len(piece)
            self._body = b"".join(pieces)
        return self._body

    def close(self) -> None:
        """Give the connection back if little of the body is left, else close it. Safe to call twice."""
        left = self._raw.remaining
        if left is not None and left <= _SMALL:
            with contextlib.suppress(HTTPError):
                self._raw.read()
        self._raw.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
