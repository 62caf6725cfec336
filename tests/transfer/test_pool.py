"""The worker pool: ordered results, the first failure stops the rest, no thread is left."""

import threading
import time

import pytest

from polyarch.transfer.pool import WorkerPool


def test_results_come_in_the_order_of_the_items() -> None:
    with WorkerPool(4) as pool:
        # The first item is slow, so the others get threads. Each waits for the next, so they finish in reverse.
        ended = [threading.Event() for _ in range(5)]
        ended[4].set()

        def work(number: int) -> int:
            assert ended[4 if number == 0 else number + 1].wait(10)
            time.sleep(0 if number else 0.01)
            ended[number].set()
            return number * number

        assert pool.map(work, [0, 1, 2, 3]) == [0, 1, 4, 9]
    assert threading.active_count() == 1


def test_they_work_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=10)
    met: list[tuple[int, int]] = []
    with WorkerPool(3) as pool:
        pool.run(lambda number: met.append((number, barrier.wait())), [1, 2, 3])
    assert sorted(number for number, _ in met) == [1, 2, 3]


def test_one_item_or_one_thread_needs_no_other_thread() -> None:
    names: list[str] = []
    with WorkerPool(1) as pool:
        pool.run(lambda _: names.append(threading.current_thread().name), [1, 2])
    with WorkerPool(4) as pool:
        pool.run(lambda _: names.append(threading.current_thread().name), [1])
    assert set(names) == {"MainThread"}


@pytest.mark.parametrize("size", [1, 4])
def test_the_caller_does_something_else_meanwhile(size: int) -> None:
    names: list[str] = []
    done: list[int] = []
    with WorkerPool(size) as pool:
        pool.run(done.append, [1, 2, 3], lambda: names.append(threading.current_thread().name))
    assert (names, sorted(done)) == (["MainThread"], [1, 2, 3])


def test_a_failure_stops_what_the_caller_does_meanwhile_with_the_pool() -> None:
    failed = threading.Event()

    def work(number: int) -> None:
        failed.set()
        raise ValueError("the first")

    def meanwhile() -> None:
        assert failed.wait(10)
        while True:
            pool.check()
            time.sleep(0.001)

    with pytest.raises(ValueError, match="the first"), WorkerPool(2) as pool:
        pool.run(work, [1, 2], meanwhile)
    with pytest.raises(KeyError, match="meanwhile"), WorkerPool(2) as pool:
        pool.run(lambda _: None, [1, 2], lambda: {}["meanwhile"])
    assert threading.active_count() == 1


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_the_first_failure_is_raised_once_all_have_stopped(failure: type[BaseException]) -> None:
    begun: list[int] = []
    both = threading.Barrier(2, timeout=10)
    never = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        both.wait()
        if number == 1:
            raise failure("the first")
        for _ in range(10_000):
            pool.check()
            never.wait(0.001)
        raise AssertionError("not stopped")

    with pytest.raises(failure, match="the first"), WorkerPool(2) as pool:
        pool.run(work, list(range(50)))
    assert sorted(begun) == [0, 1]
    assert threading.active_count() == 1
