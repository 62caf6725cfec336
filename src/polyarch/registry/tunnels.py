"""Connections through a proxy: forwarded requests, CONNECT, SOCKS.

A plain request is sent to an HTTP proxy with the whole URL (RFC 9112, section 3.2.2). For TLS, the proxy is asked by
CONNECT for a tunnel (RFC 9110, section 9.3.6), so it sees neither URLs nor credentials. The proxy itself may be
reached over TLS. SOCKS is spoken by PySocks, an extra (`polyarch[socks]`), which gives a tunnel for both.
"""

import base64
import socket
from collections.abc import Mapping
from io import BufferedReader
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from polyarch.errors import UsageError
from polyarch.oci.urls import redact
from polyarch.registry.connection import Address, Connector, Direct, Stream, secure
from polyarch.registry.message import ConnectError, CutError, Head, HTTPError, ProxyError, ProxyLoginError, TLSError

if TYPE_CHECKING:
    import ssl

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def through(proxy: str, context: "ssl.SSLContext | None") -> Connector:
    """The connector for a proxy's URL; with `context`, servers are spoken to with TLS.

    Raises UsageError for a URL of another kind, and for a SOCKS proxy without PySocks.
    """
    try:
        parts = urlsplit(proxy)
        address = Address(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
    except ValueError:
        # Neither the URL nor the error is shown: what is taken for a port may be a password.
        raise UsageError(
            "the URL of the proxy is malformed", "check HTTPS_PROXY and HTTP_PROXY; expected http://HOST:PORT"
        ) from None
    if parts.scheme not in _PORTS or not address.host:
        raise UsageError(f"the proxy {redact(proxy)} is neither http, https nor socks5")
    if parts.scheme.startswith("socks5"):
        return Socks(address, parts, context)
    link = _ProxyLink(address, tls=parts.scheme == "https")
    credentials = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return Forwarded(link, credentials) if context is None else Tunnelled(link, credentials, context)


class _ProxyLink:
    """How the proxy itself is reached."""

    def __init__(self, address: Address, *, tls: bool) -> None:
        self._address = address
        self._tls = tls

    def connect(self, timeout: float) -> Stream:
        """A connection to the proxy. Raises ProxyError."""
        try:
            return Direct(_default_context() if self._tls else None).connect(self._address, timeout)
        except HTTPError as error:
            raise ProxyError(str(error)) from error


class Forwarded:
    """Plain requests that an HTTP proxy forwards."""

    keeps_alive = False

    def __init__(self, link: _ProxyLink, credentials: Mapping[str, str]) -> None:
        self.headers = credentials
        self._link = link

    def connect(self, address: Address, timeout: float) -> Stream:
        """Implements `Connector`."""
        return self._link.connect(timeout)

    def target(self, host: str, target: str) -> str:
        """Implements `Connector`."""
        return f"http://{host}{target}"


class Tunnelled:
    """TLS to the server, through a tunnel that an HTTP proxy opens."""

    headers: Mapping[str, str] = {}
    keeps_alive = True

    def __init__(self, link: _ProxyLink, credentials: Mapping[str, str], context: "ssl.SSLContext") -> None:
        self._link = link
        self._credentials = credentials
        self._context = context

    def connect(self, address: Address, timeout: float) -> Stream:
        """Implements `Connector`."""
        stream = self._link.connect(timeout)
        try:
            self._open(stream, address)
        except BaseException:
            stream.close()
            raise
        if isinstance(stream, socket.socket) and not _is_tls(stream):
            return secure(stream, self._context, address)
        from polyarch.registry.nested_tls import NestedTLS

        try:
            return NestedTLS(stream, self._context, address.host)
        except BaseException as error:
            stream.close()
            if isinstance(error, OSError):
                raise TLSError(f"the TLS handshake with {address} failed") from error
            raise

    def _open(self, stream: Stream, address: Address) -> None:
        """Ask for the tunnel. Raises ProxyError, ConnectError where the proxy cannot reach the server."""
        name = f"[{address.host}]:{address.port}" if ":" in address.host else str(address)
        lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
        lines += [f"{header}: {value}" for header, value in self._credentials.items()]
        try:
            stream.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
            # A buffer of one byte: what follows the head belongs to the tunnel and must stay on the stream.
            reader: BufferedReader
            with stream.makefile("rb", 1) as reader:
                status = Head(reader).status
        except (OSError, CutError) as error:
            raise ProxyError("the proxy closed the connection" if isinstance(error, OSError) else str(error)) from error
        if status >= 500:  # squid's 503, tinyproxy's 500: it works, and cannot reach the server
            raise ConnectError(f"the proxy answered HTTP status {status}")
        if status in (401, 407):  # tinyproxy's for a wrong password, everyone's for a missing one
            raise ProxyLoginError(f"it wants a name and a password (HTTP status {status})")
        if not 200 <= status < 300:
            raise ProxyError(f"it answered HTTP status {status}")

    def target(self, host: str, target: str) -> str:
        """Implements `Connector`."""
        return target


class Socks:
    """Connections that a SOCKS 5 proxy opens. Host names are resolved by the proxy, as in Go and therefore docker."""

    headers: Mapping[str, str] = {}
    keeps_alive = True

    def __init__(self, proxy: Address, parts: SplitResult, context: "ssl.SSLContext | None") -> None:
        """Raises UsageError where PySocks is not installed."""
        from importlib.util import find_spec

        if find_spec("socks") is None:
            raise UsageError(
                f"the proxy {redact(parts.geturl())} speaks SOCKS, and PySocks, which can do that, is not installed",
                "install it with: pip install 'polyarch[socks]'",
            )
        self._proxy = proxy
        self._user, self._password = (
            None if text is None else unquote(text) for text in (parts.username, parts.password)
        )
        self._context = context

    def connect(self, address: Address, timeout: float) -> Stream:
        """Implements `Connector`."""
        import socks

        try:
            plain: socket.socket = socks.create_connection(
                (address.host, address.port),
                timeout,
                proxy_type=socks.SOCKS5,
                proxy_addr=self._proxy.host,
                proxy_port=self._proxy.port,
                proxy_rdns=True,
                proxy_username=self._user,
                proxy_password=self._password,
            )
        except socks.ProxyError as error:
            # Its own answer to a request for a connection; a refused name or password is another kind.
            answered = isinstance(error, socks.SOCKS5Error) or isinstance(error.socket_err, socks.SOCKS5Error)
            if answered:
                raise ConnectError(f"the proxy says: {error}") from error
            raise ProxyError(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise ProxyError(str(error)) from error
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if self._context is None else secure(plain, self._context, address)

    def target(self, host: str, target: str) -> str:
        """Implements `Connector`."""
        return target


def _is_tls(stream: socket.socket) -> bool:
    import ssl

    return isinstance(stream, ssl.SSLSocket)


def _default_context() -> "ssl.SSLContext":
    import ssl

    return ssl.create_default_context()
