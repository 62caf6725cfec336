"""Proxies: which one a URL is reached through. They come as values; cli/ reads the environment that names them."""

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from polyarch.errors import UsageError
from polyarch.registry.connection import (
    ConnectError,
    CutError,
    Outgoing,
    Place,
    ProxyError,
    TLSError,
    UnknownHostError,
)
from polyarch.registry.errors import authority, redact
from polyarch.registry.hosts import is_loopback

if TYPE_CHECKING:
    import ssl

    import urllib3


_SOCKS = ("socks5", "socks5h")


class Proxies(msgspec.Struct, frozen=True):
    """The proxies for http and https URLs, and the hosts that are reached without (as in NO_PROXY)."""

    http: str = ""
    https: str = ""
    bypass: tuple[str, ...] = ()

    def of(self, url: str) -> str:
        """The proxy for a URL; empty for none. Loopback is never reached through one."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or is_loopback(authority(url)) or any(_matches(host, port, rule) for rule in self.bypass):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"


class ProxyPool:
    """As `connection.Pool`, but all goes through a proxy, by urllib3, which knows proxies well.

    SOCKS is spoken by PySocks, an extra (`polyarch[socks]`). It owns urllib3's connections, until `clear`. Raises
    UsageError for what is no proxy, and for a SOCKS proxy without PySocks.
    """

    def __init__(self, proxy: str, context: "ssl.SSLContext | None", connect_patience: float) -> None:
        import urllib3

        scheme = urlsplit(proxy).scheme
        if scheme not in ("http", "https", *_SOCKS):
            raise UsageError(f"the proxy {redact(proxy)} is neither http, https nor socks5")
        options: dict[str, Any] = {"maxsize": 32, "blocksize": 1 << 20}
        if context is not None:
            options["ssl_context"] = context
            # A host whose certificate is not verified was asked for by name; urllib3 would warn at each request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._manager = _socks(proxy, options) if scheme in _SOCKS else _http(proxy, options)
        self._scheme = "http" if context is None else "https"
        self._connect_patience = connect_patience

    def request(
        self,
        method: str,
        place: Place,
        host: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Outgoing | None,
        patience: float,
    ) -> "ProxyAnswer":
        """As of `connection.Pool`; raises ProxyError, too."""
        import urllib3

        try:
            raw = self._manager.urlopen(
                method,
                f"{self._scheme}://{host}{target}",
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=self._connect_patience, read=patience),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _translated(error) from error
        return ProxyAnswer(raw)

    def clear(self) -> None:
        """Close the connections that wait."""
        self._manager.clear()


class ProxyAnswer:
    """urllib3's answer, with the errors of `connection`."""

    def __init__(self, raw: "urllib3.BaseHTTPResponse") -> None:
        self._raw = raw
        self.status = raw.status
        self.headers = raw.headers
        self.close = raw.close
        self.release_conn = raw.release_conn

    @property
    def length_remaining(self) -> int | None:
        return getattr(self._raw, "length_remaining", None)

    def read(self, size: int | None = None) -> bytes:
        import urllib3

        try:
            return self._raw.read(size, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CutError("the connection was cut") from error

    def drain_conn(self) -> None:
        while self.read(1 << 20):
            pass


def _http(proxy: str, options: dict[str, Any]) -> "urllib3.PoolManager":
    import urllib3

    parts = urlsplit(proxy)
    headers = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=pair)
    return urllib3.ProxyManager(redact(proxy), proxy_headers=headers, **options)


def _socks(proxy: str, options: dict[str, Any]) -> "urllib3.PoolManager":
    from importlib.util import find_spec

    if find_spec("socks") is None:
        raise UsageError(
            f"the proxy {redact(proxy)} speaks SOCKS, and PySocks, which can do that, is not installed",
            "install it with: pip install 'polyarch[socks]'",
        )
    from urllib3.contrib.socks import SOCKSProxyManager

    # Names are resolved by the proxy, as in docker and in all that is written in Go.
    parts = urlsplit(proxy)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    user, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    return SOCKSProxyManager(f"socks5h://{host}:{parts.port or 1080}", user, password, **options)


def _translated(error: Exception) -> Exception:
    from urllib3 import exceptions

    if (socks := _of_socks(error)) is not None:
        return socks
    kinds: tuple[tuple[type[Exception], type[Exception]], ...] = (
        (exceptions.ProxyError, ProxyError),
        (exceptions.SSLError, TLSError),
        (exceptions.NameResolutionError, UnknownHostError),
        (exceptions.ConnectTimeoutError, ConnectError),
        (exceptions.NewConnectionError, ConnectError),
    )
    return next((own for theirs, own in kinds if isinstance(error, theirs)), CutError)(str(error))


def _of_socks(error: BaseException | None) -> Exception | None:
    """What PySocks says: whether the proxy cannot be used, or could not reach the host. None for anything else."""
    import sys

    if "socks" not in sys.modules:
        return None
    import socks

    while error is not None and not isinstance(error, socks.ProxyError):
        error = error.__cause__ or error.__context__
    if error is None:
        return None
    # Its own answer to a request to go on; a refused name or password is another kind.
    answered = isinstance(error, socks.SOCKS5Error) or isinstance(error.socket_err, socks.SOCKS5Error)
    return ConnectError(f"the proxy says: {error}") if answered else ProxyError(str(error))


def _matches(host: str, port: int | None, rule: str) -> bool:
    """Whether a NO_PROXY entry speaks of a host: `*`, a network, a name with all below it, each with a port or none."""
    rule = rule.strip().lower()
    if rule == "*":
        return True
    if "/" in rule:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, wanted = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
    if colon and wanted != str(port):
        return False
    name = name.removeprefix("*").lstrip(".")
    return bool(name) and (host == name or host.endswith("." + name))
