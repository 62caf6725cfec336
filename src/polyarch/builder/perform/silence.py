"""Noticing that a process has written nothing for long."""

import threading
import time
from collections.abc import Callable
from typing import Self


class Silence:
    """Calls a function once, in a thread of its own, when nothing was heard for `seconds`. Owns the thread until the
    end of the `with` block.
    """

    def __init__(self, seconds: float, tell: Callable[[], None]) -> None:
        self._seconds = seconds
        self._tell = tell
        self._last = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="silence", daemon=True)

    def heard(self) -> None:
        """The process wrote something."""
        self._last = time.monotonic()

    def _wait(self) -> None:
        while (left := self._last + self._seconds - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        if not self._ended.is_set():
            self._tell()

    def __enter__(self) -> Self:
        self.heard()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
