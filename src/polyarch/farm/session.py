"""The member's side of a step's connection: what it asks for, what it gets, and what it reports."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

from polyarch.builder.perform.agent import Connect
from polyarch.builder.remote import decode
from polyarch.errors import CancelledError, PolyarchError
from polyarch.farm.frames import AgentStreams, FrameProtocol
from polyarch.farm.loop import LoopThread
from polyarch.farm.messages import Frame, Order, OrderSecrets, Ticket, decode_secrets
from polyarch.registry.connection import Address, Stream
from polyarch.registry.message import ConnectError, TLSError

_CONNECT_SECONDS = 15.0


class StepSession:
    """One step's connection to its command. It owns the connection, until `close`.

    When it is lost, or the command no longer wants the step, `cancelled` is set and the functions that were given to
    `on_cancel` are called, in the thread of the loop.
    """

    def __init__(
        self,
        ticket: Ticket,
        member: str,
        context: ssl.SSLContext | None,
        thread: LoopThread,
        *,
        only_known: bool = False,
        kept: FrameProtocol | None = None,
    ) -> None:
        """Connect, or use the connection that an earlier session has released. With `only_known`, no secrets come with
        the step. Raises PolyarchError if the command cannot be reached.
        """
        self._thread = thread
        self.number = ticket.number
        self._closed = False
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._given = OrderSecrets()
        self._order: Order | None = None
        self._failure: PolyarchError | None = None
        self._arrived = threading.Event()
        try:
            first = ticket.line("recall" if only_known else "step", member)
            thread.call(self._connect(ticket, first, context, kept), _CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or str(error) or "it does not answer"
            raise PolyarchError(
                f"{member} cannot reach the build at {ticket.host}:{ticket.port}: {reason}",
                "members connect to the build: name an address that they reach with --farm-listen HOST:PORT, or a port "
                "that is forwarded to it with --farm-contact HOST:PORT",
            ) from error

    def order(self) -> tuple[Order, OrderSecrets]:
        """What to do. Raises CancelledError if the command no longer wants it."""
        self._arrived.wait()
        if self._failure is not None:
            raise self._failure
        if self._order is None:
            raise CancelledError
        return self._order, self._given

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call a function when the step is no longer wanted; at once, if it is not now."""
        with self._lock:
            if not self.cancelled.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def output(self, stream: int, data: bytes) -> None:
        """Send output of the process: 1 for standard output, 2 for standard error."""
        self._frames.send(Frame.OUTPUT, stream, data)

    def begin(self, number: int) -> None:
        """Say that a step begins: the output that follows is its."""
        self._frames.send(Frame.BEGIN, number)

    def blob(self, number: int, content: bytes) -> None:
        """Send a blob of a step's layer."""
        self._frames.send(Frame.BLOB, number, content)

    def result(self, number: int, encoded: bytes) -> None:
        """Send the result of a step, after its blobs."""
        self._frames.send(Frame.RESULT, number, encoded)

    def warn(self, text: str) -> None:
        """Send a warning."""
        self._frames.send(Frame.WARNING, 0, text.encode("utf-8", "replace"))

    def agent(self, name: str) -> Connect:
        """Makes connections to the ssh agent that the command calls `name`."""

        def connect() -> socket.socket:
            ours, theirs = socket.socketpair()
            try:
                self._thread.call(self._open(name, theirs), _CONNECT_SECONDS)
            except BaseException:
                ours.close()
                theirs.close()
                raise
            return ours

        return connect

    def cancel(self) -> None:
        """The step is no longer wanted."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
            self.cancelled.set()
        self._arrived.set()
        for callback in callbacks:
            callback()

    def close(self) -> None:
        """End the connection. Safe to call twice."""
        self._closed = True
        self._thread.soon(self._frames.close)

    def release(self) -> FrameProtocol | None:
        """Leave the connection to the next step of the command. Returns None, and ends it, if it cannot be used."""
        if self.cancelled.is_set() or not self._frames.is_open:
            self.close()
            return None
        self._closed = True
        self._thread.soon(self._leave)
        return self._frames

    def _leave(self) -> None:
        self._streams.close()
        self._frames.serve(lambda *_: None, lambda: None)

    async def _connect(
        self, ticket: Ticket, first: bytes, context: ssl.SSLContext | None, kept: FrameProtocol | None
    ) -> None:
        if kept is not None and kept.is_open:
            self._frames, self._streams = kept, AgentStreams(kept)
            kept.serve(self._received, self._lost)
            kept.send_now(Frame.TAKE, 0, first)
            return

        def made() -> FrameProtocol:
            self._frames = FrameProtocol(self._received, self._lost)
            self._streams = AgentStreams(self._frames)
            return self._frames

        await asyncio.get_running_loop().create_connection(made, ticket.host, ticket.port, ssl=context)
        self._frames.greet(first)

    async def _open(self, name: str, end: socket.socket) -> None:
        number = next(self._frames.streams)
        reader, writer = await asyncio.open_unix_connection(sock=end)
        self._streams.carry(number, reader, writer)
        self._frames.send_now(Frame.OPEN, number, name.encode())

    def _received(self, kind: Frame, number: int, payload: bytes) -> None:
        try:
            match kind:
                case Frame.SECRETS:
                    self._given = decode_secrets(payload)
                case Frame.ORDER:
                    self._order = decode(payload, Order)
                    self._arrived.set()
                case Frame.CANCEL:
                    # It may be about the step that this connection was for before.
                    if number == self.number:
                        self.cancel()
                case Frame.DATA | Frame.END:
                    self._streams.received(kind, number, payload)
                case _:
                    self._frames.close()
        except PolyarchError as error:
            self._failure = error
            self.cancel()

    def _lost(self) -> None:
        self._streams.close()
        if not self._closed:
            self.cancel()


class ThroughCommand:
    """Implements `registry.connection.Connector`: HTTP to the carrier, on connections to the command's port."""

    keeps_alive = True
    headers: Mapping[str, str] = {}

    def __init__(self, ticket: Ticket, context: ssl.SSLContext | None) -> None:
        self.ticket = ticket
        self._context = context

    def connect(self, address: Address, timeout: float) -> Stream:
        """Implements `Connector`."""
        try:
            made = socket.create_connection((self.ticket.host, self.ticket.port), timeout)
        except OSError as error:
            raise ConnectError(f"{self.ticket.host}:{self.ticket.port} cannot be reached") from error
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                made = self._context.wrap_socket(made)
            made.sendall(self.ticket.line("http"))
        except BaseException as error:
            made.close()
            if isinstance(error, OSError):
                raise TLSError(f"the TLS handshake with {self.ticket.host}:{self.ticket.port} failed") from error
            raise
        return made

    def target(self, host: str, target: str) -> str:
        """Implements `Connector`."""
        return target
