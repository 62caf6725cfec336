"""HTTP/1.1 as registries speak it, over sockets that are kept: one request at a time on each.

urllib3 is what most would take, and through a proxy Polyarch does; but importing it costs 45 ms at each start, a third
of what a push of something unchanged needs without it. What is here is what a registry client uses: answers with a
length, in chunks or up to the end of the connection; bodies of bytes or in pieces; TLS; nothing of cookies, encodings
or redirects.
"""

import select
import socket
from collections.abc import Mapping
from io import BufferedReader
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import ssl

_PIECE = 1 << 20
# Go's servers allow a megabyte of headers, nginx 32 KiB; nobody needs more than this.
_MAX_HEADERS = 256 << 10
_MAX_LINE = 64 << 10
_KEPT = 32


class HTTPError(Exception):
    """Something went wrong on the way; its cause, where there is one, is the system's error."""


class ConnectError(HTTPError):
    """There was no connection at all."""


class UnknownHostError(ConnectError):
    """Nobody knows the host's name."""


class ProxyError(HTTPError):
    """The proxy refuses, or cannot be reached."""


class TLSError(HTTPError):
    """The two sides do not agree on a secure connection."""


class CutError(HTTPError):
    """The connection ended, or fell silent, or did not speak HTTP."""


# A host's name or address, and a port.
Place = tuple[str, int]


class Outgoing(Protocol):
    """A body in pieces, empty at its end."""

    def read(self, size: int, /) -> bytes: ...


class Fields:
    """The headers of an answer; their names have no case."""

    def __init__(self, lines: list[bytes]) -> None:
        self._values: dict[str, list[str]] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or name != name.strip():
                raise CutError(f"an answer has the header line {line[:40]!r}")
            self._values.setdefault(name.decode("latin-1").lower(), []).append(value.strip().decode("latin-1"))

    def get(self, name: str) -> str | None:
        """The values of a header in one text, None where there is none."""
        values = self._values.get(name.lower())
        return None if values is None else ", ".join(values)

    def getlist(self, name: str) -> list[str]:
        """The values of a header that may come several times."""
        return list(self._values.get(name.lower(), ()))


class _Connection:
    """A socket and what was read from it ahead. It owns both."""

    def __init__(self, place: Place, context: "ssl.SSLContext | None", patience: float) -> None:
        self.place = place
        self._socket = _connected(*place, context, patience)
        reader = self._socket.makefile("rb", 64 << 10)
        assert isinstance(reader, BufferedReader)
        self.reader = reader

    def patience(self, seconds: float) -> None:
        """How long the other side may be silent from now on."""
        self._socket.settimeout(seconds)

    def dropped(self) -> bool:
        """Whether the other side has closed it meanwhile, or said what nobody asked for."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, head: bytes, body: bytes | Outgoing | None, *, chunked: bool) -> None:
        """Send a request. Raises OSError, and what the body's own `read` raises."""
        if body is None or isinstance(body, bytes):
            body = body or b""
            if len(body) <= _MAX_LINE:
                self._socket.sendall(head + body)
            else:
                self._socket.sendall(head)
                self._socket.sendall(body)
            return
        self._socket.sendall(head)
        while piece := body.read(_PIECE):
            if chunked:
                self._socket.sendall(b"%x\r\n" % len(piece))
            self._socket.sendall(piece)
            if chunked:
                self._socket.sendall(b"\r\n")
        if chunked:
            self._socket.sendall(b"0\r\n\r\n")

    def close(self) -> None:
        """Let go. Safe to call twice."""
        self.reader.close()
        self._socket.close()


def _connected(host: str, port: int, context: "ssl.SSLContext | None", patience: float) -> socket.socket:
    # Given as bytes, a plain name is not put through the idna codec, whose tables cost 2 ms to load.
    name: Any = host.encode() if host.isascii() else host
    try:
        plain = socket.create_connection((name, port), patience)
    except socket.gaierror as error:
        raise UnknownHostError(f"{host} has no address") from error
    except UnicodeError as error:
        raise UnknownHostError(f"{host!r} is no name of a host") from error
    except OSError as error:
        raise ConnectError(f"{host}:{port} cannot be reached") from error
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if context is None else context.wrap_socket(plain, server_hostname=host)
    except BaseException as error:
        plain.close()
        # SSLError, CertificateError and a peer that hangs up in the middle are all of this kind.
        if isinstance(error, OSError):
            raise TLSError(f"{host}:{port} does not agree on TLS") from error
        raise


