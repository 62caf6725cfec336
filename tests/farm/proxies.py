"""A TCP proxy of the tests: it carries connections to one address, with a delay, until it is told to drop all."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Proxy:
    """Carries connections from `port` to a place, each direction `delay` seconds late. Used from any thread.

    While `is_cut`, nothing arrives and nothing is closed, as if a cable were pulled out.
    """

    def __init__(self, host: str, port: int, delay: float) -> None:
        self.place = host, port
        self.delay = delay
        self.is_cut = False
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
        server = self._loop.run_until_complete(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.is_cut:
            await asyncio.sleep(0.05)
        try:
            there = await asyncio.open_connection(*self.place)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._carry(reader, there[1]), self._carry(there[0], writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each piece is late by the delay, and not by that of those before it."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def receive() -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    pieces.put_nowait((loop.time() + self.delay, data))
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
