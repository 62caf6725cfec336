"""The part of a worker process that Dask calls: it makes any worker of Dask a member, and ends steps that are over."""

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from distributed.diagnostics.plugin import WorkerPlugin

from polyarch.farm import children, task
from polyarch.farm.report import offers
from polyarch.farm.values import METRIC, RESOURCE, MemberSettings, Offer

if TYPE_CHECKING:
    from distributed.worker import Worker

# Seconds in which a machine must have found out which platforms it runs.
_PATIENCE = 120


class MemberPlugin(WorkerPlugin):
    """Makes a worker a member. `settings` and `offers` are encoded; without offers, they are found in a child process.

    Dask sends it to workers that a cluster class started, so it holds nothing but plain values.
    """

    name = "polyarch-member"

    def __init__(self, settings: bytes, offers: bytes = b"") -> None:
        self._settings = settings
        self._offers = offers

    async def setup(self, worker: "Worker") -> None:
        """Implements WorkerPlugin: the heartbeats say from now on what this member is."""
        settings = msgspec.msgpack.decode(self._settings, type=MemberSettings)
        if not settings.name:
            settings = msgspec.structs.replace(settings, name=_name(worker))
        if self._offers:
            found = msgspec.msgpack.decode(self._offers, type=tuple[Offer, ...])
        else:
            found = await asyncio.to_thread(_found_elsewhere, settings)
        worker.metrics[METRIC] = metric(settings, found)
        if RESOURCE not in worker.state.total_resources:
            await worker.set_resources(**task.resources())

    def teardown(self, worker: "Worker") -> None:
        """Implements WorkerPlugin: the worker closes, because it was told to or has lost its scheduler."""
        task.leave()

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Implements WorkerPlugin."""
        task.released(key, start, finish)


def metric(settings: MemberSettings, found: tuple[Offer, ...]) -> Any:
    """The function that Dask calls for each heartbeat."""
    report = task.join(settings, found)
    return lambda worker: report.now(getattr(worker, "scheduler_delay", 0.0))


def _name(worker: "Worker") -> str:
    return f"{os.uname().nodename}/{worker.name}"


def _found_elsewhere(settings: MemberSettings) -> tuple[Offer, ...]:
    """The offers, found in a process with a single thread."""
    command = children.command("polyarch.farm.plugin", "answer_offers")
    done = subprocess.run(
        command, input=msgspec.msgpack.encode(settings), capture_output=True, check=False, timeout=_PATIENCE
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return msgspec.msgpack.decode(done.stdout, type=tuple[Offer, ...])


def answer_offers() -> None:
    """Read settings from standard input, and write what this machine offers to standard output."""
    settings = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=MemberSettings)
    sys.stdout.buffer.write(msgspec.msgpack.encode(offers(settings)))
