"""The solver, with vertices that add integers instead of running containers."""

import os
import signal
import threading
import time
from collections.abc import Iterable, Mapping

import pytest

from polyarch.builder.solve import FailedError, Outside, solve
from polyarch.errors import PolyarchError


class Sums:
    """A performer whose vertices are sums: name → (number, names of inputs). It counts the calls."""

    def __init__(self, vertices: dict[str, tuple[int, tuple[str, ...]]], cache: dict[str, int] | None = None) -> None:
        self.vertices = vertices
        self.cache = {} if cache is None else cache
        self.performed: list[str] = []
        self.prepared: list[list[str]] = []
        self.cancelled = threading.Event()
        self.failing: set[str] = set()
        self.waiting: set[str] = set()

    def inputs(self, vertex: str) -> Iterable[str]:
        return self.vertices[vertex][1]

    def joins(self, vertex: str) -> bool:
        return vertex.startswith("join")

    def cache_key(self, vertex: str, inputs: Mapping[str, str]) -> str:
        number, names = self.vertices[vertex]
        return f"{number}({','.join(inputs[name] for name in names)})"

    def load(self, vertex: str, cache_key: str) -> int | None:
        return self.cache.get(cache_key)

    def prepare(self, pending: Iterable[str]) -> None:
        assert threading.active_count() == 1 or threading.current_thread() is threading.main_thread()
        self.prepared.append(list(pending))

    def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
        if not self.joins(vertex):
            self.performed.append(vertex)
        if vertex in self.waiting:
            assert self.cancelled.wait(10)
            raise PolyarchError(f"{vertex} was cancelled")
        if vertex in self.failing:
            raise PolyarchError(f"{vertex} failed")
        result = self.vertices[vertex][0] + sum(inputs.values())
        self.cache[cache_key] = result
        return result

    def cancel(self) -> None:
        self.cancelled.set()


class Notes:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, vertex: str) -> None:
        self.lines.append(f"{vertex} started")

    def waiting(self, vertex: str, *, begins: bool) -> None:
        self.lines.append(f"{vertex} {'waits' if begins else 'goes on'}")

    def finished(
        self, vertex: str, *, cached: bool = False, error: str = "", hint: str = "", canceled: bool = False
    ) -> None:
        self.lines.append(f"{vertex} {error or ('canceled' if canceled else 'cached' if cached else 'done')}")


DIAMOND = {"base": (1, ()), "left": (10, ("base",)), "right": (20, ("base",)), "top": (100, ("left", "right"))}


def test_an_input_of_several_vertices_is_performed_once() -> None:
    sums = Sums(DIAMOND)
    assert solve(["top"], sums, Notes())["top"] == 132
    assert sorted(sums.performed) == ["base", "left", "right", "top"]


def test_what_no_target_needs_is_not_performed() -> None:
    sums = Sums(DIAMOND)
    solve(["left"], sums, Notes())
    assert sorted(sums.performed) == ["base", "left"]


def test_the_inputs_of_a_cached_vertex_are_not_looked_at() -> None:
    cache: dict[str, int] = {}
    solve(["top"], Sums(DIAMOND, cache), Notes())
    loaded: list[str] = []

    class Counting(Sums):
        def load(self, vertex: str, cache_key: str) -> int | None:
            loaded.append(vertex)
            return super().load(vertex, cache_key)

    again = Counting(DIAMOND, cache)
    notes = Notes()
    assert solve(["top"], again, notes) == {"top": 132}
    assert (again.performed, again.prepared, loaded) == ([], [[]], ["top"])
    assert notes.lines == ["top started", "top cached"]


def test_only_what_depends_on_a_change_is_performed_again() -> None:
    cache: dict[str, int] = {}
    solve(["top"], Sums(DIAMOND, cache), Notes())
    changed = Sums(DIAMOND | {"right": (21, ("base",))}, cache)
    assert solve(["top"], changed, Notes())["top"] == 133
    assert changed.performed == ["right", "top"]


def test_vertices_with_equal_cache_keys_are_one_piece_of_work() -> None:
    sums = Sums({"one": (5, ()), "same": (5, ()), "both": (0, ("one", "same"))})
    assert solve(["both"], sums, Notes())["both"] == 10
    assert sums.performed == ["one", "both"]


def test_the_performer_is_prepared_once_with_all_that_is_pending() -> None:
    sums = Sums(DIAMOND)
    solve(["top"], sums, Notes())
    assert sums.prepared == [["base", "left", "right", "top"]]


def test_a_failure_cancels_what_runs_and_is_the_one_reported() -> None:
    sums = Sums({"bad": (1, ()), "slow": (2, ()), "later": (1, ("slow",)), "top": (0, ("bad", "later"))})
    sums.failing = {"bad"}
    sums.waiting = {"slow"}
    notes = Notes()
    with pytest.raises(FailedError) as caught:
        solve(["top"], sums, notes, workers=2)
    assert {name: error.message for name, error in caught.value.errors.items()} == {"bad": "bad failed"}
    assert "later" not in sums.performed
    assert sorted(notes.lines) == ["bad bad failed", "bad started", "slow canceled", "slow started"]


def test_an_interrupt_cancels_what_runs() -> None:
    class Interrupted(Sums):
        def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            return super().perform(vertex, cache_key, inputs, outside)

    sums = Interrupted({"slow": (2, ()), "later": (1, ("slow",))})
    sums.waiting = {"slow"}
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        solve(["later"], sums, notes)
    assert notes.lines == ["slow started", "slow canceled"]


