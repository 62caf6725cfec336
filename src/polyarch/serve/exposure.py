"""Where the server may listen: on loopback without more, elsewhere with TLS and authentication.

A name is resolved once, and the server listens on the addresses that it had then: what is checked is what is used.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

from polyarch.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[..., Sequence[tuple[Any, ...]]]
# Names that no public name server has (RFC 6761, RFC 8375, RFC 9476; .internal by ICANN's resolution of 2024).
_LOCAL = ("localhost", "internal", "local", "test", "home.arpa", "lan", "alt")


def resolve(host: str, lookup: Lookup = socket.getaddrinfo) -> tuple[Address, ...]:
    """The addresses of `host`, in the resolver's order. An empty host is every address. Raises UsageError."""
    if host in ("", "*"):
        return ipaddress.IPv6Address("::"), ipaddress.IPv4Address("0.0.0.0")
    try:
        found = lookup(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--listen {host}: there is no such host: {reason}") from error
    return tuple(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))


def is_loopback(address: Address) -> bool:
    """Whether only this machine reaches the address."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def require_protection(host: str, addresses: Sequence[Address], *, tls: bool, auth: bool, insecure: bool) -> None:
    """Raises UsageError if other machines reach one of the addresses, and TLS or authentication is missing.

    Without TLS, a password and each image can be read and changed on the way. Without authentication, everyone who
    reaches the port can replace every image, and so run programs wherever these images run.
    """
    open_ = [address for address in addresses if not is_loopback(address)]
    if insecure or not open_ or (tls and auth):
        return
    missing = [name for name, given in (("TLS", tls), ("authentication", auth)) if not given]
    flags = [flag for flag, given in (("--tls CERT KEY or --tls-self-signed", tls), ("--auth", auth)) if not given]
    shown = f"{host} ({open_[0]})" if host and host != str(open_[0]) else str(open_[0])
    raise UsageError(
        f"other machines reach {shown}, and there is no {' and no '.join(missing)}",
        f"add {' and '.join(flags)}; listen on 127.0.0.1; or say --insecure if everyone in that network is trusted",
    )


def is_own_name(host: str, names: Sequence[str]) -> bool:
    """Whether a request's Host header may be one of a server without TLS and authentication.

    A web page of another site can make its name point at this machine, and would then read and write here as if it were
    the server's own page. So the host must be an address, a name that no public name server has, or one of `names`.
    """
    name = host_name(host)
    if name is None:
        return False
    name = name.rstrip(".").lower()
    if name in (one.lower() for one in names) or "." not in name:
        return True
    return is_address(name) or any(name.endswith(f".{suffix}") for suffix in _LOCAL)


def is_address(name: str) -> bool:
    """Whether a host is written as an address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_unspecified(name: str) -> bool:
    """Whether a host stands for every address of this machine."""
    return name.strip("[]") in ("", "*", "0.0.0.0", "::")


def host_name(host: str) -> str | None:
    """The name or address in a Host header, without its port and the brackets of IPv6; None if it is malformed."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        valid = bool(bracket) and (not port or (port[0] == ":" and port[1:].isdigit()))
        return name if valid and set(name) <= set("0123456789abcdefABCDEF:.") else None
    name, colon, port = host.partition(":")
    if (colon and not (port.isascii() and port.isdigit())) or not name or len(name) > 253:
        return None
    return name if all(c.isascii() and (c.isalnum() or c in "-._") for c in name) else None
