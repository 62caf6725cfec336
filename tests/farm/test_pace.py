"""When a machine counts as slow."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.farm import report
from polyarch.farm.pace import SLOW, Pace
from polyarch.farm.table import troubles
from polyarch.farm.values import Member, MemberOptions

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


def test_a_slow_measurement_is_made_again_at_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that saves power is fast after some loops."""
    asked: list[int] = []

    def speed(loops: int = 5) -> float:
        asked.append(loops)
        return 10.0 if loops != 2 else 1.0

    monkeypatch.setattr(report, "speed", speed)
    member = report.MemberReport(MemberOptions(name="one", root="/nowhere", search_path=""), ())
    assert member.now()["pace"] == 1
    assert asked == [5, 2, 25]
    # The next one is not due yet.
    member.now()
    assert asked == [5, 2, 25]


def test_a_slow_machine_is_named() -> None:
    member = Member(address="tls://one:1", name="one", version="1", pace=0.12)
    assert troubles(member, "1") == ["it has become slow: 12% of what it was"]


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
