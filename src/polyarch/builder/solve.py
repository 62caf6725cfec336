"""The solver: does every distinct piece of work once, as little as possible, in parallel.

It knows vertices by their ids only. What they are, how they are found in a cache and how they are done is up to the
performer. First every vertex gets a key, inputs first. Then, from the targets down, a vertex is loaded from the cache
or becomes pending; the inputs of a cached vertex are not loaded. Then the pending vertices run on threads. Until
that step there is one thread, because the performer may have to enter a user namespace, which the kernel refuses to a
process with several (EINVAL, user_namespaces(7)).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from queue import SimpleQueue
    from threading import Semaphore

Key = TypeVar("Key", bound=str)
Viewed = TypeVar("Viewed", bound=str, contravariant=True)
Result = TypeVar("Result")
Done = TypeVar("Done")
# Frees the worker's place for other work, and takes a place again at the end.
Outside = Callable[[], "AbstractContextManager[None]"]


class Performer(Protocol[Key, Result]):
    """Does the work for the solver; `Key` is the id of a vertex."""

    def inputs(self, vertex: Key) -> Iterable[Key]:
        """The vertices whose results `vertex` needs."""

    def joins(self, vertex: Key) -> bool:
        """Whether the result only joins those of the inputs: there is no work, and nothing is reported."""

    def cache_key(self, vertex: Key, inputs: Mapping[Key, str]) -> str:
        """The key of the result of `vertex` in the cache. Vertices with equal keys are also done once in this build."""

    def load(self, vertex: Key, cache_key: str) -> Result | None:
        """The result from the cache; None if there is none or a part of it is gone."""

    def prepare(self, pending: Iterable[Key]) -> None:
        """Called once, before any thread starts, with the vertices that will be performed, even if there are none."""

    def perform(self, vertex: Key, cache_key: str, inputs: Mapping[Key, Result], outside: Outside) -> Result:
        """Do the work. Called from several threads. Waiting is done in `with outside():`.

        Raises CancelledError after `cancel`.
        """

    def cancel(self) -> None:
        """Make running `perform` calls end soon. Called from any thread, perhaps more than once."""


class FailedError(Exception):
    """The vertices that failed, with their errors, and the results of the others."""

    def __init__(self, errors: dict[str, PolyarchError], results: Mapping[Any, object]) -> None:
        super().__init__(f"{len(errors)} vertices failed")
        self.errors = errors
        self.results = results


class Observer(Protocol[Viewed]):
    """Gets reports of what happens, from any thread."""

    def started(self, vertex: Viewed) -> None: ...
    def waiting(self, vertex: Viewed, *, begins: bool) -> None: ...
    def finished(
        self, vertex: Viewed, *, cached: bool = False, error: str = "", hint: str = "", canceled: bool = False
    ) -> None: ...


class Work(Generic[Key, Result]):
    """The arguments of `solve`, as a build gives them to whoever solves it, alone or together with others."""

    def __init__(
        self,
        targets: Iterable[Key],
        performer: Performer[Key, Result],
        observer: Observer[Key],
        workers: int,
        keep_going: bool,
    ) -> None:
        self.targets = tuple(targets)
        self.performer = performer
        self.observer = observer
        self.workers = workers
        self.keep_going = keep_going

    def solved(self) -> Mapping[Key, Result]:
        """The results. Raises FailedError as `solve` does."""
        return solve(self.targets, self.performer, self.observer, workers=self.workers, keep_going=self.keep_going)


def resumed(
    running: Generator[Work[Key, Result], Mapping[Key, Result], Done], solved: Callable[[], Mapping[Key, Result]]
) -> Done:
    """What a build returns after it gets the results of its work, or the error if `solved` raises one."""
    try:
        try:
            results = solved()
        except BaseException as error:
            running.throw(error)
        else:
            running.send(results)
    except StopIteration as ended:
        done: Done = ended.value
        return done
    raise AssertionError("a build gives its work once")


def solve(
    targets: Iterable[Key],
    performer: Performer[Key, Result],
    observer: Observer[Key],
    *,
    workers: int = 2,
    keep_going: bool = False,
) -> dict[Key, Result]:
    """The results of the targets, and of every vertex that was needed for them.

    Raises FailedError with the first failure, after the other work was cancelled. With `keep_going`, it is raised after
    everything that does not depend on a failure is done.
    """
    seen = examine(targets, performer, observer, keep_going=keep_going)
    return perform(seen, performer, observer, workers=workers, keep_going=keep_going)


def perform(
    seen: Examined[Key, Result],
    performer: Performer[Key, Result],
    observer: Observer[Key],
    *,
    workers: int = 2,
    keep_going: bool = False,
) -> dict[Key, Result]:
    """Do what is pending, see `solve`. Results are added to those of `seen` as soon as they are there."""
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
    """What is known before anything is done: keys, results from the cache, and pending vertices.

    `order` has every vertex, inputs first. `errors` has those whose key cannot be computed.
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
    """Compute the keys of everything that the targets need, and look into the cache. Nothing is performed.

    Raises FailedError with the first vertex whose key cannot be computed, unless `keep_going`.
    """
    wanted = list(targets)
    seen: Examined[Key, Result] = Examined(topological(wanted, performer.inputs))
    for vertex in seen.order:
        needed = {key: seen.keys[key] for key in performer.inputs(vertex) if key in seen.keys}
        if any(key not in needed for key in performer.inputs(vertex)):
            continue  # an input has no key, so this vertex has none
        try:
            seen.keys[vertex] = performer.cache_key(vertex, needed)
        except PolyarchError as error:
            observer.started(vertex)
            observer.finished(vertex, error=error.message, hint=error.hint or "")
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
    """Do the pending vertices that only join existing results."""
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


