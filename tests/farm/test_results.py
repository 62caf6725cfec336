"""What is known of the results that members have."""

from hypothesis import given
from hypothesis import strategies as st

from polyarch.farm import results
from polyarch.farm.results import HeldResult, HeldResults

KEY = "sha256:" + "a1" * 32
SHORT = "a1" * 6


def test_the_member_that_made_a_result_last_comes_first() -> None:
    held = HeldResults()
    assert held.add(HeldResult(SHORT, "one"))
    assert held.add(HeldResult(SHORT, "two"))
    assert not held.add(HeldResult(SHORT, "one"))
    assert held.holders(KEY) == ["one", "two"]
    assert held.holders(KEY, avoid=("one",)) == ["two"]
    held.forget(KEY, "one")
    assert held.holders(KEY) == ["two"]


def test_a_step_without_a_key_has_no_result() -> None:
    held = HeldResults()
    held.add(HeldResult("", "one"))
    assert held.holders("") == []


def test_builds_tell_each_other_what_is_new() -> None:
    held, other = HeldResults(), HeldResults()
    held.learn(HeldResult(SHORT, "one"))
    held.learn(HeldResult(SHORT, "one"))
    news = held.news()
    assert news == [[SHORT, "one"]]
    assert held.news() == []
    other.hear((1.5, news))
    assert other.holders(KEY) == ["one"]
    # What was heard is known to all.
    assert other.news() == []


def test_messages_of_something_else_are_left_out() -> None:
    held = HeldResults()
    for message in (None, 7, ["a"], [[7, "one"]], [[SHORT]], {"key": "a"}, "text"):
        held.hear((0.0, message))
    assert held.holders(KEY) == []


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("vwxyz"))))
def test_what_is_remembered_is_bounded(said: list[tuple[str, str]]) -> None:
    held = HeldResults()
    most, results._STEPS = results._STEPS, 3
    try:
        for key, member in said:
            held.add(HeldResult(key * 12, member))
    finally:
        results._STEPS = most
    last = list(dict.fromkeys(key for key, _ in reversed(said)))[:3]
    for key in "abcdef":
        holders = held.holders("sha256:" + key * 64)
        assert bool(holders) == (key in last)
        assert len(holders) == len(set(holders)) <= 4
