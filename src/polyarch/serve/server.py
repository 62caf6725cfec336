"""Running a server: sockets, threads, the store, and the end of all."""

import asyncio
import contextlib
import logging
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from aiohttp import web

from polyarch.errors import PolyarchError
from polyarch.serve.app import make_app
from polyarch.serve.service import Report, Service
from polyarch.serve.settings import ServeSettings
from polyarch.store import Store

# Seconds that transfers have to finish when the server is stopped.
_GRACE = 5.0
# Seconds that an idle connection is kept.
_KEEP_ALIVE = 75.0
_BACKLOG = 1024
_LOGGER = logging.getLogger(__name__)
# What aiohttp logs are mistakes of clients, with tracebacks; what fails here is reported where it fails.
_HTTP_LOGGER = logging.getLogger(f"{__name__}.http")
_HTTP_LOGGER.setLevel(logging.CRITICAL + 1)


def serve(store: Store, settings: ServeSettings, started: Callable[[str], None], report: Report) -> None:
    """Serve `store` until SIGINT or SIGTERM, then raise KeyboardInterrupt. For the main thread.

    `started` is called with the address (`127.0.0.1:5000`) when requests are accepted, `report` with errors that are
    not the client's. Raises PolyarchError if the address cannot be used.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _allow_connections()

    async def until_signal() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in before:
            loop.add_signal_handler(number, stopped.set)
        await _serve(store, settings, started, stopped, report)

    try:
        asyncio.run(until_signal())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    raise KeyboardInterrupt


@contextlib.contextmanager
def running(root: Path | str, settings: ServeSettings | None = None) -> Iterator[str]:
    """A server of the store at `root` on a thread of this process, for `with`: yields its address, `127.0.0.1:PORT`.

    Without settings, a free port is chosen. Raises PolyarchError if it cannot start.
    """
    chosen = settings or ServeSettings(port=0)
    with Store.open(root) as store:
        ready, addresses, failures = threading.Event(), list[str](), list[BaseException]()
        stops: list[Callable[[], object]] = []

        def started(address: str) -> None:
            addresses.append(address)
            ready.set()

        async def until_stopped() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            stops.append(lambda: loop.call_soon_threadsafe(stopped.set))
            await _serve(store, chosen, started, stopped, _log)

        def run() -> None:
            try:
                asyncio.run(until_stopped())
            except BaseException as error:
                failures.append(error)
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="serve")
        thread.start()
        try:
            ready.wait()
            if failures:
                raise failures[0]
            yield addresses[0]
        finally:
            for stop in stops:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    stop()
            thread.join()


def _allow_connections() -> None:
    """Let this process open as many files as it may. A pull needs two, its connection and its blob, and most machines
    allow 1,024 unless a process asks for more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log(error: Exception) -> None:
    _LOGGER.error("an error of the server", exc_info=error)


async def _serve(
    store: Store, settings: ServeSettings, started: Callable[[str], None], stopped: asyncio.Event, report: Report
) -> None:
    service = Service(store, settings, report)
    house = asyncio.create_task(service.keep_house())
    runner = web.AppRunner(
        make_app(service),
        access_log=None,
        logger=_HTTP_LOGGER,
        handle_signals=False,
        keepalive_timeout=_KEEP_ALIVE,
        shutdown_timeout=_GRACE,
    )
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.listen, settings.port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise PolyarchError(
                f"cannot listen on {settings.listen}:{settings.port}: {error.strerror}",
                "another program may use the port; choose another one with --listen HOST:PORT",
            ) from error
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        started(f"{host}:{address[1]}")
        await stopped.wait()
    finally:
        house.cancel()
        await runner.cleanup()
        service.close()