class _Places(Generic[Key, Result]):
    """The places for workers. `news` gets each vertex that ends, with its result or error, or None: a place is free."""

    def __init__(self, free: Semaphore, news: SimpleQueue[tuple[Key, Result | BaseException] | None]) -> None:
        self.free = free
        self.news = news


class _Run(Generic[Key, Result]):
    """The pending part of one solve. It owns a thread for each vertex that runs; all have ended when `run` returns.

    They are threads of their own and no executor, whose module imports logging: 8 ms of each cached `bake`.
    """

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
        # Vertices that began and were not collected yet: whether their work is done.
        self._begun: dict[Key, bool] = {}
        # How many results each vertex still needs, which vertices need each, and which need none any more.
        self._missing: dict[Key, int] = {}
        self._dependants: dict[Key, list[Key]] = {}
        self._ready: deque[Key] = deque()

    def run(self, workers: int) -> dict[str, PolyarchError]:
        """Do the work and return errors by vertex. Results are added to those of the solve."""
        from queue import SimpleQueue
        from threading import Semaphore, Thread

        for vertex in self._pending:
            self._wait_for_inputs(vertex)
        places: _Places[Key, Result] = _Places(Semaphore(workers), SimpleQueue())
        threads: dict[Key, Thread] = {}
        try:
            while True:
                while self._may_begin():
                    if self._performer.joins(self._ready[0]):
                        self._join(self._ready.popleft())
                    elif places.free.acquire(blocking=False):
                        vertex = self._ready.popleft()
                        threads[vertex] = Thread(target=self._perform, args=(vertex, places), name="solve")
                        threads[vertex].start()
                    else:
                        break
                if not threads:
                    break
                ended = places.news.get()
                if ended is not None:
                    threads.pop(ended[0]).join()
                    self._collect(*ended)
        except BaseException:
            self._performer.cancel()
            raise
        finally:
            for thread in threads.values():
                if thread.ident is not None:
                    thread.join()
            # After an interrupt some are not collected.
            for vertex, whole in self._begun.items():
                self._observer.finished(vertex, canceled=not whole)
        return self._errors

    def _wait_for_inputs(self, vertex: Key) -> None:
        """Record which results a vertex waits for."""
        needs = {key for key in self._performer.inputs(vertex) if key not in self._results}
        # Vertices with the same cache key are one piece of work: the first does it, the others wait for its result.
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

    def _perform(self, vertex: Key, places: _Places[Key, Result]) -> None:
        """Do a vertex, in its thread."""
        made: Result | BaseException
        try:
            made = self._result(vertex, places)
        except BaseException as error:
            made = error
        places.free.release()
        places.news.put((vertex, made))

    def _result(self, vertex: Key, places: _Places[Key, Result]) -> Result:
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

        self._begun[vertex] = False
        self._observer.started(vertex)
        if vertex in self._twins:
            result = self._results[self._twins[vertex]]
        else:
            inputs = {key: self._results[key] for key in self._performer.inputs(vertex)}
            result = self._performer.perform(vertex, self._keys[vertex], inputs, outside)
        self._begun[vertex] = True
        return result

    def _collect(self, vertex: Key, made: Result | BaseException) -> None:
        self._begun.pop(vertex, None)
        if not isinstance(made, BaseException):
            self._results[vertex] = made
            self._observer.finished(vertex)
            self._release(vertex)
            return
        error = made
        if not isinstance(error, PolyarchError):
            raise error
        # Errors that cancelling causes are not reported: the first failure is the cause.
        if self._errors and not self._keep_going:
            self._observer.finished(vertex, canceled=True)
            return
        self._observer.finished(vertex, error=error.message, hint=error.hint or "")
        # Vertices that need it never become ready.
        self._errors[vertex] = error
        if not self._keep_going:
            self._performer.cancel()

    def _release(self, vertex: Key) -> None:
        """Make those vertices ready for which `vertex` was the last missing result.

        They come first: a build that is soon complete is sent while the steps of others run.
        """
        released: list[Key] = []
        for key in self._dependants.pop(vertex, ()):
            self._missing[key] -= 1
            if not self._missing[key]:
                released.append(key)
        self._ready.extendleft(reversed(released))
