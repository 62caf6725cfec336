"""Large bodies, read from their socket by a thread, past the event loop and the parser.

A byte that aiohttp reads is copied three times on its way to the thread that hashes and writes it, and the loop is
woken for every 256 kB: a good third of the processor time of an upload. After a body that was read in this way aiohttp
does not know where the next request begins, so the connection is closed with the response.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable

from aiohttp import web

from polyarch.serve.connections import AWAITED
from polyarch.serve.service import Service

# Bodies of which fewer bytes are still to come are left to aiohttp, which keeps their connections open.
_LEAST = 1 << 20
# Bytes for which a thread is woken.
_WORTH = 16 << 10
# Bytes that are handed on at once, in a buffer of each thread.
_BUFFER = 512 << 10
# Bytes after which another upload gets the thread.
_TURN = 16 << 20
_TAKEN = web.RequestKey("taken", bool)
_BUFFERS = threading.local()


class DirectBody:
    """The rest of a request's body, of which aiohttp reads nothing more. `first` are the bytes that it has read, and
    `left` more are to come. It owns the descriptor until `read` has ended.
    """

    def __init__(
        self, request: web.Request, transport: asyncio.Transport, first: bytes, left: int, descriptor: int
    ) -> None:
        self._first = first
        self._left = left
        self._request = request
        self._transport = transport
        self._socket = socket.socket(fileno=descriptor)

    async def read(self, service: Service, append: Callable[[memoryview], None]) -> None:
        """Read the rest, and give all to `append` on a thread, which copies what it keeps.

        Raises ConnectionResetError if the client stops before.
        """
        content = self._request.content
        try:
            if self._first:
                await self._run(service, lambda: append(memoryview(self._first)))
            while self._left:
                await self._readable()
                left = self._left
                await self._run(service, lambda: self._turn(append))
                # What ends slow connections looks at this.
                content.total_bytes += left - self._left
        except ConnectionError:
            content.feed_eof()
            raise
        except BaseException:
            # The client still sends. aiohttp throws away what comes, and closes the connection a little later: if it
            # was closed at once, the client would not see why.
            self._transport.resume_reading()
            raise
        finally:
            self._socket.close()
        # aiohttp waits for nothing more.
        content.feed_eof()

    async def _run(self, service: Service, work: Callable[[], None]) -> None:
        """Wait for a thread in any case: it uses the socket, though not for long."""
        turn = service.write(work)
        try:
            await asyncio.shield(turn)
        except asyncio.CancelledError:
            await asyncio.wait([turn])
            raise

    async def _readable(self) -> None:
        # A client that sends byte by byte does not wake a thread for each.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(_WORTH, self._left))
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._socket, ready.set)
        self._request[AWAITED] = True
        try:
            await ready.wait()
        finally:
            self._request[AWAITED] = False
            loop.remove_reader(self._socket)

    def _turn(self, append: Callable[[memoryview], None]) -> None:
        """Read what is there, at most `_TURN` bytes."""
        until = max(self._left - _TURN, 0)
        while self._left > until and (part := self._fill()):
            append(part)

    def _fill(self) -> memoryview:
        """The bytes that can be read now, at most a buffer."""
        buffer: memoryview | None = getattr(_BUFFERS, "view", None)
        if buffer is None:
            buffer = _BUFFERS.view = memoryview(bytearray(_BUFFER))
        size, most = 0, min(_BUFFER, self._left)
        with contextlib.suppress(BlockingIOError):
            while size < most:
                read = self._socket.recv_into(buffer[size:most])
                if not read:
                    raise ConnectionResetError("the client is gone")
                size += read
        self._left -= size
        return buffer[:size]


def take(request: web.Request) -> DirectBody | None:
    """The body of a request if it is large and comes as it is over a socket; None for any other."""
    transport, length, content = request.transport, request.content_length, request.content
    if not isinstance(transport, asyncio.Transport) or transport.get_extra_info("sslcontext") is not None:
        return None
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0 or content.exception() is not None:
        return None
    if length is None or length - content.total_bytes < _LEAST:
        return None
    # Reading lets the parser go on with what it has, until it has nothing. There is no `await` before the pause, so
    # nothing more arrives at the parser.
    first = b"".join(iter(content.read_nowait, b""))
    transport.pause_reading()
    request.protocol.close()
    request[_TAKEN] = True
    return DirectBody(request, transport, first, length - content.total_bytes, os.dup(found.fileno()))


def is_taken(request: web.Request) -> bool:
    """Whether the body was read in this way, so that the connection must be closed."""
    return _TAKEN in request
