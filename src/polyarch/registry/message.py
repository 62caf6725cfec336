"""HTTP/1.1 responses: the head, and the body with its framing removed (RFC 9112).

A message that can be read in two ways is an error here, not a guess: on a connection that is used again, a wrong guess
turns the rest of one response into the beginning of the next.
"""

from io import BufferedReader
from typing import Protocol

_PIECE = 1 << 20
# Go's servers allow a megabyte of headers and nginx 32 KiB; no registry needs more than this.
_MAX_HEADERS = 256 << 10
_MAX_LINE = 64 << 10
# Enough for any size that exists. int() would also read thousands of digits.
_MAX_DIGITS = 16
_HEX = b"0123456789abcdefABCDEF"
# RFC 9110, section 5.6.2. What a header's value may not contain is in section 5.5: control characters, except tabs.
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTROLS = bytes(code for code in range(32) if code != 9) + b"\x7f"


class HTTPError(Exception):
    """A request got no usable response. The cause, if there is one, is the operating system's error."""


class ConnectError(HTTPError):
    """No connection could be made."""


class UnknownHostError(ConnectError):
    """The host name does not resolve."""


class ProxyError(HTTPError):
    """The proxy refused the request or could not be reached."""


class ProxyLoginError(ProxyError):
    """The proxy wants a name and a password, or refused those that it was given."""


class TLSError(HTTPError):
    """The TLS handshake failed."""


class CutError(HTTPError):
    """The connection ended or timed out in the middle of a message, or the peer does not speak HTTP."""


class NoResponseError(CutError):
    """The connection ended before the first byte of a response."""


class StaleError(NoResponseError):
    """The same on a connection that had been idle: the peer may have closed it just when the request was sent."""


class Fields:
    """The header fields of a response. Names are case-insensitive."""

    def __init__(self, lines: list[bytes]) -> None:
        self._values: dict[str, list[str]] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not name or name.strip(_TOKEN) or _has_control(value):
                raise CutError(f"a response has the header line {line[:40]!r}")
            self._values.setdefault(name.decode("ascii").lower(), []).append(value.decode("latin-1"))

    def get(self, name: str) -> str | None:
        """The values of a header, joined by commas; None if it is absent."""
        values = self._values.get(name.lower())
        return None if values is None else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """The values of a header that may occur several times."""
        return list(self._values.get(name.lower(), ()))


class Head:
    """The status line and the header fields of a response."""

    def __init__(self, reader: BufferedReader) -> None:
        """Read the next response's head. Interim responses (1xx) are skipped. Raises CutError, OSError."""
        first = _first_line(reader)
        while True:
            version, _, rest = _without_end(first).partition(b" ")
            status = rest.partition(b" ")[0]
            known = version in (b"HTTP/1.1", b"HTTP/1.0")
            if not known or len(status) != 3 or not status.isdigit() or _has_control(rest):
                raise CutError(f"it answered {first[:40]!r}, which is not HTTP")
            self.version = version
            self.status = int(status)
            # Nothing here asks for 101 (Switching Protocols), after which HTTP would end.
            if self.status < 100 or self.status == 101:
                raise CutError(f"it answered with the status {status.decode()}")
            self.fields = Fields(_header_lines(reader))
            if self.status >= 200:
                return
            first = _read_line(reader)

    @property
    def is_chunked(self) -> bool:
        """Whether the body is in chunks. Raises CutError for headers that contradict each other (RFC 9112, 6.3)."""
        encoding = (self.fields.get("Transfer-Encoding") or "").lower()
        if not encoding:
            return False
        if self.fields.get("Content-Length") is not None:
            raise CutError("a response has both a Content-Length and a Transfer-Encoding")
        if encoding != "chunked":
            raise CutError(f"a response has the Transfer-Encoding {encoding[:40]!r}")
        return True

    @property
    def length(self) -> int | None:
        """The Content-Length, None if there is none. Raises CutError."""
        length = self.fields.get("Content-Length")
        if length is None:
            return None
        # Several equal ones count as one (RFC 9110, section 8.6).
        texts = {part.strip() for part in length.split(",")}
        text = texts.pop()
        if texts or not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
            raise CutError(f"a response has the length {length[:40]!r}")
        return int(text)

    @property
    def is_persistent(self) -> bool:
        """Whether the server lets the connection be used again (RFC 9112, section 9.3)."""
        options = (self.fields.get("Connection") or "").lower()
        if self.version == b"HTTP/1.0":
            # Such a server cannot know chunks, so a Transfer-Encoding means that something is wrong (section 6.1).
            return "keep-alive" in options and self.fields.get("Transfer-Encoding") is None
        return "close" not in options


