"""A TCP proxy of the tests: it carries connections to one address, with a delay, until it is told to drop all."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Proxy:
    """Carries connections from `port` to a place, each direction `delay` seconds late. Used from any thread.

    A new connection takes a round trip, as SYN and its answer do, before its first bytes go. While `is_cut`, nothing
    arrives and nothing is closed, as if a cable were pulled out.

    `listener` is a socket that is bound already, and `made` makes the sockets that connect to the place: they may
    belong to other network namespaces than this process.
    """

    def __init__(
        self,
        host: str,
        port: int,
        delay: float,
        *,
        listener: socket.socket | None = None,
        made: Callable[[], socket.socket] = socket.socket,
    ) -> None:
        self.place = host, port
        self.delay = delay
        self._listener = listener
        self._made = made
        self.is_cut = False
        self.connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listener = self._listener or socket.create_server(("127.0.0.1", 0))
        server = self._loop.run_until_complete(asyncio.start_server(self._accepted, sock=listener))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.is_cut:
            await asyncio.sleep(0.05)
        began, end = asyncio.get_running_loop().time(), self._made()
        try:
            end.setblocking(False)
            await asyncio.get_running_loop().sock_connect(end, self.place)
            there = await asyncio.open_connection(sock=end)
        except OSError:
            end.close()
            writer.close()
            return
        await asyncio.gather(
            self._carry(reader, there[1], began + 2 * self.delay), self._carry(there[0], writer, began)
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, earliest: float) -> None:
        """Each piece is late by the delay, and not by that of those before it; no piece is sent before `earliest`."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def receive() -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    pieces.put_nowait((max(loop.time(), earliest) + self.delay, data))
            pieces.put_nowait((loop.time() + self.delay, b""))

        receiving = asyncio.ensure_future(receive())
        try:
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                while self.is_cut:
                    await asyncio.sleep(0.05)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            receiving.cancel()
            writer.close()


@contextlib.contextmanager
def proxy(port: int, *, host: str = "127.0.0.1", delay: float = 0.0) -> Iterator[Proxy]:
    """A proxy on loopback to a port."""
    opened = Proxy(host, port, delay)
    try:
        yield opened
    finally:
        opened.close()
