"""The scheduler of a farm: Dask's, with TLS and without its dashboard."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

import msgspec

from polyarch.errors import PolyarchError, UsageError
from polyarch.farm import engine
from polyarch.farm.certificates import Bundle

PORT = 8786


class SchedulerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a scheduler listens. `silence` is after how many seconds a member that says nothing counts as cut off.

    `contact` is the address under which others reach it, if it is another one.
    """

    host: str
    port: int
    bundle: Bundle | None
    silence: float = engine.SILENCE
    contact: str = ""


def settings_of(listen: str, bundle: Bundle | None, silence: float, contact: str = "") -> SchedulerSettings:
    """The settings for `--listen HOST[:PORT]`. Raises UsageError."""
    host, colon, port = listen.rpartition(":")
    if not colon or (host.count(":") and not host.endswith("]")):
        host, port = listen, str(PORT)
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {listen!r} is not HOST:PORT")
    return SchedulerSettings(host=host, port=int(port), bundle=bundle, silence=silence, contact=contact)


def serve(settings: SchedulerSettings, ready: Callable[[str], None], say: Callable[[str], None]) -> None:
    """Be the scheduler until SIGTERM or SIGINT, then raise KeyboardInterrupt. `ready` is called with its address.

    Raises PolyarchError.
    """
    engine.configure(settings.silence, say=say)
    asyncio.run(_serve(settings, ready))
    raise KeyboardInterrupt


async def _serve(settings: SchedulerSettings, ready: Callable[[str], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    with engine.scratch():
        async with opened(settings) as address:
            ready(address)
            await ended.wait()


@contextlib.asynccontextmanager
async def opened(settings: SchedulerSettings):  # type: ignore[no-untyped-def]
    """A running scheduler; yields its address."""
    from distributed.scheduler import Scheduler

    scheme = "tls" if settings.bundle is not None else "tcp"
    try:
        scheduler = await Scheduler(
            host=f"{scheme}://{settings.host}",
            port=settings.port,
            protocol=scheme,
            security=engine.security(settings.bundle),
            contact_address=settings.contact or None,
            dashboard=False,
            dashboard_address=engine.HTTP,
        )
    except (OSError, RuntimeError, ValueError) as error:
        cause = error.__cause__ or error
        reason = cause.strerror if isinstance(cause, OSError) else None
        hint = "another program may use the port; choose another one with --listen HOST:PORT"
        raise PolyarchError(f"cannot listen on {settings.host}:{settings.port}: {reason or cause}", hint) from error
    try:
        yield settings.contact or scheduler.address
    finally:
        await scheduler.close(reason="ended")
