"""The transport: a request, its body streamed out, its response streamed in. Nothing above it knows sockets.

It retries what may be retried, follows redirects without carrying credentials to another host, and verifies TLS.
"""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from polyarch.distribution.errors import RETRYABLE_STATUSES
from polyarch.errors import PolyarchError, RegistryError, UsageError
from polyarch.oci import retry as retries
from polyarch.oci.place import Readable
from polyarch.oci.retry import Retry
from polyarch.oci.urls import authority, redact
from polyarch.registry import failures
from polyarch.registry.hosts import TLS, Hosts, is_loopback
from polyarch.registry.message import HTTPError, StaleError
from polyarch.registry.proxies import Proxies
from polyarch.registry.response import Response

# Sockets come with the first request: a command that sends none need not import them, which takes 5 ms.
if TYPE_CHECKING:
    import ssl

    from polyarch.registry.connection import Address, Connector, Pool

_CONNECT_SECONDS = 15.0
# Between two pieces of a response; and for the response to a PUT, before which a registry may copy a whole blob.
_READ_SECONDS = 60.0
_COMMIT_SECONDS = 600.0
# A port where nothing listens is given up sooner.
_CONNECT_ATTEMPTS = 3
# If a server asks to wait longer than this, its response is an error.
_LONGEST_WAIT = 60.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5

Headers = Mapping[str, str]


def quiet(line: str) -> None:
    """A debug hook that does nothing."""


