"""What runs in a worker process: one step at a time, which ends as soon as its result is unwanted.

Dask does not interrupt a task that runs (distributed#4694). It tells plugins, though, that a task was released: because
the command cancelled it, or because the command or the scheduler is gone. Then the step's own process is ended.
"""

import asyncio
import contextlib
import importlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from polyarch.builder.remote import StepFailure, StepReport, StepResult, decode, encode
from polyarch.farm.certificate_files import FarmTLS
from polyarch.farm.certificates import Bundle
from polyarch.farm.messages import Ticket
from polyarch.farm.report import MemberReport
from polyarch.farm.settings import MemberSettings
from polyarch.farm.values import RESOURCE, MemberOptions, OfferedPlatform
from polyarch.version import VERSION

# Seconds without a step after which the process of a build's steps is replaced.
_IDLE = 3.0
_KEY = "polyarch-"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A step for a member, as it passes the scheduler: the ticket with which it is fetched, and what is told of it.

    `version` is the command's. `digests` are the layers that the step needs.
    """

    id: str
    version: str
    ticket: Ticket
    digests: tuple[str, ...] = ()


class StepPerformer(Protocol):
    """What performs steps: `polyarch.farm.member`, which has these functions."""

    configure: Callable[[MemberSettings], None]
    warm: Callable[[], None]
    perform: Callable[[Ticket], bytes]
    recall: Callable[[Ticket], bytes]
    cancel: Callable[[int], None]
    close: Callable[[], None]


class _Process:
    """What this worker process is, and the step that it does. There is one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.recalling = threading.Lock()
        self.name = ""
        self.performer: StepPerformer | None = None
        self.report: MemberReport | None = None
        # The ticket that is performed, by the key of its task; and the tasks that were cancelled before they began.
        self.running: dict[str, Ticket] = {}
        # The command whose steps the process has done.
        self.tenant: tuple[str, int] | None = None
        self.files = contextlib.ExitStack()


_process = _Process()


def key_of(assignment: str) -> str:
    """The key of a step's task in Dask."""
    return _KEY + assignment


def run(encoded: bytes) -> bytes:
    """Perform a step, and return the encoded `StepResult`. Called by Dask in a thread of a member's worker process."""
    assignment = msgspec.msgpack.decode(encoded, type=Assignment)
    state, ticket = _process, assignment.ticket
    performer, report = state.performer, state.report
    if performer is None or report is None:
        return _unable("this worker process is not a member of a farm")
    if assignment.version != VERSION:
        return _unable(f"{state.name} has Polyarch {VERSION}, the command has {assignment.version}")
    key = key_of(assignment.id)
    with state.lock:
        if state.running:
            return _unable(f"{state.name} does another step already")
        state.running[key] = ticket
    report.begins()
    begun = 1
    try:
        # A process serves one command: what it holds of another is gone before the next begins.
        if state.tenant not in (None, (ticket.host, ticket.port)):
            performer.close()
        state.tenant = (ticket.host, ticket.port)
        result = performer.perform(ticket)
        report.used(assignment.digests)
        begun = decode(result, StepResult).begun
        return result
    finally:
        report.ends(begun)
        with state.lock:
            del state.running[key]


async def recall(encoded: bytes) -> bytes:
    """The encoded `StepResult` of steps that this member has done before; it has a failure if one is not there.

    Called by Dask beside a step that runs. A process of its own does it, as a process serves one command.
    """
    assignment = msgspec.msgpack.decode(encoded, type=Assignment)
    return await asyncio.to_thread(_recall, assignment)


def _recall(assignment: Assignment) -> bytes:
    performer = _process.performer
    if performer is None or assignment.version != VERSION:
        return _unable("this worker process is not a member of a farm, or of another version")
    with _process.recalling:
        return performer.recall(assignment.ticket)


def is_stale() -> bool:
    """Whether the process of a build's steps is there, and no step has come for a while."""
    return _process.tenant is not None and _process.report is not None and _process.report.idle >= _IDLE


def tidy() -> None:
    """Replace the process of a build's steps by a new one, if it is stale."""
    state = _process
    with state.lock:
        if state.running or not is_stale() or state.performer is None:
            return
        state.tenant = None
    state.performer.close()
    state.performer.warm()


def join(
    options: MemberOptions, found: tuple[OfferedPlatform, ...], bundle: Bundle | None, directory: str
) -> MemberReport:
    """Make this process a member's worker process, once. Returns what its heartbeats carry.

    The certificates are written to a directory below `directory`, which is removed by `leave`.
    """
    state = _process
    if state.report is None:
        tls = None if bundle is None else written(bundle, state.files, directory)
        performer = cast(StepPerformer, importlib.import_module(options.performer))
        performer.configure(
            MemberSettings(
                root=options.root,
                name=options.name,
                search_path=options.search_path,
                emulators=options.emulators,
                workers=max(1, (os.cpu_count() or 1) // options.slots),
                tls=tls,
                silence=options.silence,
            )
        )
        performer.warm()
        state.name, state.performer, state.report = options.name, performer, MemberReport(options, found)
    return state.report


def leave() -> None:
    """End the step of this process, and remove its files."""
    if _process.performer is not None:
        _process.performer.close()
    _process.files.close()


def released(key: Any, start: str, finish: str) -> None:
    """Take note that Dask changed the state of a task."""
    if start == "executing" and finish in ("released", "cancelled", "forgotten"):
        with _process.lock:
            ticket = _process.running.get(str(key))
        if ticket is not None and _process.performer is not None:
            _process.performer.cancel(ticket.number)


def resources() -> dict[str, float]:
    """What a worker process offers Dask: one step at a time, however many threads it has."""
    return {RESOURCE: 1}


def _unable(message: str) -> bytes:
    """The result of a step that this process cannot do, and another one may."""
    report = StepReport(member=_process.name or os.uname().nodename, how="native")
    return encode(StepResult(report=report, failure=StepFailure(kind="member", message=message)))


def written(bundle: Bundle, owner: contextlib.ExitStack, directory: str) -> FarmTLS:
    """The parts of a bundle as files in a new directory below `directory`, which `owner` removes."""
    place = Path(owner.enter_context(tempfile.TemporaryDirectory(prefix="polyarch-", dir=directory or None)))
    paths = []
    for name, text in (("ca", bundle.authority), ("certificate", bundle.certificate), ("key", bundle.key)):
        path = place / f"{name}.pem"
        path.touch(0o600)
        path.write_text(text, "ascii")
        paths.append(str(path))
    return FarmTLS(*paths)
