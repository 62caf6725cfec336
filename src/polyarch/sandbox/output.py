"""Passing the output of a process to a sink."""

import os
import threading
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from polyarch.sandbox import runtime

if TYPE_CHECKING:
    import subprocess

_READ_SIZE = 1 << 16
Sink = Callable[[bytes], None] | int | None


class Reader(threading.Thread):
    """A thread that passes all data from a pipe to a sink. Owns the pipe. If the sink raises, the child is killed."""

    def __init__(self, pipe: IO[bytes], sink: Callable[[bytes], None], child: "subprocess.Popen[bytes]") -> None:
        super().__init__(name="polyarch-output", daemon=True)
        self.failure: BaseException | None = None
        self._pipe = pipe
        self._sink = sink
        self._child = child
        self.start()

    def run(self) -> None:
        """Read until the end of the pipe. An exception of the sink is stored in `failure`."""
        with self._pipe as pipe:
            try:
                while data := os.read(pipe.fileno(), _READ_SIZE):
                    self._sink(data)
            except BaseException as failure:
                # Sandbox.run raises it again, in the thread that called it.
                self.failure = failure
                runtime.kill(self._child)