def test_what_waits_leaves_its_place_to_another() -> None:
    reached = threading.Event()

    class Waiting(Sums):
        def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
            if vertex == "waits":
                with outside():
                    assert reached.wait(10)
            elif vertex == "works":
                reached.set()
            return super().perform(vertex, cache_key, inputs, outside)

    notes = Notes()
    sums = Waiting({"waits": (1, ()), "works": (2, ()), "top": (4, ("waits", "works"))})
    assert solve(["top"], sums, notes, workers=1)["top"] == 7
    assert notes.lines[:3] == ["waits started", "waits waits", "works started"]
    assert "waits goes on" in notes.lines


def test_no_more_work_at_once_than_there_are_places() -> None:
    at_work: list[str] = []
    most = []

    class Counting(Sums):
        def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
            if vertex != "top":
                with outside():
                    time.sleep(0.001)
            at_work.append(vertex)
            most.append(len(at_work))
            time.sleep(0.001)
            at_work.remove(vertex)
            return super().perform(vertex, cache_key, inputs, outside)

    names = tuple(f"v{number}" for number in range(20))
    vertices = {name: (number, ()) for number, name in enumerate(names)}
    solve(["top"], Counting({**vertices, "top": (0, names)}), Notes(), workers=2)
    assert max(most) <= 2


def test_keeping_going_performs_all_that_does_not_depend_on_the_failure() -> None:
    sums = Sums({"bad": (1, ()), "good": (2, ()), "after-bad": (0, ("bad",)), "after-good": (3, ("good",))})
    sums.failing = {"bad"}
    with pytest.raises(FailedError) as caught:
        solve(["after-bad", "after-good"], sums, Notes(), keep_going=True)
    assert caught.value.results["after-good"] == 5
    assert "after-bad" not in sums.performed


def test_an_error_in_a_cache_key_is_reported_with_its_vertex() -> None:
    class Keyless(Sums):
        def cache_key(self, vertex: str, inputs: Mapping[str, str]) -> str:
            if vertex == "left":
                raise PolyarchError("no such file")
            return super().cache_key(vertex, inputs)

    notes = Notes()
    with pytest.raises(FailedError) as caught:
        solve(["top"], Keyless(DIAMOND), notes)
    assert caught.value.errors["left"].message == "no such file"
    assert notes.lines == ["left started", "left no such file"]


def test_a_bug_in_a_performer_is_not_taken_for_a_failed_step() -> None:
    class Buggy(Sums):
        def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
            raise ZeroDivisionError

    buggy = Buggy(DIAMOND)
    with pytest.raises(ZeroDivisionError):
        solve(["top"], buggy, Notes())
    assert buggy.cancelled.is_set()


def test_a_chain_of_thousands_is_no_deeper_than_one() -> None:
    chain: dict[str, tuple[int, tuple[str, ...]]] = {"0": (1, ())}
    chain |= {str(n): (1, (str(n - 1),)) for n in range(1, 2000)}

    class Short(Sums):
        def cache_key(self, vertex: str, inputs: Mapping[str, str]) -> str:
            return vertex

    assert solve(["1999"], Short(chain), Notes())["1999"] == 2000


def test_a_vertex_without_a_key_takes_only_those_with_it_that_need_it() -> None:
    class Unreadable(Sums):
        def cache_key(self, vertex: str, inputs: Mapping[str, str]) -> str:
            if vertex == "left":
                raise PolyarchError("left cannot be read")
            return super().cache_key(vertex, inputs)

    sums = Unreadable(DIAMOND)
    with pytest.raises(FailedError) as caught:
        solve(["top", "right"], sums, Notes(), keep_going=True)
    assert list(caught.value.errors) == ["left"]
    assert caught.value.results == {"base": 1, "right": 21}
    with pytest.raises(FailedError) as caught:
        solve(["top", "right"], Unreadable(DIAMOND), Notes())
    assert caught.value.results == {}


def test_what_only_joins_its_inputs_is_no_work_and_is_not_told() -> None:
    stages = {"base": (1, ()), "join": (0, ("base",)), "step": (10, ("join",)), "joined": (0, ("join", "step"))}
    top = stages | {"top": (100, ("joined",))}
    sums, notes = Sums(top), Notes()
    assert solve(["top"], sums, notes)["top"] == 1 + 10 + 1 + 100
    assert notes.lines == ["base started", "base done", "step started", "step done", "top started", "top done"]
    cached = Sums(top | {"top": (200, ("joined",))}, sums.cache)
    assert solve(["top"], cached, Notes())["top"] == 1 + 10 + 1 + 200
    assert (cached.performed, cached.prepared) == (["top"], [["top"]])


class Slow(Sums):
    """Each vertex takes a while."""

    def perform(self, vertex: str, cache_key: str, inputs: Mapping[str, int], outside: Outside) -> int:
        time.sleep(0.05)
        return super().perform(vertex, cache_key, inputs, outside)


def test_what_becomes_ready_comes_before_what_waits_for_a_place() -> None:
    vertices: dict[str, tuple[int, tuple[str, ...]]] = {name: (at, ()) for at, name in enumerate("abcd")}
    performer = Slow(vertices | {f"{name} sent": (1, (name,)) for name in "abcd"})
    solve([f"{name} sent" for name in "abcd"], performer, Notes(), workers=1)
    assert performer.performed.index("a sent") < performer.performed.index("c")
