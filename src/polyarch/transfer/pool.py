"""A pool of a few threads for network and disk work. The first failure or an interrupt stops the rest."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from polyarch.errors import CancelledError

_T = TypeVar("_T")
_R = TypeVar("_R")
_QUICK = 0.001


class _CancelledError(Exception):
    """Another item failed first. Never leaves the pool."""


class WorkerPool:
    """Up to `size` threads for each call, started when there is work for two. A call returns when they have ended.

    They are threads of their own and no executor, whose module imports logging: 8 ms of each transfer.

    `stopped` tells whether the caller no longer wants the work.
    """

    def __init__(self, size: int, stopped: Callable[[], bool] | None = None) -> None:
        self._size = size
        self._stopped = stopped
        self._stop = threading.Event()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def check(self) -> None:
        """Raises _CancelledError if the work has been stopped, CancelledError if the caller no longer wants it."""
        if self._stop.is_set():
            raise _CancelledError
        if self._stopped is not None and self._stopped():
            raise CancelledError

    def map(self, function: Callable[[_T], _R], items: list[_T]) -> list[_R]:
        """Apply `function` to the items. Returns the results in order; raises the first failure after all have stopped.

        Items are processed one after the other as long as that is fast: for a few reads of a local file, starting
        threads would take longer than the reads.
        """
        results: list[_R] = []
        while len(results) < len(items):
            started = time.monotonic()
            results.append(function(items[len(results)]))
            if time.monotonic() - started > _QUICK:
                break
        return results + self.spread(function, items[len(results) :])

    def run(
        self, function: Callable[[_T], None], items: list[_T], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Apply `function` to the items at the same time. Raises the first failure after all have stopped. The caller,
        who has to wait, does `meanwhile`.
        """
        self.spread(function, items, meanwhile)

    def spread(
        self, function: Callable[[_T], _R], items: list[_T], meanwhile: Callable[[], None] = lambda: None
    ) -> list[_R]:
        """The same with the results, in order."""
        if self._size < 2 or len(items) < 2:
            done = [function(item) for item in items]
            meanwhile()
            return done
        results: dict[int, _R] = {}
        failures: list[BaseException] = []
        waiting = enumerate(items)
        taking = threading.Lock()

        def work() -> None:
            while not self._stop.is_set():
                with taking:
                    number, item = next(waiting, (-1, None))
                if number < 0:
                    return
                try:
                    results[number] = function(item)  # type: ignore[arg-type]
                except _CancelledError:
                    return
                except BaseException as error:
                    # Stop the rest here: until the waiting thread wakes up, more items would be started.
                    failures.append(error)
                    self._stop.set()

        threads: list[threading.Thread] = []
        try:
            for number in range(min(self._size, len(items))):
                threads.append(threading.Thread(target=work, name=f"copy-{number}"))
                threads[-1].start()
            # If it uses this pool, it notices that an item has failed.
            with contextlib.suppress(_CancelledError):
                meanwhile()
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        if failures:
            raise failures[0]
        self.check()
        return [results[number] for number in range(len(items))]
