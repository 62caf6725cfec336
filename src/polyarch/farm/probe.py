"""Whether the scheduler of a farm is there, for a build that does not need it and does not wait for the answer."""

import errno
import os
import select
import socket
from typing import Any


class SchedulerProbe:
    """Begins to connect to a scheduler. It owns a socket, until `close`, and needs no thread."""

    def __init__(self, scheduler: str) -> None:
        self._socket: socket.socket | None = None
        self._failure = ""
        try:
            family, address = address_of(scheduler, socket.SOCK_STREAM)
            self._socket = made = socket.socket(family, socket.SOCK_STREAM)
            made.setblocking(False)
            status = made.connect_ex(address)
            if status not in (0, errno.EINPROGRESS):
                self._failure = os.strerror(status)
        except OSError as error:
            self._failure = error.strerror or str(error)

    def failure(self) -> str:
        """Why the scheduler cannot be reached; empty if it can be, and as long as that is not known."""
        if self._socket is not None and not self._failure and select.select([], [self._socket], [], 0)[1]:
            status = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._failure = os.strerror(status) if status else ""
        return self._failure

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()


def address_of(scheduler: str, kind: socket.SocketKind) -> tuple[socket.AddressFamily, Any]:
    """The family and the address of a scheduler, for a socket of this kind. Raises OSError."""
    host, _, port = scheduler.partition("://")[2].rpartition(":")
    family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=kind)[0]
    return family, address
