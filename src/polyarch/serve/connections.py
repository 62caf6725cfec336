"""Connections: how many there may be, and the end of those that hold on to the server without using it.

Every connection costs a descriptor and some 40 kB. So there is a limit for all of them and one for each address of
another machine; a few more may wait for their TLS handshake (`accepting.py`). What a client must send or take has a
time, too:

- A TLS handshake must be done `handshake` seconds after the connection was made.
- Headers must be complete `idle` seconds after the connection was made, or after the last response (aiohttp's
  keepalive timeout, which more bytes do not put off).
- While a body arrives, or a response waits for the client to take it, the client must move `least` bytes in each
  `window` seconds. For a response, the kernel says what the other side has acknowledged, so this holds for sendfile(2),
  too, which no Python code sees.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from typing import Any

import msgspec
from aiohttp import web

from polyarch.serve.tally import Tally, network

# Offset of tcpi_bytes_acked in struct tcp_info (linux/tcp.h, since Linux 4.1).
_ACKED = struct.Struct("=120xQ")
# Set while a body that aiohttp does not read itself is waited for (`direct.py`).
AWAITED = web.RequestKey("awaited", bool)
_RESET = struct.pack("ii", 1, 0)
_INT = struct.Struct("i")
# What is not yet read of a request when it is refused is read for a moment, so that the client sees the response.
LINGER = 5.0
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n"
)


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of connections. `each` is for one address of another machine, or for the /64 network of an IPv6 address.
    Times are in seconds, `least` is in bytes.
    """

    total: int = 4096
    each: int = 256
    idle: float = 75
    handshake: float = 15
    window: float = 90
    least: int = 64 << 10

    def accepted(self) -> Tally:
        """How many connections are accepted, with those that are not yet known to be of a client."""
        return Tally(self.total + self.total // 8, self.each + self.each // 8)

    def fitting(self, descriptors: int) -> "ConnectionLimits":
        """These limits for a process that may open so many files. A pull needs two, and the store some more."""
        return msgspec.structs.replace(self, total=max(16, min(self.total, descriptors // 3)))


class ConnectionWatch:
    """Ends slow connections. `run` is its task; the middleware `upload` tells it which requests have a body."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._tally = Tally(limits.total, limits.each)
        self._open: dict[web.RequestHandler, _Watched] = {}
        self._bodies: dict[web.RequestHandler, web.BaseRequest] = {}

    def admit(self, handler: web.RequestHandler, transport: asyncio.Transport) -> bool:
        """Whether there is room for a new connection. It is watched until `dismiss`."""
        name = transport.get_extra_info("peername")
        address = network(str(name[0])) if name else ""
        if not self._tally.take(address):
            return False
        self._open[handler] = _Watched(transport, address)
        return True

    def dismiss(self, handler: web.RequestHandler) -> None:
        """The connection has ended."""
        if (watched := self._open.pop(handler, None)) is not None:
            self._tally.give(watched.address)

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def body(self, request: web.BaseRequest) -> Any:
        """While a request with a body is handled."""
        handler = request.protocol
        self._bodies[handler] = request
        try:
            yield
        finally:
            self._bodies.pop(handler, None)

    async def run(self) -> None:
        """Look at all connections, four times in each window, until the task is cancelled."""
        pause = self._limits.window / 4
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            self.look(loop.time())

    def look(self, now: float) -> int:
        """End the connections that were too slow. Returns how many."""
        ended = 0
        for handler, watched in list(self._open.items()):
            if watched.is_slow(now, self._limits, self._bodies.get(handler)):
                watched.end()
                ended += 1
        return ended


class _Watched:
    """One connection: what it had moved at the beginning of the current window."""

    def __init__(self, transport: asyncio.Transport, address: str) -> None:
        self.address = address
        self._transport = transport
        self._since = 0.0
        self._moved = 0

    def is_slow(self, now: float, limits: ConnectionLimits, request: web.BaseRequest | None) -> bool:
        """Whether the client had to move something during a whole window, and moved too little."""
        moved = self._progress(request)
        if moved is None or not self._since or moved - self._moved >= limits.least or moved < self._moved:
            self._since, self._moved = now if moved is not None else 0.0, moved or 0
            return False
        return now - self._since >= limits.window

    def _progress(self, request: web.BaseRequest | None) -> int | None:
        """The bytes that the client has moved so far, None if the server does not wait for it."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        if found is None or found.fileno() < 0:
            return None
        try:
            waiting: int = _INT.unpack(fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(_INT.size)))[0]
            if waiting or self._transport.get_write_buffer_size():
                acked: int = _ACKED.unpack(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size))[0]
                return acked
        except (OSError, struct.error):
            return None  # just closed; or no TCP
        # A body that the server does not want to read now, because its disk is slow, is not the client's fault.
        if request is None or request.content.is_eof():
            return None
        if self._transport.is_reading() or request.get(AWAITED, False):
            return request.content.total_bytes
        return None

    def end(self) -> None:
        """Reset the connection. The transport's `abort` would leave a sendfile waiting for ever."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        if found is None or found.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            found.shutdown(socket.SHUT_RDWR)
