"""Running a server: sockets, threads, the store, and the end of all."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from polyarch.errors import PolyarchError
from polyarch.serve import handler
from polyarch.serve.accepting import ListeningSocket
from polyarch.serve.app import make_app
from polyarch.serve.mirror import PullThrough
from polyarch.serve.protection import Protection
from polyarch.serve.service import Service
from polyarch.serve.settings import ServeSettings
from polyarch.serve.surroundings import ServeSurroundings
from polyarch.serve.upstream import MirrorSessions
from polyarch.store import Store

# Seconds that transfers have to finish when the server is stopped.
_GRACE = 5.0
_BACKLOG = 1024
_LOGGER = logging.getLogger(__name__)
# What aiohttp logs are mistakes of clients, with tracebacks; what fails here is reported where it fails.
_HTTP_LOGGER = logging.getLogger(f"{__name__}.http")
_HTTP_LOGGER.setLevel(logging.CRITICAL + 1)


class Listening(msgspec.Struct, frozen=True):
    """A server that accepts requests: its address (`127.0.0.1:5000`), what clients call it (`registry.example:5000`),
    `http` or `https`, and lines for a person.
    """

    address: str
    authority: str
    scheme: str
    advice: tuple[str, ...] = ()


def serve(
    store: Store, settings: ServeSettings, surroundings: ServeSurroundings, started: Callable[[Listening], None]
) -> None:
    """Serve `store` until SIGINT or SIGTERM, then raise KeyboardInterrupt. For the main thread.

    `started` is called when requests are accepted. Raises UsageError if the settings need more protection, and
    PolyarchError if an address or a file cannot be used.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _allow_connections()

    async def until_signal() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in before:
            loop.add_signal_handler(number, stopped.set)
        await _serve(store, settings, surroundings, started, stopped)

    try:
        asyncio.run(until_signal())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    raise KeyboardInterrupt


@contextlib.contextmanager
def running(
    root: Path | str, settings: ServeSettings | None = None, surroundings: ServeSurroundings | None = None
) -> Iterator[str]:
    """A server of the store at `root` on a thread of this process, for `with`: yields its address, `127.0.0.1:PORT`.

    Without settings, a free port is chosen. Raises PolyarchError if it cannot start.
    """
    chosen, given = (
        settings or ServeSettings(port=0),
        surroundings or ServeSurroundings(now=time.monotonic, report=log_error),
    )
    with Store.open(root) as store:
        ready, addresses, failures = threading.Event(), list[str](), list[BaseException]()
        stops: list[Callable[[], object]] = []

        def started(what: Listening) -> None:
            addresses.append(what.address)
            ready.set()

        async def until_stopped() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            stops.append(lambda: loop.call_soon_threadsafe(stopped.set))
            await _serve(store, chosen, given, started, stopped)

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


def log_error(error: Exception) -> None:
    """For `ServeSurroundings.report`: write an error to the log of the program that runs the server."""
    _LOGGER.error("an error of the server", exc_info=error)


async def _serve(
    store: Store,
    settings: ServeSettings,
    surroundings: ServeSurroundings,
    started: Callable[[Listening], None],
    stopped: asyncio.Event,
) -> None:
    async with contextlib.AsyncExitStack() as exits:
        protected = Protection(store.layout.root, settings, surroundings)
        exits.callback(protected.close)
        mirror = _mirror(settings, surroundings)
        if mirror is not None:
            exits.push_async_callback(mirror.close)
        service = Service(store, settings, surroundings.report, protected.guard, mirror)
        exits.callback(service.close)
        house = asyncio.create_task(service.keep_house())
        exits.callback(house.cancel)
        options = handler.protocol_options(protected.limits) | {"logger": _HTTP_LOGGER}
        app = make_app(service, protected.watch, surroundings.now, surroundings.log)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_GRACE, **options)
        exits.push_async_callback(runner.cleanup)
        await runner.setup()
        assert runner.server is not None
        factory = handler.factory(runner.server, protected.watch, options)
        exits.callback(asyncio.create_task(protected.run()).cancel)
        sockets = _bound(settings, protected)
        times: dict[str, Any] = {}
        if protected.context is not None:
            times = {"ssl_handshake_timeout": protected.limits.handshake, "ssl_shutdown_timeout": handler.SHUTDOWN}
        for one in sockets:
            listening = await asyncio.get_running_loop().create_server(
                factory, sock=one, backlog=_BACKLOG, ssl=protected.context, **times
            )
            exits.callback(listening.close)
        address = _shown(sockets[0])
        started(Listening(address, protected.authority(address), protected.scheme, protected.advice(address)))
        await stopped.wait()


def _mirror(settings: ServeSettings, surroundings: ServeSurroundings) -> PullThrough | None:
    """The mirror of the registries in the settings. Raises UsageError for what is not a host."""
    if not settings.mirrors:
        return None
    open_registry, open_store = surroundings.open_registry, surroundings.open_store
    assert open_registry is not None
    assert open_store is not None
    agent = f"mirror/{os.urandom(8).hex()}"
    sessions = MirrorSessions(lambda: open_registry(agent), open_store)
    return PullThrough(settings.mirrors, agent, sessions, surroundings.now, surroundings.report)


def _bound(settings: ServeSettings, protected: Protection) -> list[socket.socket]:
    """Sockets of all addresses, on one port. Raises PolyarchError."""
    sockets: list[socket.socket] = []
    port, accepted = settings.port, protected.limits.accepted()
    try:
        for address in protected.addresses:
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            try:
                made = ListeningSocket(family, socket.SOCK_STREAM)
            except OSError:
                continue  # a machine without IPv6
            made.tally = accepted
            sockets.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((str(address), port))
            port = made.getsockname()[1]
    except OSError as error:
        for opened in sockets:
            opened.close()
        reason = "another program may use the port"
        if isinstance(error, PermissionError):
            reason = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        raise PolyarchError(
            f"cannot listen on {settings.listen}:{settings.port}: {error.strerror}",
            f"{reason}; choose another one with --listen HOST:PORT",
        ) from error
    return sockets


def _shown(made: socket.socket) -> str:
    host, port = made.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
