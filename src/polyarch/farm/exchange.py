"""The command's side of a farm for one build: members connect to it, with a ticket, to fetch and report steps.

One port serves all. What a connection is for is in its first line: the frames of a step, or HTTP to the carrier of the
layers. Both need the token of a ticket that is on offer, besides a certificate of the farm. A step is given to the
member that came last with its ticket: it replaces one that was lost.
"""

import asyncio
import hmac
import itertools
import secrets as random
import ssl
from collections.abc import Callable, Sequence
from typing import cast
from weakref import WeakSet

from polyarch import progress
from polyarch.builder.remote import StepRequest
from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.farm.carrier import HTTPFactory, LayerCarrier
from polyarch.farm.loop import LoopThread
from polyarch.farm.messages import LONGEST_LINE, PROTOCOL, Ticket
from polyarch.farm.offer import Offer
from polyarch.registry.hosts import is_loopback

# How long a connection may take until it has said what it is for, in seconds.
_PATIENCE = 15.0
# What a first line says that asks for steps.
_STEPS = ("step", "recall")


class BuildExchange:
    """Offers the steps of one build to members. It owns a thread, the port and what the carrier holds, between `open`
    and `close`.

    `listen` is the address and port to bind (0 for any free port), `advertise` the host and port that members connect
    to, if they are others (0 for the same port).
    `context` is a server context that requires certificates of the farm; None only on loopback. `warn` receives the
    warnings of members.
    """

    def __init__(
        self,
        carrier: LayerCarrier,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        advertise: tuple[str, int] | None = None,
        context: ssl.SSLContext | None = None,
        warn: progress.Emit = progress.ignore,
    ) -> None:
        self.carrier = carrier
        self._listen = listen
        self._advertise = advertise or listen
        self._context = context
        self._warn = warn
        self._numbers = itertools.count(1)
        self._offers: dict[int, Offer] = {}
        self._thread: LoopThread | None = None
        self._server: asyncio.Server | None = None
        self._connections: WeakSet[asyncio.Transport] = WeakSet()
        # Who answers HTTP requests; None if the carrier is elsewhere.
        self._http: HTTPFactory | None = None
        self.port = 0

    def open(self) -> None:
        """Listen. Called when this process has entered its namespace. Raises PolyarchError."""
        if self._thread is not None:
            return
        host, port = self._listen
        if self._context is None and not is_loopback(host):
            raise UnsupportedError(
                f"the build does not listen on {host} without certificates of a farm", "polyarch farm init makes them"
            )
        self._thread = LoopThread("polyarch-farm")
        try:
            self._server = self._thread.call(self._start())
        except OSError as error:
            raise PolyarchError(
                f"cannot listen for members of the farm on {host}:{port}: {error.strerror}",
                "--farm-listen takes another address of this machine",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def offer(self, *steps: StepRequest) -> Offer:
        """Offer a step, and those that follow it, until the offer is closed."""
        assert self._thread is not None
        number = next(self._numbers)
        ticket = Ticket(self._advertise[0], self._advertise[1] or self.port, number, random.token_hex(16))
        offered = Offer(ticket, steps, self.carrier, self.warn, self._thread, self._withdraw, self._wanted)
        self._offers[number] = offered
        return offered

    def close(self) -> None:
        """End all connections and the thread. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            thread.call(self._stop())
        finally:
            thread.close()

    def warn(self, text: str) -> None:
        """Report a warning of a member."""
        self._warn(progress.Warned(text))

    def _withdraw(self, number: int) -> None:
        self._offers.pop(number, None)

    async def _start(self) -> asyncio.Server:
        host, port = self._listen
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Entrance(self._take, self._connections), host, port, ssl=self._context
        )
        self._http = await self.carrier.start()
        return server

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self.carrier.stop()

    def _take(self, words: list[str], transport: asyncio.Transport) -> asyncio.BaseProtocol | None:
        """The protocol for a connection with this first line; None to refuse it."""
        offered = self._offered(words)
        if offered is None:
            return None
        if words[1] in _STEPS:
            return offered.taken(words)
        return self._http() if words[1] == "http" and self._http is not None else None

    def _wanted(self, words: Sequence[str]) -> Offer | None:
        """The offer whose steps this first line asks for; None to refuse it."""
        offered = self._offered(words)
        return offered if offered is not None and words[1] in _STEPS else None

    def _offered(self, words: Sequence[str]) -> Offer | None:
        """The offer of the ticket in a first line, if the line has its token."""
        if len(words) != 5 or words[0] != PROTOCOL or not words[2].isdecimal():
            return None
        offered = self._offers.get(int(words[2]))
        if offered is None or not hmac.compare_digest(offered.ticket.token.encode(), words[3].encode()):
            return None
        return offered


class _Entrance(asyncio.Protocol):
    """A new connection, until its first line says what it is for."""

    def __init__(
        self,
        take: Callable[[list[str], asyncio.Transport], asyncio.BaseProtocol | None],
        connections: "WeakSet[asyncio.Transport]",
    ) -> None:
        self._take = take
        self._connections = connections
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implements `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self._transport)
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, transport.close)

    def data_received(self, data: bytes) -> None:
        """Implements `asyncio.Protocol`."""
        transport = self._transport
        assert transport is not None
        self._buffer += data
        line, end, rest = self._buffer.partition(b"\n")
        if not end and len(line) < LONGEST_LINE:
            return
        protocol = self._take(line.decode("ascii", "replace").split(), transport) if end else None
        if protocol is None:
            transport.close()
            return
        if self._timer is not None:
            self._timer.cancel()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            cast(asyncio.Protocol, protocol).data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Implements `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
