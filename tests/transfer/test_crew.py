"""A few threads: results in order, the first failure stops the rest, none is left."""

import threading
import time

import pytest

from polyarch.transfer.pool import WorkerPool


def test_results_come_in_the_order_of_the_items() -> None:
    with WorkerPool(4) as crew:
        assert crew.map(lambda number: (time.sleep((9 - number) / 500), number)[1], list(range(10))) == list(range(10))
    assert threading.active_count() == 1


def test_they_work_side_by_side() -> None:
    barrier = threading.Barrier(3, timeout=5)
    with WorkerPool(3) as crew:
        crew.run(lambda _: barrier.wait() and None, [1, 2, 3])


def test_one_item_or_one_thread_needs_no_other_thread() -> None:
    names: list[str] = []
    with WorkerPool(1) as crew:
        crew.run(lambda _: names.append(threading.current_thread().name), [1, 2])
    with WorkerPool(4) as crew:
        crew.run(lambda _: names.append(threading.current_thread().name), [1])
    assert set(names) == {"MainThread"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_the_first_failure_is_raised_once_all_have_stopped(failure: type[BaseException]) -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        crew.check()
        begun.append(number)
        if number == 1:
            raise failure("the first")
        for _ in range(200):
            crew.check()
            time.sleep(0.005)

    started = time.monotonic()
    with pytest.raises(failure, match="the first"), WorkerPool(2) as crew:
        crew.run(work, list(range(50)))
    assert time.monotonic() - started < 0.9
    assert len(begun) < 50
    assert threading.active_count() == 1
