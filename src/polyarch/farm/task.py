"""What runs in a worker process: one step at a time, which ends as soon as its result is unwanted.

Dask does not interrupt a task that runs (distributed#4694). It tells plugins, though, that a task was released: because
the command cancelled it, or because the command or the scheduler is gone. Then the step's own process is ended.
"""

import importlib
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from polyarch.errors import PolyarchError
from polyarch.farm.faults import FaultKind, MemberError
from polyarch.farm.report import MemberReport
from polyarch.farm.values import METRIC, RESOURCE, MemberSettings, Offer
from polyarch.version import VERSION

# What performs a step: it gets the encoded step and carrier, the step's id, what this member is, and an event that is
# set when the result is not wanted any more. It returns the encoded result.
Performer = Callable[[bytes, bytes, str, MemberSettings, threading.Event], bytes]


class StepOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A step as it travels to a member. `step` and `carrier` are values of the builder and of the carrier, encoded.

    `digests` are the layers that the step needs.
    """

    id: str
    version: str
    step: bytes
    carrier: bytes
    digests: tuple[str, ...] = ()


class StepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step: an encoded result, or why there is none. `kind` is set if another member may do better.

    `error` is the name of the class of an error of the step itself.
    """

    result: bytes = b""
    message: str = ""
    hint: str = ""
    kind: FaultKind | None = None
    error: str = ""


class _Process:
    """The state of this worker process: what it is, and the step that runs. There is one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: MemberSettings | None = None
        self.report: MemberReport | None = None
        # Whether each step that runs or will run was cancelled, by its key.
        self.running: dict[str, threading.Event] = {}

    def cancel(self, key: str) -> None:
        """End the step, if it runs."""
        with self.lock:
            if key in self.running:
                self.running[key].set()

    def cancel_all(self) -> None:
        """End all steps: the worker closes."""
        with self.lock:
            for event in self.running.values():
                event.set()


_process = _Process()


def key_of(order: str) -> str:
    """The key of a step's task in Dask."""
    return f"polyarch-{order}"


def run(encoded: bytes) -> bytes:
    """Perform a step, and return the encoded `StepAnswer`. Called by Dask in a thread of a member's worker process."""
    ordered = msgspec.msgpack.decode(encoded, type=StepOrder)
    state = _process
    if state.settings is None or state.report is None:
        return _encoded(StepAnswer(message="it is not a member of a farm", kind="machine"))
    if ordered.version != VERSION:
        return _encoded(
            StepAnswer(message=f"it has Polyarch {VERSION}, the command has {ordered.version}", kind="version")
        )
    cancelled = threading.Event()
    with state.lock:
        state.running[key_of(ordered.id)] = cancelled
    state.report.busy = True
    try:
        answer = StepAnswer(result=_perform(ordered, state.settings, cancelled))
        state.report.used(ordered.digests)
    except MemberError as error:
        answer = StepAnswer(message=error.message, hint=error.hint or "", kind=error.kind)
    except PolyarchError as error:
        answer = StepAnswer(message=error.message, hint=error.hint or "", error=type(error).__name__)
    except MemoryError:
        answer = StepAnswer(message="it has no memory left", kind="machine")
    except OSError as error:
        kind: FaultKind = "disk-full" if error.errno in _FULL else "machine"
        answer = StepAnswer(message=str(error), kind=kind)
    finally:
        state.report.busy = False
        state.report.steps += 1
        with state.lock:
            state.running.pop(key_of(ordered.id), None)
    return _encoded(answer)


# ENOSPC and EDQUOT.
_FULL = (28, 122)


def _perform(ordered: StepOrder, settings: MemberSettings, cancelled: threading.Event) -> bytes:
    module, _, name = settings.performer.partition(":")
    perform: Performer = getattr(importlib.import_module(module), name)
    return perform(ordered.step, ordered.carrier, ordered.id, settings, cancelled)


def _encoded(answer: StepAnswer) -> bytes:
    return msgspec.msgpack.encode(answer)


def join(settings: MemberSettings, found: tuple[Offer, ...]) -> MemberReport:
    """Make this process a member's worker process, once. Returns what its heartbeats carry."""
    if _process.report is None:
        _process.settings = settings
        _process.report = MemberReport(settings, found)
    return _process.report


def leave() -> None:
    """End all steps of this process."""
    _process.cancel_all()


def released(key: Any, start: str, finish: str) -> None:
    """Take note that Dask changed the state of a task."""
    if start == "executing" and finish in ("released", "cancelled", "forgotten"):
        _process.cancel(str(key))


def resources() -> dict[str, float]:
    """What a worker process offers Dask: one step at a time, however many threads it has."""
    return {RESOURCE: 1}


def metric() -> str:
    """The name under which heartbeats carry the state of a member."""
    return METRIC
