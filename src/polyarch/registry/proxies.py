"""Proxies: which one a URL is reached through. They come as values; cli/ reads the environment that names them."""

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from polyarch.errors import UsageError
from polyarch.registry.errors import redact
from polyarch.registry.hosts import is_loopback

if TYPE_CHECKING:
    import urllib3


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
        if not proxy or is_loopback(parts.netloc) or any(_matches(host, port, rule) for rule in self.bypass):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"


def through(proxy: str, options: dict[str, Any]) -> "urllib3.PoolManager":
    """A pool manager that connects through a proxy. Raises UsageError."""
    import urllib3

    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"the proxy {redact(proxy)} is neither http nor https")
    headers = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=pair)
    return urllib3.ProxyManager(redact(proxy), proxy_headers=headers, **options)


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
