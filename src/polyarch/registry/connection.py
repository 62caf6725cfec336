"""Connections that are kept and used again: HTTP/1.1 with one request at a time on each.

urllib3 would serve, but importing it costs 45 ms at each start, a third of what the push of an unchanged image needs
without it. This is what a registry client uses: requests with a body of bytes or in pieces, TLS, proxies, UNIX
sockets. Cookies, redirects and content encodings are not handled here.
"""

import select
import socket
import time
from collections.abc import Callable, Mapping
from io import BufferedReader
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from polyarch.registry.message import (
    ConnectError,
    CutError,
    NoResponseError,
    RawResponse,
    StaleError,
    TLSError,
    UnknownHostError,
)

if TYPE_CHECKING:
    import ssl

_PIECE = 1 << 20
# A body up to this size is sent in one piece with the head.
_SMALL = 64 << 10
_READ_AHEAD = 64 << 10
_KEPT = 32
# A peer that closes a connection so soon after a response never keeps one: tinyproxy does, without saying so.
_SHORT_SECONDS = 1.0


class Address(msgspec.Struct, frozen=True):
    """Where a server listens: a host name or IP address and a port, or the path of a UNIX socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class RequestBody(Protocol):
    """A request's body to be read in pieces; empty at its end."""

    def read(self, size: int, /) -> bytes: ...


class ChunkWriter:
    """Sends each write as a chunk (RFC 9112, section 7.1)."""

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream

    def write(self, data: bytes, /) -> None:
        """Send `data`. Raises OSError."""
        if data:
            self._stream.sendall(b"%x\r\n" % len(data))
            self._stream.sendall(data)
            self._stream.sendall(b"\r\n")

    def finish(self) -> None:
        """Send the last chunk. Raises OSError."""
        self._stream.sendall(b"0\r\n\r\n")


# A body that is pushed by its producer instead of being read: it is sent in chunks.
BodyProducer = Callable[[ChunkWriter], None]


class Stream(Protocol):
    """The part of a socket that is used here."""

    def sendall(self, data: bytes, /) -> None: ...
    def makefile(self, mode: Any, buffering: int, /) -> Any: ...
    def settimeout(self, value: float | None, /) -> None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Connector(Protocol):
    """Makes connections, and says what a request must look like on them."""

    # Headers that every request gets, such as Proxy-Authorization.
    headers: Mapping[str, str]
    # Whether an idle connection may take a body that cannot be sent again. Not if an HTTP proxy forwards the request:
    # some close every connection after a response, without announcing it.
    keeps_alive: bool

    def connect(self, address: Address, timeout: float) -> Stream:
        """A connection to `address`. Raises ConnectError, ProxyError, TLSError."""

    def target(self, host: str, target: str) -> str:
        """The request target for the path and query `target` at `host`."""


class Direct:
    """Connections straight to the server, with TLS if there is a context."""

    keeps_alive = True
    headers: Mapping[str, str] = {}

    def __init__(self, context: "ssl.SSLContext | None" = None) -> None:
        self._context = context

    def connect(self, address: Address, timeout: float) -> Stream:
        """Implements `Connector`."""
        plain = connect_unix(address.path, timeout) if address.path else connect_tcp(address, timeout)
        return plain if self._context is None else secure(plain, self._context, address)

    def target(self, host: str, target: str) -> str:
        """Implements `Connector`."""
        return target


