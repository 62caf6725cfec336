"""The solver: every distinct piece of work once, as little of it as possible, in parallel.

It knows vertices only by their ids; what they are, how they are found in a cache and how they are done is the
performer's. The order is: keys for everything, bottom up; then, top down from the targets, what the cache has is
taken and what it has not becomes pending, so the inputs of a cached vertex are never looked at; then the pending
vertices run on a thread pool. Until that last step there is one thread, because the performer may have to enter
a user namespace, which the kernel refuses to a process with more (EINVAL, user_namespaces(7)).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from concurrent.futures import Future
    from contextlib import AbstractContextManager
    from queue import SimpleQueue
    from threading import Semaphore

Key = TypeVar("Key", bound=str)
Viewed = TypeVar("Viewed", bound=str, contravariant=True)
Result = TypeVar("Result")
# Leaves one's place among those at work to another, and takes a place again at the end.
Outside = Callable[[], "AbstractContextManager[None]"]


class Performer(Protocol[Key, Result]):
    """What the solver asks; `Key` is the id of a vertex."""

    def inputs(self, vertex: Key) -> Iterable[Key]:
        """The vertices whose results `vertex` needs."""

    def joins(self, vertex: Key) -> bool:
        """Whether the result is only those of its inputs together: no work, and nothing that anybody is told of."""

    def cache_key(self, vertex: Key, inputs: Mapping[Key, str]) -> str:
        """What finds the result of `vertex` in a later run; equal keys are done once in this one, too."""

    def load(self, vertex: Key, cache_key: str) -> Result | None:
        """The result that the cache has, if it is still whole."""

    def prepare(self, pending: Iterable[Key]) -> None:
        """Called once, before any thread starts, with what will be performed, be it nothing."""

    def perform(self, vertex: Key, cache_key: str, inputs: Mapping[Key, Result], outside: Outside) -> Result:
        """Do the work. Called from several threads. What only waits does so in `with outside():`.

        Raises CancelledError after `cancel`.
        """

    def cancel(self) -> None:
        """Make running performs end soon. Called from any thread, perhaps more than once."""


class FailedError(Exception):
    """The vertices that failed, with their errors, and all that was done."""

    def __init__(self, errors: dict[str, PolyarchError], results: Mapping[Any, object]) -> None:
        super().__init__(f"{len(errors)} vertices failed")
        self.errors = errors
        self.results = results


class Observer(Protocol[Viewed]):
    """Who is told what happens, from any thread."""

    def started(self, vertex: Viewed) -> None: ...
    def waiting(self, vertex: Viewed, *, begins: bool) -> None: ...
    def finished(self, vertex: Viewed, *, cached: bool = False, error: str = "", canceled: bool = False) -> None: ...


def solve(
    targets: Iterable[Key],
    performer: Performer[Key, Result],
    observer: Observer[Key],
    *,
    workers: int = 2,
    keep_going: bool = False,
) -> dict[Key, Result]:
    """The results of the targets, and of all that had to be known for them.

    Raises FailedError with the first failure, after the rest was cancelled; with `keep_going`, after everything that
    does not depend on a failure was done.
    """
    seen = examine(targets, performer, observer, keep_going=keep_going)
    results, pending, errors = seen.results, seen.pending, seen.errors
    for vertex in seen.order:
        if vertex in results and not performer.joins(vertex):
            observer.started(vertex)
            observer.finished(vertex, cached=True)
    performer.prepare(pending)
    if pending:
        errors |= _Run(pending, seen.keys, results, performer, observer, keep_going).run(workers)
    if errors:
        raise FailedError(errors, results)
    return results


class Examined(Generic[Key, Result]):
    """What is known before anything is done: keys, the results that the cache has, and what is left to do.

    `order` has every vertex, inputs first; `errors` those that cannot even have a key.
    """

    def __init__(self, order: list[Key]) -> None:
        self.order = order
        self.keys: dict[Key, str] = {}
        self.results: dict[Key, Result] = {}
        self.pending: list[Key] = []
        self.errors: dict[str, PolyarchError] = {}


def examine(
    targets: Iterable[Key], performer: Performer[Key, Result], observer: Observer[Key], *, keep_going: bool = False
) -> Examined[Key, Result]:
    """Work out the keys of all that the targets need, and ask the cache. Nothing is performed.

    Raises FailedError with the first vertex that can have no key, unless `keep_going`.
    """
    wanted = list(targets)
    seen: Examined[Key, Result] = Examined(topological(wanted, performer.inputs))
    for vertex in seen.order:
        needed = {key: seen.keys[key] for key in performer.inputs(vertex) if key in seen.keys}
        if any(key not in needed for key in performer.inputs(vertex)):
            continue  # what it needs has no key, so neither has it
        try:
            seen.keys[vertex] = performer.cache_key(vertex, needed)
        except PolyarchError as error:
            observer.started(vertex)
            observer.finished(vertex, error=error.message)
            seen.errors[vertex] = error
            if not keep_going:
                raise FailedError(seen.errors, {}) from error
    demanded = set(wanted)
    for vertex in reversed(seen.order):
        if vertex not in demanded or vertex not in seen.keys:
            continue
        cached = performer.load(vertex, seen.keys[vertex])
        if cached is None:
            seen.pending.append(vertex)
            demanded.update(performer.inputs(vertex))
        else:
            seen.results[vertex] = cached
    seen.pending.reverse()
    _join(seen, performer)
    return seen


def _join(seen: Examined[Key, Result], performer: Performer[Key, Result]) -> None:
    """Settle those of the pending that only join results which are there."""
    pending: list[Key] = []
    for vertex in seen.pending:
        needed = tuple(performer.inputs(vertex)) if performer.joins(vertex) else ()
        if needed and all(key in seen.results for key in needed):
            inputs = {key: seen.results[key] for key in needed}
            seen.results[vertex] = performer.perform(vertex, seen.keys[vertex], inputs, nullcontext)
        else:
            pending.append(vertex)
    seen.pending = pending


def topological(targets: list[Key], inputs: Callable[[Key], Iterable[Key]]) -> list[Key]:
    """Every vertex that the targets need, inputs first. Iterative: a stage may be thousands of steps deep."""
    order: dict[Key, None] = {}
    stack = [(target, False) for target in reversed(targets)]
    while stack:
        vertex, expanded = stack.pop()
        if vertex in order:
            continue
        if expanded:
            order[vertex] = None
            continue
        stack.append((vertex, True))
        stack.extend((key, False) for key in reversed(list(inputs(vertex))) if key not in order)
    return list(order)


class _Places(Generic[Result]):
    """The places at work. `news` are the futures that are done, and None when a place is left."""

    def __init__(self, free: Semaphore, news: SimpleQueue[Future[Result] | None]) -> None:
        self.free = free
        self.news = news


class _Run(Generic[Key, Result]):
    """The pending part of one solve; the thread pool is its own, and has ended when `run` returns."""

    def __init__(
        self,
        pending: list[Key],
        keys: Mapping[Key, str],
        results: dict[Key, Result],
        performer: Performer[Key, Result],
        observer: Observer[Key],
        keep_going: bool,
    ) -> None:
        self._pending = pending
        self._keys = keys
        self._results = results
        self._performer = performer
        self._observer = observer
        self._keep_going = keep_going
        self._errors: dict[str, PolyarchError] = {}
        self._firsts: dict[str, Key] = {}
        self._twins: dict[Key, Key] = {}
        # What has begun and was not collected: whether its work is done.
        self._begun: dict[Key, bool] = {}
        # How many results each vertex still needs, who needs each, and what needs none any more.
        self._missing: dict[Key, int] = {}
        self._dependants: dict[Key, list[Key]] = {}
        self._ready: deque[Key] = deque()

    def run(self, workers: int) -> dict[str, PolyarchError]:
        """The errors of those that failed; the results are where the solve has them."""
        from concurrent.futures import ThreadPoolExecutor
        from queue import SimpleQueue
        from threading import Semaphore

        for vertex in self._pending:
            self._wait_for_inputs(vertex)
        places: _Places[Result] = _Places(Semaphore(workers), SimpleQueue())
        running: dict[Future[Result], Key] = {}
        # A thread is made only where none is idle: there are as many as places, and one for each that waits outside.
        pool = ThreadPoolExecutor(len(self._pending), thread_name_prefix="solve")
        try:
            while True:
                while self._may_begin():
                    if self._performer.joins(self._ready[0]):
                        self._join(self._ready.popleft())
                    elif places.free.acquire(blocking=False):
                        vertex = self._ready.popleft()
                        future = pool.submit(self._perform, vertex, places)
                        running[future] = vertex
                        future.add_done_callback(places.news.put)
                    else:
                        break
                if not running:
                    break
                done = places.news.get()
                if done is not None:
                    self._collect(running.pop(done), done)
        except BaseException:
            self._performer.cancel()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            # An interrupt leaves some that nobody collected.
            for vertex, whole in self._begun.items():
                self._observer.finished(vertex, canceled=not whole)
        return self._errors

    def _wait_for_inputs(self, vertex: Key) -> None:
        """Note what a vertex waits for, and that it does."""
        needs = {key for key in self._performer.inputs(vertex) if key not in self._results}
        # Vertices with one cache key are one piece of work: the first does it, the others wait for its result.
        first = self._firsts.setdefault(self._keys[vertex], vertex)
        if first != vertex:
            self._twins[vertex] = first
            needs.add(first)
        self._missing[vertex] = len(needs)
        for key in needs:
            self._dependants.setdefault(key, []).append(vertex)
        if not needs:
            self._ready.append(vertex)

    def _join(self, vertex: Key) -> None:
        inputs = {key: self._results[key] for key in self._performer.inputs(vertex)}
        self._results[vertex] = self._performer.perform(vertex, self._keys[vertex], inputs, nullcontext)
        self._release(vertex)

    def _may_begin(self) -> bool:
        return bool(self._ready) and (not self._errors or self._keep_going)

    def _perform(self, vertex: Key, places: _Places[Result]) -> Result:
        from contextlib import contextmanager

        @contextmanager
        def outside() -> Iterator[None]:
            self._observer.waiting(vertex, begins=True)
            places.free.release()
            places.news.put(None)
            try:
                yield
            finally:
                places.free.acquire()
                self._observer.waiting(vertex, begins=False)

        try:
            self._begun[vertex] = False
            self._observer.started(vertex)
            if vertex in self._twins:
                made = self._results[self._twins[vertex]]
            else:
                inputs = {key: self._results[key] for key in self._performer.inputs(vertex)}
                made = self._performer.perform(vertex, self._keys[vertex], inputs, outside)
            self._begun[vertex] = True
            return made
        finally:
            places.free.release()

    def _collect(self, vertex: Key, future: Future[Result]) -> None:
        error = future.exception()
        self._begun.pop(vertex)
        if error is None:
            self._results[vertex] = future.result()
            self._observer.finished(vertex)
            self._release(vertex)
            return
        if not isinstance(error, PolyarchError):
            raise error
        # What the cancelling itself breaks is no news: the first failure is the one to report.
        if self._errors and not self._keep_going:
            self._observer.finished(vertex, canceled=True)
            return
        self._observer.finished(vertex, error=error.message)
        # What needs it is never ready.
        self._errors[vertex] = error
        if not self._keep_going:
            self._performer.cancel()

    def _release(self, vertex: Key) -> None:
        """Those for whom `vertex` was the last that they waited for are ready."""
        for key in self._dependants.pop(vertex, ()):
            self._missing[key] -= 1
            if not self._missing[key]:
                self._ready.append(key)