class Answer:
    """An answer, its body read as it comes. Its user ends it by `drain` and `release`, or by `close`."""

    def __init__(self, pool: "Pool", connection: _Connection, method: str, *, reusable: bool) -> None:
        self._pool = pool
        self._connection: _Connection | None = connection
        self._reader = connection.reader
        version, self.status, self.headers = _head(self._reader)
        said = (self.headers.get("Connection") or "").lower()
        self._keep = reusable and "close" not in said and (version != b"HTTP/1.0" or "keep-alive" in said)
        self._chunked = "chunked" in (self.headers.get("Transfer-Encoding") or "").lower()
        self._begun = False
        self._failure: CutError | None = None
        # What is left of the body, or of its current chunk; None: until the connection ends.
        self._left: int | None = None
        if method == "HEAD" or self.status in (204, 304):
            self._left, self._chunked = 0, False
        elif self._chunked:
            self._left = 0
        elif length := self.headers.get("Content-Length"):
            # Several that are equal are one (RFC 9110, 8.6).
            same = {part.strip() for part in length.split(",")}
            if len(same) > 1 or not (length := same.pop()).isascii() or not length.isdigit():
                raise CutError(f"an answer has the length {length[:40]!r}")
            self._left = int(length)
        else:
            self._keep = False
        self._ended = self._left == 0 and not self._chunked

    @property
    def length_remaining(self) -> int | None:
        """How many bytes are left of the body, None where nobody knows."""
        return 0 if self._ended else None if self._chunked else self._left

    def read(self, size: int | None = None) -> bytes:
        """`size` bytes, fewer only at the end; all that is left for None.

        Raises CutError, but not before it has given what came: who resumes goes on behind that.
        """
        if size is None:
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
            raise CutError("the answer ended early")
        self._left -= len(piece)
        self._ended = not self._left and not self._chunked
        return piece

    def _next_chunk(self) -> bool:
        """Go on to the next chunk, if there is one."""
        if self._begun and _line(self._reader):
            raise CutError("a chunk of the answer has another length than it said")
        self._begun = True
        length = _line(self._reader).partition(b";")[0].strip()
        # int() alone would also take a sign, underscores and a prefix.
        if not length or length.strip(b"0123456789abcdefABCDEF"):
            raise CutError(f"a chunk of the answer has the length {length[:40]!r}")
        self._left = int(length, 16)
        if self._left:
            return True
        while _line(self._reader):  # trailers
            pass
        self._ended = True
        return False

    def drain_conn(self) -> None:
        """Read what is left, so that the connection can be used again."""
        while self.read(_PIECE):
            pass

    def release_conn(self) -> None:
        """Give the connection back, if nothing is left on it. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._ended and self._keep:
            self._pool.give(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Pool:
    """The connections to all hosts that one TLS configuration is for. It owns those that wait, until `clear`."""

    def __init__(self, context: "ssl.SSLContext | None", connect_patience: float) -> None:
        self._context = context
        self._connect_patience = connect_patience
        self._waiting: dict[Place, list[_Connection]] = {}
        self._lock = Lock()

    def request(
        self,
        method: str,
        place: Place,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Outgoing | None,
        patience: float,
    ) -> Answer:
        """The answer to a request for `target` at `place`, whose name in the request is `host`.

        Raises ConnectError, TLSError, CutError, and what the body's own `read` raises.
        """
        connection = self._take(place)
        try:
            connection.patience(patience)
            chunked = any(name.lower() == "transfer-encoding" for name in headers)
            lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if not chunked and not any(name.lower() == "content-length" for name in headers):
                if body is not None and not isinstance(body, bytes):
                    chunked = True
                    lines.append("Transfer-Encoding: chunked")
                elif body is not None or method in ("PUT", "POST", "PATCH"):
                    lines.append(f"Content-Length: {len(body or b'')}")
            head = "\r\n".join((*lines, "", "")).encode("latin-1")
            if head.count(b"\n") != len(lines) + 1:
                raise CutError("a header of the request has a line break in it")
            hung_up = False
            try:
                connection.send(head, body, chunked=chunked)
            except (BrokenPipeError, ConnectionResetError):
                # It may have said why before it hung up: a registry that wants another token does.
                hung_up = True
            return Answer(self, connection, method, reusable=not hung_up)
        except (OSError, ValueError) as error:
            connection.close()
            raise CutError("the connection was cut") from error
        except BaseException:
            connection.close()
            raise

    def _take(self, place: Place) -> _Connection:
        while True:
            with self._lock:
                waiting = self._waiting.get(place)
                connection = waiting.pop() if waiting else None
            if connection is None:
                return _Connection(place, self._context, self._connect_patience)
            if not connection.dropped():
                return connection
            connection.close()

    def give(self, connection: _Connection) -> None:
        """Take back a connection that can be used again."""
        with self._lock:
            waiting = self._waiting.setdefault(connection.place, [])
            if len(waiting) < _KEPT:
                waiting.append(connection)
                return
        connection.close()

    def clear(self) -> None:
        """Close those that wait. Safe to call twice."""
        with self._lock:
            connections = [connection for waiting in self._waiting.values() for connection in waiting]
            self._waiting.clear()
        for connection in connections:
            connection.close()


def _line(reader: BufferedReader) -> bytes:
    line = reader.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise CutError("the answer ended early")
    return line.rstrip(b"\r\n")


def _head(reader: BufferedReader) -> tuple[bytes, int, Fields]:
    """The version, status and headers of the next answer; those that only say to go on are passed over."""
    while True:
        first = reader.readline(_MAX_LINE)
        if not first:
            raise CutError("it closed the connection")
        version, _, rest = first.rstrip(b"\r\n").partition(b" ")
        status = rest[:3]
        if not version.startswith(b"HTTP/1.") or not status.isdigit() or len(status) != 3:
            raise CutError(f"it answered {first[:40]!r}, which is not HTTP")
        lines: list[bytes] = []
        size = 0
        while line := _line(reader):
            size += len(line)
            if size > _MAX_HEADERS:
                raise CutError("an answer has too many headers")
            lines.append(line)
        if int(status) >= 200:
            return version, int(status), Fields(lines)
