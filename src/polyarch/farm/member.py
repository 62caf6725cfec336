"""A member of a farm: what its worker process calls. The steps are done in a child process, which is kept.

`configure` comes first, once a process. Then `perform` does the step of a ticket: plain Python, which any scheduler may
call by its name.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection

import msgspec

from polyarch.builder.remote import StepFailure, StepReport, StepResult, encode
from polyarch.errors import UsageError
from polyarch.farm import children
from polyarch.farm.child import Cancel, Perform
from polyarch.farm.messages import Ticket
from polyarch.farm.settings import MemberSettings

# How long the process may take to end what runs, in seconds.
_GRACE = 2.0
# After a silence, the seconds in which it must say something: this process may have stood still as well.
_LAST_CHANCE = 5.0

_lock = threading.Lock()
_settings: MemberSettings | None = None
_process: "MemberProcess | None" = None


class MemberProcess:
    """The process that does steps, one after the other. It owns it, until `close`."""

    def __init__(self, settings: MemberSettings) -> None:
        self._settings = settings
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from polyarch.farm.child import main; main({theirs.fileno()})"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._connection = Connection(ours.detach())
        self._performing = threading.Lock()
        self._sending = threading.Lock()
        self._send(msgspec.msgpack.encode(settings))

    @property
    def is_alive(self) -> bool:
        """Whether it can do another step."""
        return self._process.poll() is None

    def perform(self, ticket: Ticket, *, only_known: bool = False) -> bytes:
        """The encoded `StepResult` of a step. With `only_known`, nothing is run for it."""
        with self._performing:
            try:
                self._send(msgspec.msgpack.encode(Perform(ticket, only_known)))
                while self._connection.poll(self._settings.silence) or self._connection.poll(_LAST_CHANCE):
                    # While it does a step, it sends nothing from time to time.
                    if result := self._connection.recv_bytes():
                        return result
            except (EOFError, OSError):
                return self._died()
            return self._stands_still()

    def cancel(self, number: int) -> None:
        """End the step with this number, if it is done now."""
        with contextlib.suppress(OSError):
            self._send(msgspec.msgpack.encode(Cancel(number)))

    def close(self) -> None:
        """End what runs, and the process. Safe to call twice."""
        self._connection.close()
        children.ended(self._process, _GRACE)

    def _send(self, message: bytes) -> None:
        with self._sending:
            self._connection.send_bytes(message)

    def _died(self) -> bytes:
        self.close()
        status = self._process.returncode
        reason = f"by signal {-status}" if status < 0 else f"with status {status}"
        hint = "the kernel may have run out of memory: see dmesg there" if status == -9 else ""
        return self._failed(f"the process that did the step ended {reason}", hint)

    def _stands_still(self) -> bytes:
        """End a process that neither works nor ends: it was stopped, or the kernel does not let it run."""
        self._process.kill()
        self.close()
        return self._failed(f"the process that did the step stood still for {self._settings.silence:g} s")

    def _failed(self, message: str, hint: str = "") -> bytes:
        failure = StepFailure(kind="member", message=f"{self._settings.name}: {message}", hint=hint)
        return encode(StepResult(report=StepReport(member=self._settings.name, how="native"), failure=failure))


def configure(settings: MemberSettings) -> None:
    """Set how this process does steps. A process with other settings is ended."""
    global _settings
    with _lock:
        if _settings is not None and _settings != settings:
            _end()
        _settings = settings


def perform(ticket: Ticket) -> bytes:
    """Do the step of a ticket, and return the encoded `StepResult`, which has every failure. One at a time."""
    return _running().perform(ticket)


def recall(ticket: Ticket) -> bytes:
    """The encoded `StepResult` of a ticket whose steps were done before; a failure if one is not known any more."""
    if _settings is None:
        raise UsageError("this process is not a member of a farm yet", "call member.configure first")
    with contextlib.closing(MemberProcess(_settings)) as process:
        return process.perform(ticket, only_known=True)


def warm() -> None:
    """Start the process that does steps, so that the first one need not wait for it."""
    _running()


def cancel(number: int) -> None:
    """End the step with this number, if this member does it. From any thread."""
    process = _process
    if process is not None:
        process.cancel(number)


def close() -> None:
    """End the process. Safe to call twice."""
    with _lock:
        _end()


def _running() -> MemberProcess:
    global _process
    with _lock:
        if _settings is None:
            raise UsageError("this process is not a member of a farm yet", "call member.configure first")
        if _process is None or not _process.is_alive:
            _end()
            _process = MemberProcess(_settings)
        return _process


def _end() -> None:
    global _process
    process, _process = _process, None
    if process is not None:
        process.close()
