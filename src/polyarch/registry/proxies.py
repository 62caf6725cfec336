"""Which proxy a URL is reached through. Proxies come as values: cli/ reads the environment that names them."""

from urllib.parse import urlsplit

import msgspec

from polyarch.oci.urls import authority, redact
from polyarch.registry.hosts import is_loopback


class Proxies(msgspec.Struct, frozen=True):
    """The proxies for http and https URLs, and the hosts that are reached without one (as in NO_PROXY)."""

    http: str = ""
    https: str = ""
    bypass: tuple[str, ...] = ()

    def __repr__(self) -> str:
        http, https = redact(_url(self.http)), redact(_url(self.https))
        return f"Proxies(http={http!r}, https={https!r}, bypass={self.bypass!r})"

    __str__ = __repr__

    def of(self, url: str) -> str:
        """The proxy for a URL; empty for none. Loopback is never reached through one."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
        proxy = self.https if parts.scheme == "https" else self.http
        if not proxy or is_loopback(authority(url)) or any(_matches(host, port, rule) for rule in self.bypass):
            return ""
        return _url(proxy)


def _url(proxy: str) -> str:
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _matches(host: str, port: int | None, rule: str) -> bool:
    """Whether a NO_PROXY entry covers a host: `*`, a network, or a name and all below it, with or without a port."""
    rule = rule.strip().lower()
    if rule == "*":
        return True
    if "/" in rule:
        import ipaddress  # 1 ms, which most proxies need not pay

        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, wanted = rule.rpartition(":") if rule.count(":") == 1 else (rule, "", "")
    if colon and wanted != str(port):
        return False
    name = name.removeprefix("*").lstrip(".")
    return bool(name) and (host == name or host.endswith("." + name))
