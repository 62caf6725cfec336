"""A member: a process that starts its worker processes, and starts them again when they end.

It does not import Dask, and has one thread.
"""

import contextlib
import selectors
import subprocess
import tempfile
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Self

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.farm import children
from polyarch.farm.certificates import Bundle
from polyarch.farm.faults import FarmError
from polyarch.farm.values import MemberOptions, OfferedPlatform

# Seconds that worker processes get to end their steps.
_GRACE = 4.0
# Seconds between attempts to join again, from the first to the last.
_PAUSE, _LONGEST = 0.5, 15.0


class MemberOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a member is told: which farm it joins, and as what."""

    scheduler: str
    bundle: Bundle | None
    options: MemberOptions
    silence: float
    listen: str = ""
    contact: str = ""


class _WorkerProcess:
    """One worker process. Owns it and its pipes, until `close`."""

    def __init__(self, number: int, start: Callable[[int], "subprocess.Popen[bytes]"]) -> None:
        self.number = number
        self._start = start
        self.process = start(number)
        self.joined = False
        self.pause = _PAUSE

    def again(self) -> None:
        """Start the process again."""
        self.close()
        self.process, self.joined = self._start(self.number), False

    def close(self) -> None:
        """End the process."""
        process = self.process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process.poll() is None:
            process.terminate()
            children.ended(process, _GRACE)


class MemberProcesses:
    """The worker processes of a member, as a context manager, which owns them and their scratch directory."""

    def __init__(self, order: MemberOrder, offers: tuple[OfferedPlatform, ...], say: Callable[[str], None]) -> None:
        self._order = order
        self._offers = offers
        self._say = say
        self._slots: list[_WorkerProcess] = []
        self._resources = contextlib.ExitStack()
        self._directory = ""

    def __enter__(self) -> Self:
        self._directory = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="polyarch-member-"))
        try:
            for number in range(self._order.options.slots):
                slot = _WorkerProcess(number, self._start)
                self._slots.append(slot)
                self._resources.callback(slot.close)
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # All get the signal before the first is waited for.
        for slot in self._slots:
            if slot.process.poll() is None:
                slot.process.terminate()
        self._resources.close()

    def serve(self, ended: int | None = None) -> None:
        """Keep the worker processes running, until the descriptor `ended` can be read. Raises FarmError if refused.

        A scheduler that was reached once may be lost: it is looked for until it is there again.
        """
        with selectors.DefaultSelector() as selector:
            if ended is not None:
                selector.register(ended, selectors.EVENT_READ)
            for slot in self._slots:
                selector.register(_output(slot), selectors.EVENT_READ, slot)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    slot = key.data
                    line = _output(slot).readline().decode(errors="replace").rstrip("\n")
                    if line == "joined":
                        self._joined(slot)
                    elif line.startswith("refused") and not any(one.joined for one in self._slots):
                        _, message, hint = line.split("\t")
                        if slot.pause == _PAUSE:
                            raise FarmError(message, hint or None)
                    elif not line:
                        selector.unregister(_output(slot))
                        self._restart(slot, ended)
                        selector.register(_output(slot), selectors.EVENT_READ, slot)

    def _joined(self, slot: _WorkerProcess) -> None:
        slot.joined, slot.pause = True, _PAUSE
        if all(one.joined for one in self._slots):
            self._say(f"{self._order.options.name} is a member of {self._order.scheduler}")

    def _restart(self, slot: _WorkerProcess, ended: int | None) -> None:
        status = slot.process.wait()
        lost = "has lost the scheduler" if status == 0 else f"ended with status {status}"
        self._say(f"worker process {slot.number} {lost}: it starts again in {slot.pause:.1f} s")
        deadline = time.monotonic() + slot.pause
        with selectors.DefaultSelector() as waiting:
            if ended is not None:
                waiting.register(ended, selectors.EVENT_READ)
            waiting.select(max(0.0, deadline - time.monotonic()))
        slot.pause = min(slot.pause * 2, _LONGEST)
        slot.again()

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        from polyarch.farm.slot import SlotOrder

        order = self._order
        told = SlotOrder(
            scheduler=order.scheduler,
            bundle=order.bundle,
            options=order.options,
            offers=self._offers,
            number=number,
            directory=self._directory,
            silence=order.silence,
            listen=order.listen,
            contact=order.contact,
        )
        try:
            process = subprocess.Popen(
                children.command("polyarch.farm.slot", "main"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                # Ctrl-C is for this process alone, which then ends them.
                start_new_session=True,
            )
        except OSError as error:
            raise PolyarchError(f"cannot start a worker process: {error.strerror}") from error
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(children.framed(msgspec.msgpack.encode(told)))
            process.stdin.flush()
        return process


def _output(slot: _WorkerProcess) -> IO[bytes]:
    assert slot.process.stdout is not None
    return slot.process.stdout


def require_extra() -> None:
    """Raise UnsupportedError unless the libraries of a farm are installed."""
    from importlib.util import find_spec

    if find_spec("distributed") is None or find_spec("cryptography") is None:
        raise UnsupportedError("a farm needs Dask, which is not installed", "pip install 'polyarch[farm]'")