class Releasing(Protocol):
    """Who a response gives its connection back to."""

    def __call__(self, *, reusable: bool) -> None: ...


class RawResponse:
    """A response as it comes from a connection. Its user ends it by `release` or `close`."""

    def __init__(self, reader: BufferedReader, method: str, done: Releasing) -> None:
        """Read the head. `done` is called once, when the connection is needed no longer. Raises CutError, OSError."""
        self._reader = reader
        self._done: Releasing | None = done
        head = Head(reader)
        self.status = head.status
        self.fields = head.fields
        # What is left of the body, or of its current chunk; None: until the connection ends.
        self._left: int | None = 0
        self._chunked = False
        if method != "HEAD" and head.status not in (204, 304):
            self._chunked = head.is_chunked
            self._left = 0 if self._chunked else head.length
        self._keep = head.is_persistent and self._left is not None
        self._begun = False
        self._failure: CutError | None = None
        self._ended = self._left == 0 and not self._chunked

    @property
    def remaining(self) -> int | None:
        """How many bytes of the body are left, None if that is unknown."""
        return 0 if self._ended else None if self._chunked else self._left

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end; all that is left if `size` is negative.

        Raises CutError, but only after everything that arrived has been returned, so that a download can be resumed.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if self._failure is not None:
            raise self._failure
        pieces: list[bytes] = []
        try:
            while size and (piece := self._piece(size)):
                pieces.append(piece)
                size -= len(piece)
        except CutError as error:
            if not pieces:
                raise
            self._failure = error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        if self._ended or not size:
            return b""
        try:
            if self._chunked and not self._left and not self._next_chunk():
                return b""
            piece = self._reader.read1(size if self._left is None else min(size, self._left))
        except (OSError, ValueError) as error:
            raise CutError("the connection was cut") from error
        if self._left is None:
            self._ended = not piece
            return piece
        if not piece:
            raise CutError("the response ended early")
        self._left -= len(piece)
        self._ended = not self._left and not self._chunked
        return piece

    def _next_chunk(self) -> bool:
        """Read the head of the next chunk; False after the last one."""
        if self._begun and _chunk_line(self._reader):
            raise CutError("a chunk of the response is longer than its declared length")
        self._begun = True
        length = _chunk_line(self._reader).partition(b";")[0].rstrip(b" \t")
        # int() alone would also accept a sign, underscores and a prefix.
        if not length or length.strip(_HEX) or len(length) > _MAX_DIGITS:
            raise CutError(f"a chunk of the response has the length {length[:40]!r}")
        self._left = int(length, 16)
        if self._left:
            return True
        Fields(_header_lines(self._reader))  # trailers, which are checked and ignored
        self._ended = True
        return False

    def release(self) -> None:
        """Give the connection back if the body has been read, else close it. Safe to call twice."""
        self._finish(reusable=self._ended and self._keep)

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self._finish(reusable=False)

    def _finish(self, *, reusable: bool) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(reusable=reusable)


def _without_end(line: bytes) -> bytes:
    """A line without its end, which is CRLF or, as RFC 9112, section 2.2, allows, LF alone."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _has_control(text: bytes) -> bool:
    return text.translate(None, _CONTROLS) != text


def _first_line(reader: BufferedReader) -> bytes:
    try:
        line = reader.readline(_MAX_LINE)
    except ConnectionResetError as error:
        raise NoResponseError("it closed the connection") from error
    if not line:
        raise NoResponseError("it closed the connection")
    return line


def _read_line(reader: BufferedReader) -> bytes:
    line = reader.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise CutError("the response ended early")
    return line


def _chunk_line(reader: BufferedReader) -> bytes:
    """A line of the chunk framing. A bare LF is an error here: peers that read it differently can be attacked."""
    line = _read_line(reader)
    if not line.endswith(b"\r\n"):
        raise CutError(f"a chunk of the response begins or ends with {line[:40]!r}")
    return line[:-2]


def _header_lines(reader: BufferedReader) -> list[bytes]:
    """The lines up to an empty one. Raises CutError for too many."""
    lines: list[bytes] = []
    size = 0
    while line := _without_end(_read_line(reader)):
        size += len(line)
        if size > _MAX_HEADERS:
            raise CutError("a response has too many headers")
        lines.append(line)
    return lines
