"""A pool of a few threads for network and disk work. The first failure or an interrupt stops the rest."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

_T = TypeVar("_T")
_R = TypeVar("_R")
_QUICK = 0.001


class _CancelledError(Exception):
    """Another item failed first. Never leaves the pool."""


class WorkerPool:
    """Up to `size` threads, started when there is work for two. It ends them at the end of a `with`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._pool: Executor | None = None
        self._stop = threading.Event()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def check(self) -> None:
        """Raises _CancelledError if the work has been stopped."""
        if self._stop.is_set():
            raise _CancelledError

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
        return results + self._spread(function, items[len(results) :])

    def run(self, function: Callable[[_T], None], items: list[_T]) -> None:
        """Apply `function` to the items. Raises the first failure after all have stopped."""
        self._spread(function, items)

    def _spread(self, function: Callable[[_T], _R], items: list[_T]) -> list[_R]:
        if self._size < 2 or len(items) < 2:
            return [function(item) for item in items]
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._size, thread_name_prefix="copy")
        failures: list[BaseException] = []

        def performed(item: _T) -> _R:
            # Stop the rest here: until the waiting thread wakes up, more items would be started.
            try:
                return function(item)
            except _CancelledError:
                raise
            except BaseException as error:
                failures.append(error)
                self._stop.set()
                raise

        futures = [self._pool.submit(performed, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            if failures:
                raise failures[0]
        except BaseException:
            self._stop.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise
        return [future.result() for future in futures]
