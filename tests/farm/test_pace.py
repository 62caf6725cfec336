"""When a machine counts as slow."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from polyarch.farm.pace import SLOW, Pace

WINDOW = 20.0


def after(speeds: Sequence[float], *, every: float = 4.0) -> float:
    pace = Pace(10.0, WINDOW)
    for number, speed in enumerate(speeds):
        pace.add(number * every, speed)
    return pace.value


def test_a_machine_is_slow_when_it_was_for_the_whole_time() -> None:
    assert after([10, 1, 1, 1, 1, 1]) == 1
    assert after([10, 1, 1, 1, 1, 1, 1]) == 0.1
    assert after([10, 1, 1, 1, 1, 1, 1, 9]) == 1


def test_one_fast_measurement_is_enough() -> None:
    assert after([1, 1, 1, 5, 1, 1, 1]) == 1


def test_few_measurements_say_nothing() -> None:
    """The process did not run in between, so nobody knows how fast it was."""
    assert after([1, 1], every=100) == 1


def test_a_measurement_is_due_from_time_to_time() -> None:
    pace = Pace(10.0, WINDOW)
    assert pace.is_due(0)
    pace.add(0, 10)
    assert not pace.is_due(3)
    assert pace.is_due(3.4)


@given(st.lists(st.floats(2.5, 40), min_size=1, max_size=40))
def test_a_machine_of_half_its_best_speed_is_never_slow(speeds: list[float]) -> None:
    pace = Pace(10.0, WINDOW)
    for number, speed in enumerate(speeds):
        pace.add(number * 3.0, max(speed, 0.5 * max(speeds)))
    assert pace.value == 1
    assert SLOW < 0.5
