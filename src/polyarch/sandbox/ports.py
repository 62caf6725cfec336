"""Sockets of this machine on which the ports of a container are published."""

import errno
import socket
from typing import Literal

from polyarch.errors import NotFoundError, PolyarchError, UnsupportedError

Listener = socket.socket
Protocol = Literal["tcp", "udp"]

_BACKLOG = 512


class PortTakenError(PolyarchError):
    """Another program of this machine has the port."""


def listen(address: str, port: int, protocol: Protocol = "tcp") -> socket.socket:
    """Return a socket that is bound to `port` of an IPv4 or IPv6 `address`; port 0 is a free port.

    It is made in the network namespace of the calling thread. A port below 1024 can be opened only by root, and before
    `namespaces.enter`. Raises PortTakenError, NotFoundError if this machine lacks the address, UnsupportedError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    shown = f"{f'[{address}]' if ':' in address else address}:{port}/{protocol}"
    try:
        opened = socket.socket(family, kind)
    except OSError as error:
        raise UnsupportedError(f"cannot listen on {shown}: {error.strerror}") from error
    try:
        if protocol == "tcp":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, port))
        if protocol == "tcp":
            opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise _explained(error, shown) from error
    return opened


def _explained(error: OSError, shown: str) -> PolyarchError:
    what = f"cannot listen on {shown}"
    match error.errno:
        case errno.EADDRINUSE:
            return PortTakenError(
                f"{what}: the port is taken", f"another program has it: ss -lnp 'sport = :{_port(shown)}'"
            )
        case errno.EADDRNOTAVAIL:
            return NotFoundError(f"{what}: this machine does not have the address", "see: ip address")
        case errno.EACCES | errno.EPERM:
            return UnsupportedError(
                f"{what}: only root may use ports below 1024", "publish another port of this machine"
            )
    return UnsupportedError(f"{what}: {error.strerror}")


def _port(shown: str) -> str:
    return shown.rpartition(":")[2].partition("/")[0]