def connect_tcp(address: Address, timeout: float) -> socket.socket:
    """A plain connection. Raises UnknownHostError, ConnectError."""
    host = address.host
    # Given as bytes, a plain name is not put through the idna codec, whose tables cost 2 ms to load.
    name: Any = host.encode() if host.isascii() else host
    try:
        made = socket.create_connection((name, address.port), timeout)
    except socket.gaierror as error:
        raise UnknownHostError(f"{host} has no address") from error
    except UnicodeError as error:
        raise UnknownHostError(f"{host!r} is not a host name") from error
    except OSError as error:
        raise ConnectError(f"{address} cannot be reached") from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def connect_unix(path: str, timeout: float) -> socket.socket:
    """A connection to a UNIX socket. Raises ConnectError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout)
    try:
        made.connect(path)
    except BaseException as error:
        made.close()
        if isinstance(error, OSError):  # which a path that is too long raises, too
            raise ConnectError(f"{path} cannot be reached") from error
        raise
    return made


def secure(plain: socket.socket, context: "ssl.SSLContext", address: Address) -> Stream:
    """TLS over a connection, which is closed if the handshake fails. Raises TLSError."""
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException as error:
        plain.close()
        # SSLError, CertificateError and a peer that hangs up in the middle are all of this kind.
        if isinstance(error, OSError):
            raise TLSError(f"the TLS handshake with {address} failed") from error
        raise


class Connection:
    """A stream and a buffer of what was read from it. It owns both."""

    def __init__(self, stream: Stream, address: Address) -> None:
        self.address = address
        self.idle_since = 0.0
        self._stream = stream
        self.reader: BufferedReader = stream.makefile("rb", _READ_AHEAD)

    def set_timeout(self, seconds: float) -> None:
        """Set how long the peer may be silent from now on."""
        self._stream.settimeout(seconds)

    def is_stale(self) -> bool:
        """Whether the peer has closed the connection, or sent something although nothing was requested."""
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def send(self, head: bytes, body: bytes | RequestBody | BodyProducer | None, *, chunked: bool) -> None:
        """Send a request. Raises OSError, and whatever the body raises."""
        if body is None or isinstance(body, bytes):
            body = body or b""
            if len(body) <= _SMALL:
                self._stream.sendall(head + body)
            else:
                self._stream.sendall(head)
                self._stream.sendall(body)
            return
        self._stream.sendall(head)
        chunks = ChunkWriter(self._stream)
        if callable(body):
            body(chunks)
        else:
            send = chunks.write if chunked else self._stream.sendall
            while piece := body.read(_PIECE):
                send(piece)
        if chunked:
            chunks.finish()

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self.reader.close()
        self._stream.close()


class Pool:
    """The connections that one `Connector` makes. It owns those that are idle: `close` it, or use `with`."""

    def __init__(self, connector: Connector, connect_timeout: float) -> None:
        self._connector = connector
        self._connect_timeout = connect_timeout
        self._idle: dict[Address, list[Connection]] = {}
        # Peers that do not keep connections. A request whose body cannot be sent again must not meet a closed one.
        self._unkept: set[Address] = set()
        self._lock = Lock()

    def request(
        self,
        method: str,
        address: Address,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | RequestBody | BodyProducer | None,
        timeout: float,
    ) -> RawResponse:
        """The response to a request for `target` at `address`, which the Host header calls `host`.

        `timeout` is for each wait for the peer, in seconds. Raises ConnectError, ProxyError, TLSError, CutError, and
        whatever the body raises; StaleError where the same request should be sent once more at once.
        """
        fresh = not self._connector.keeps_alive and not isinstance(body, bytes | None)
        connection, was_idle = self._take(address, fresh=fresh)
        try:
            connection.set_timeout(timeout)
            head, chunked = self._head(method, host, target, headers, body)
            hung_up = False
            try:
                connection.send(head, body, chunked=chunked)
            except (BrokenPipeError, ConnectionResetError):
                # The peer may have said why before it hung up: a registry that wants another token does.
                hung_up = True

            def done(*, reusable: bool) -> None:
                if reusable and not hung_up:
                    self.release(connection)
                else:
                    connection.close()

            return RawResponse(connection.reader, method, done)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError | ValueError):
                raise CutError("the connection was cut") from error
            if isinstance(error, NoResponseError) and was_idle:
                self._note_closed(connection)
                raise StaleError(str(error)) from error
            raise

    def _head(
        self,
        method: str,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | RequestBody | BodyProducer | None,
    ) -> tuple[bytes, bool]:
        """The request line and headers, and whether the body goes in chunks."""
        given = {name.lower() for name in headers}
        chunked = "transfer-encoding" in given
        lines = [f"{method} {self._connector.target(host, target)} HTTP/1.1", f"Host: {host}"]
        lines += ["Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in (*headers.items(), *self._connector.headers.items())]
        if not chunked and "content-length" not in given:
            if body is not None and not isinstance(body, bytes):
                chunked = True
                lines.append("Transfer-Encoding: chunked")
            elif body is not None or method in ("PUT", "POST", "PATCH"):
                lines.append(f"Content-Length: {len(body or b'')}")
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        if head.count(b"\n") != len(lines) + 1:
            raise CutError("a header of the request has a line break in it")
        return head, chunked

    def _take(self, address: Address, *, fresh: bool = False) -> tuple[Connection, bool]:
        """A connection, and whether it was idle; with `fresh` it was not."""
        while True:
            with self._lock:
                idle = self._idle.get(address)
                connection = idle.pop() if idle and not fresh else None
            if connection is None:
                return Connection(self._connector.connect(address, self._connect_timeout), address), False
            if not connection.is_stale():
                return connection, True
            self._note_closed(connection)
            connection.close()

    def _note_closed(self, connection: Connection) -> None:
        """The peer closed this connection while it was idle."""
        if time.monotonic() - connection.idle_since < _SHORT_SECONDS:
            with self._lock:
                self._unkept.add(connection.address)

    def release(self, connection: Connection) -> None:
        """Take back a connection that can be used again."""
        connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(connection.address, [])
            if len(idle) < _KEPT and connection.address not in self._unkept:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections. Safe to call twice."""
        with self._lock:
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