class Body:
    """A request's body: bytes, or a Readable, which can be sent again if it can seek or was not begun."""

    def __init__(self, content: bytes | Readable) -> None:
        self._content = content
        self._begun = False
        seekable = not isinstance(content, bytes) and hasattr(content, "seek") and hasattr(content, "tell")
        self._start: int | None = content.tell() if seekable else None  # type: ignore[union-attr]

    def outgoing(self) -> Any:
        """What a connection sends."""
        return self._content if isinstance(self._content, bytes) else self

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises PolyarchError if the content cannot be read, which is not the network."""
        self._begun = True
        assert not isinstance(self._content, bytes)
        try:
            return self._content.read(size)
        except OSError as error:
            raise PolyarchError(f"cannot read what is to be sent: {error.strerror or error}") from error

    def rewind(self) -> bool:
        """Go back to the start; False if that is impossible."""
        if isinstance(self._content, bytes) or not self._begun:
            return True
        if self._start is None:
            return False
        self._content.seek(self._start)  # type: ignore[attr-defined]
        self._begun = False
        return True


class Transport:
    """Sends requests. It owns the connection pools, one for each TLS configuration and proxy: `close` it.

    `retry` is how each request is retried, unless it brings its own. `connectors` are other ways to reach some hosts
    (host[:port]).
    """

    def __init__(
        self,
        hosts: Hosts,
        user_agent: str,
        *,
        proxies: Proxies = Proxies(),  # noqa: B008 (a frozen value)
        debug: Callable[[str], None] = quiet,
        sleep: Callable[[float], None] = time.sleep,
        retry: Retry = retries.REQUEST,
        connectors: "Mapping[str, Connector]" = MappingProxyType({}),
    ) -> None:
        self._hosts = hosts
        self._user_agent = user_agent
        self._proxies = proxies
        self._debug = debug
        self.sleep = sleep
        self.retry = retry
        self._connectors = connectors
        self._pools: dict[tuple[TLS | None, str], Pool] = {}
        self._lock = Lock()

    def send(
        self,
        method: str,
        url: str,
        headers: Headers | None = None,
        body: Body | None = None,
        *,
        retry: Retry | None = None,
        redirects: bool = True,
    ) -> Response:
        """The response to a request, whatever its status; redirects are followed unless `redirects` is False.

        Connection errors and RETRYABLE_STATUSES are retried while `body` can be sent again. Raises RegistryError, and
        UsageError for a malformed URL.
        """
        _require_address(url)
        host = authority(url)
        sent = {"User-Agent": self._user_agent, **(headers or {})}
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._retried(method, url, sent, body, retry or self.retry)
            location = response.header("Location")
            if response.status not in _REDIRECTS or not location or not redirects:
                return response
            response.close()
            target = joined(url, location)
            self._check_redirect(url, target)
            if _origin(target) != _origin(url):
                # Credentials belong to the host that asked for them, whatever it says about another.
                sent = {name: value for name, value in sent.items() if name.lower() not in ("authorization", "cookie")}
            if response.status == 303:
                method, body = "GET", None
            elif body is not None and not body.rewind():
                raise RegistryError(f"{host} redirected an upload that cannot be repeated", retryable=True)
            url = target
        raise RegistryError(f"{host} redirects in circles", f"the last redirect went to {redact(url)}")

    def close(self) -> None:
        """Close all idle connections. Safe to call twice."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _retried(self, method: str, url: str, headers: Headers, body: Body | None, retry: Retry) -> Response:
        for left, delay in retry.schedule():
            try:
                response = self._once(method, url, headers, body)
            except RegistryError as error:
                if not retry.retries(error):
                    raise
                if not left or (failures.is_unreachable(error) and left <= retry.attempts - _CONNECT_ATTEMPTS):
                    retry.give_up(error)
                    raise
                if body is not None and not body.rewind():
                    raise
                wait = delay
            else:
                if response.status not in RETRYABLE_STATUSES:
                    return response
                wait = _retry_after(response, delay)
                response.exhausted = wait > _LONGEST_WAIT or (not left and retry.attempts > 1)
                if response.exhausted or not left or (body is not None and not body.rewind()):
                    return response
                response.close()
            self.sleep(wait)
        raise AssertionError("a Retry has at least one attempt")

    def _once(self, method: str, url: str, headers: Headers, body: Body | None) -> Response:
        parts = urlsplit(url)
        pool = self._pool(url)
        timeout = _COMMIT_SECONDS if method in ("PUT", "PATCH") else _READ_SECONDS
        target = _quoted(parts.path or "/") + (f"?{_quoted(parts.query)}" if parts.query else "")
        outgoing = None if body is None else body.outgoing()
        host = authority(url)
        try:
            while True:
                try:
                    raw = pool.request(method, _address(parts), host, target, headers, outgoing, timeout)
                    break
                except StaleError:
                    # Not a failed attempt: some proxies close every connection without announcing it.
                    if body is not None and not body.rewind():
                        raise
        except HTTPError as error:
            self._debug(f"{method} {redact(url)} failed: {failures.reason(error)}")
            raise failures.unreachable(error, url) from error
        self._debug(f"{method} {redact(url)} {raw.status}")
        return Response(raw, url)

    def reaches_alike(self, one: str, other: str) -> bool:
        """Whether two URLs are of the same port of the same host, which is reached without a proxy: a proxy may forward
        plain requests and open no tunnel, and may be for one of the schemes only.
        """
        return _origin(one)[1] == _origin(other)[1] and not (self._proxies.of(one) or self._proxies.of(other))

    def _pool(self, url: str) -> "Pool":
        parts = urlsplit(url)
        tls = self._hosts.tls(authority(url)) if parts.scheme == "https" else None
        own = self._connectors.get(authority(url))
        # No URL of a proxy has this form.
        proxy = self._proxies.of(url) if own is None else f"connector {authority(url)}"
        with self._lock:
            pool = self._pools.get((tls, proxy))
            if pool is None:
                from polyarch.registry.connection import Pool

                connector = own or _connector(proxy, None if tls is None else _context(tls))
                pool = self._pools[tls, proxy] = Pool(connector, _CONNECT_SECONDS)
            return pool

    def _check_redirect(self, url: str, target: str) -> None:
        parts, host = urlsplit(target), authority(target)
        if parts.scheme not in ("http", "https"):
            raise RegistryError(f"{authority(url)} redirects to {parts.scheme!r}, which is not HTTP")
        if urlsplit(url).scheme == "https" and self._is_open(target):
            raise RegistryError(
                f"{authority(url)} redirects from TLS to plain HTTP at {host}",
                f"if this is intended, mark {host} as insecure",
            )

    def require_private(self, url: str, giver: str = "") -> None:
        """Raise RegistryError if `url` is plain HTTP and its host neither loopback nor marked as insecure.

        `giver` is the host that gave the URL, over TLS, as the target of an upload.
        """
        if not self._is_open(url):
            return
        host = authority(url)
        if not giver:
            raise RegistryError(
                f"the request would go to {host} over plain HTTP", f"if this is intended, mark {host} as insecure"
            )
        raise RegistryError(
            f"{giver} uses TLS, but redirects the upload to plain HTTP at {host}",
            f"a proxy in front of the registry must set X-Forwarded-Proto; or mark {host} as insecure",
        )

    def _is_open(self, url: str) -> bool:
        host = authority(url)
        return urlsplit(url).scheme == "http" and not is_loopback(host) and not self._hosts.is_insecure(host)


