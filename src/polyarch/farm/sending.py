"""Sending the results of steps while the next steps run."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from polyarch.builder.remote import RemoteStep, StepReport, StepResult
from polyarch.contents.layer import Layer


class MadeLayer(msgspec.Struct, frozen=True):
    """What a step made: the number of the step in its ticket, the step, its layer, and how it ran."""

    number: int
    step: RemoteStep
    layer: Layer
    report: StepReport


class ResultSender:
    """Packs and sends layers in a thread, in their order, as a context manager which owns the thread.

    `send` does it for one layer. After the first that fails, nothing more is sent, and `failed` is called.
    """

    def __init__(self, send: Callable[[MadeLayer], StepResult], failed: Callable[[], None]) -> None:
        self._send = send
        self._failed = failed
        self._made: queue.SimpleQueue[MadeLayer | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._join()

    def add(self, made: MadeLayer) -> None:
        """Send a layer soon. Raises what sending an earlier one raised."""
        self._raise()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="polyarch-results", daemon=True)
            self._thread.start()
        self._made.put(made)

    def finish(self) -> None:
        """Wait until all are sent. Raises what sending one raised."""
        self._join()
        self._raise()

    def _join(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._made.put(None)
            thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (made := self._made.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._send(made)
            except BaseException as error:  # raised again by `add` or `finish`
                self._error = error
                self._failed()
