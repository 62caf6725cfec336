"""PageResults that take long to compute, remembered in memory by the digests of what they are about."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")
_MOST = 256


class PageResults:
    """A cache of results, safe from many threads. The least recently used are forgotten. It owns only locks.

    `work` computes at most `parallel` results at a time, and equal ones once, so that readers who all look at the same
    image, or at many images, cannot keep a server from its work.
    """

    def __init__(self, most: int = _MOST, parallel: int = 1) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, object] = OrderedDict()
        self._mutex = threading.Lock()
        self._busy: dict[Hashable, threading.Lock] = {}
        self._slots = threading.BoundedSemaphore(parallel)

    def known(self, key: Hashable, kind: type[T]) -> T | None:
        """The result of a key, if it is known."""
        with self._mutex:
            if key not in self._known:
                return None
            self._known.move_to_end(key)
            return cast(T, self._known[key])

    def work(self, key: Hashable, kind: type[T], compute: Callable[[], T]) -> T:
        """The result of a key, computed if it is not known. An error of `compute` is raised and not remembered."""
        found = self.known(key, kind)
        if found is not None:
            return found
        with self._mutex:
            lock = self._busy.setdefault(key, threading.Lock())
        with lock:
            found = self.known(key, kind)
            if found is None:
                try:
                    with self._slots:
                        found = compute()
                    self._remember(key, found)
                finally:
                    with self._mutex:
                        self._busy.pop(key, None)
        return found

    def _remember(self, key: Hashable, value: object) -> None:
        with self._mutex:
            self._known[key] = value
            while len(self._known) > self._most:
                self._known.popitem(last=False)