def joined(base: str, location: str) -> str:
    """The URL of a server's `location`, relative to `base`. Raises RegistryError if it is not a URL."""
    try:
        # A fragment is never sent, and a query that is appended to the URL would become part of it.
        url = urljoin(base, location).partition("#")[0]
        _origin(url)
    except ValueError as error:
        raise RegistryError(f"{authority(base)} points to {location[:80]!r}, which is not a URL") from error
    return url


def _require_address(url: str) -> None:
    try:
        host = _origin(url)[1].rpartition(":")[0]
    except ValueError:
        host = ""
    if not host:
        # What stands for the port may be a password, so it is not shown.
        raise UsageError(
            "a URL has no host, or a port that is not a number up to 65535", "a URL reads SCHEME://HOST:PORT/PATH"
        )


def origin_differs(one: str, other: str) -> bool:
    """Whether two URLs differ in scheme, host or port, so that credentials for one are not for the other."""
    return _origin(one) != _origin(other)


def _quoted(text: str) -> str:
    """A path or query with percent encoding for what a request line may not contain."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    return quote(text, safe="/:?#[]@!$&'()*+,;=%~")


def _address(parts: SplitResult) -> "Address":
    from polyarch.registry.connection import Address

    return Address(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, f"{(parts.hostname or '').lower()}:{port}"


def _retry_after(response: Response, delay: float) -> float:
    """Seconds to wait: Retry-After's, or from the response's Date to its date (RFC 9110, section 10.2.3).

    The server's clock made both dates, so this machine's is not needed. At least `delay`.
    """
    value = response.header("Retry-After")
    if value.isascii() and value.isdigit():
        return max(float(value), delay)
    said = response.headers("Date")
    if not value or not said:
        return delay
    from email.utils import parsedate_to_datetime

    try:
        return max((parsedate_to_datetime(value) - parsedate_to_datetime(said[0])).total_seconds(), delay)
    except (ValueError, TypeError, OverflowError):
        return delay


def _connector(proxy: str, context: "ssl.SSLContext | None") -> "Connector":
    if not proxy:
        from polyarch.registry.connection import Direct

        return Direct(context)
    from polyarch.registry.tunnels import through

    return through(proxy, context)


def _context(tls: TLS) -> "ssl.SSLContext":
    import ssl

    # create_default_context reads the system's authorities, which takes 25 ms and is useless without verification.
    context = ssl.create_default_context() if tls.verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for file in tls.authorities:
        try:
            context.load_verify_locations(file)
        except OSError as error:  # ssl.SSLError is one, too
            from polyarch.registry import pem

            raise pem.refusal(error, "certificate authority of a registry", file) from error
    for certificate, key in tls.certificates:
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            from polyarch.registry import pem

            raise pem.refusal(error, "client certificate for a registry", certificate, key) from error
    return context
