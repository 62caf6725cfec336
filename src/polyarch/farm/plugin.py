"""The part of a worker process that Dask calls: it makes any worker of Dask a member, and ends steps that are over."""

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from distributed.diagnostics.plugin import WorkerPlugin

from polyarch.farm import children, task
from polyarch.farm.certificates import Bundle
from polyarch.farm.report import offers
from polyarch.farm.values import METRIC, RESOURCE, MemberOptions, OfferedPlatform

if TYPE_CHECKING:
    from distributed.worker import Worker

# Seconds in which a machine must have found out which platforms it runs.
_PATIENCE = 120


class MemberPlugin(WorkerPlugin):
    """Makes a worker a member. Its arguments are encoded: `MemberOptions`, a `Bundle`, and offers, which a child
    process finds without them.

    Dask sends it to workers that a cluster class started, so it holds nothing but plain values.
    """

    name = "polyarch-member"

    def __init__(self, options: bytes, bundle: bytes = b"", offers: bytes = b"") -> None:
        self._options = options
        self._bundle = bundle
        self._offers = offers

    def __repr__(self) -> str:
        return "MemberPlugin()"

    async def setup(self, worker: "Worker") -> None:
        """Implements WorkerPlugin: the heartbeats say from now on what this member is."""
        if os.getpgrp() != os.getpid():
            # Ctrl-C is for the command that started the cluster, which then ends this process.
            os.setpgid(0, 0)
        options = msgspec.msgpack.decode(self._options, type=MemberOptions)
        if not options.name:
            options = msgspec.structs.replace(options, name=_name(worker))
        bundle = msgspec.msgpack.decode(self._bundle, type=Bundle) if self._bundle else None
        if self._offers:
            found = msgspec.msgpack.decode(self._offers, type=tuple[OfferedPlatform, ...])
        else:
            found = await asyncio.to_thread(_found_elsewhere, options)
        worker.metrics[METRIC] = metric(options, found, bundle, worker.local_directory)
        if RESOURCE not in worker.state.total_resources:
            await worker.set_resources(**task.resources())

    def teardown(self, worker: "Worker") -> None:
        """Implements WorkerPlugin: the worker closes, because it was told to or has lost its scheduler."""
        task.leave()

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Implements WorkerPlugin."""
        task.released(key, start, finish)


def metric(options: MemberOptions, found: tuple[OfferedPlatform, ...], bundle: Bundle | None, directory: str) -> Any:
    """Make this process a member's. Returns the function that Dask calls for each heartbeat."""
    report = task.join(options, found, bundle, directory)

    def heartbeat(worker: "Worker") -> dict[str, Any]:
        if task.is_stale():
            asyncio.get_running_loop().run_in_executor(None, task.tidy)
        return report.now(getattr(worker, "scheduler_delay", 0.0))

    return heartbeat


def _name(worker: "Worker") -> str:
    return f"{os.uname().nodename}/{worker.name}"


def _found_elsewhere(options: MemberOptions) -> tuple[OfferedPlatform, ...]:
    """The offers, found in a process with a single thread."""
    command = children.command("polyarch.farm.plugin", "answer_offers")
    done = subprocess.run(
        command, input=msgspec.msgpack.encode(options), capture_output=True, check=False, timeout=_PATIENCE
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return msgspec.msgpack.decode(done.stdout, type=tuple[OfferedPlatform, ...])


def answer_offers() -> None:
    """Read options from standard input, and write what this machine offers to standard output."""
    options = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=MemberOptions)
    sys.stdout.buffer.write(msgspec.msgpack.encode(offers(options)))
