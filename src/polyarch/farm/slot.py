"""One worker process of a member: a worker of Dask that does one step at a time.

It is told everything on its standard input, so that no key lies on the disk, and ends when that ends: the process that
started it is gone then. What becomes of it is a line on its standard output.
"""

import asyncio
import contextlib
import signal
import sys
from typing import Any

import msgspec

from polyarch.errors import PolyarchError
from polyarch.farm import children, engine, task
from polyarch.farm.certificates import Bundle
from polyarch.farm.faults import FarmError
from polyarch.farm.plugin import MemberPlugin, metric
from polyarch.farm.values import METRIC, MemberOptions, OfferedPlatform

# The words that a slot says to the process that started it.
JOINED, LOST, REFUSED = "joined", "lost", "refused"
# Seconds in which a worker that could reach the scheduler must have joined it.
_JOIN = 30


class SlotOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker process needs to know. `listen` is where it listens, `contact` how others reach it."""

    scheduler: str
    bundle: Bundle | None
    options: MemberOptions
    offers: tuple[OfferedPlatform, ...]
    number: int
    directory: str
    silence: float
    listen: str = ""
    contact: str = ""


def main() -> None:
    """Be a worker process until the scheduler, the starting process or a signal ends it."""
    head = sys.stdin.buffer.read(children.HEAD)
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(head, "big")), type=SlotOrder)
    engine.configure(order.silence)
    try:
        word = asyncio.run(_serve(order))
    except PolyarchError as error:
        word = f"{REFUSED}\t{error.message}\t{error.hint or ''}"
    _say(word)


def _say(word: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(word.replace("\n", " ") + "\n")
        sys.stdout.flush()


async def _serve(order: SlotOrder) -> str:
    from distributed.worker import Worker

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Blocked reads of standard input cannot be cancelled, so the loop watches it.
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await engine.ask(order.scheduler, engine.security(order.bundle), lambda scheduler: scheduler.identity(n_workers=0))
    options, encode = order.options, msgspec.msgpack.encode
    arguments: dict[str, Any] = {"host": order.listen or _facing(order.scheduler)}
    if order.contact:
        arguments["contact_address"] = order.contact
    worker = Worker(
        order.scheduler,
        nthreads=1,
        name=f"{options.name}#{order.number}",
        security=engine.security(order.bundle),
        metrics={METRIC: metric(options, order.offers, order.bundle, order.directory)},
        resources=task.resources(),
        plugins=(MemberPlugin(encode(options), offers=encode(order.offers)),),
        memory_limit=0,
        local_directory=order.directory,
        death_timeout=_JOIN,
        dashboard_address=engine.HTTP,
        **arguments,
    )
    try:
        await worker
    except Exception as error:
        if "name taken" in f"{error} {error.__cause__}":
            raise FarmError(
                f"the farm {order.scheduler} has a member named {options.name} already", "choose another --name"
            ) from error
        raise engine.unreachable(order.scheduler, error) from error
    _say(JOINED)
    tasks = {asyncio.ensure_future(worker.finished()), asyncio.ensure_future(ended.wait())}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    lost = not ended.is_set()
    task.leave()
    # The loop would run into this for ever at the end of the input.
    loop.remove_reader(sys.stdin.fileno())
    await worker.close(timeout=2, nanny=False)
    return LOST if lost else ""


def _facing(scheduler: str) -> str:
    """The address of this machine that faces the scheduler: a farm on one machine listens on loopback alone."""
    from distributed.utils import get_ip

    host, _, port = scheduler.partition("://")[2].rpartition(":")
    address: str = get_ip(host.strip("[]"), int(port))
    return address
