"""Which member does a step: a pure choice, tried on simulated farms."""

import random

from hypothesis import given
from hypothesis import strategies as st

from polyarch.farm.placement import StepPlacer
from polyarch.farm.values import Member, OfferedPlatform, short

VERSION = "1"
AMD, ARM = "linux/amd64", "linux/arm64"


def member(name: str, *offers: str, number: int = 0, **fields: object) -> Member:
    """A worker process; `~PLATFORM` is emulated."""
    found = tuple(OfferedPlatform(one.lstrip("~"), "qemu" if one.startswith("~") else "") for one in offers)
    values = {"version": VERSION, "speed": 10.0, **fields}
    return Member(address=f"tls://{name}:{number}", name=name, offers=found, **values)  # type: ignore[arg-type]


def placer(*members: Member) -> StepPlacer:
    made = StepPlacer(VERSION)
    made.update(members)
    return made


def layers(*names: str, size: int = 1000) -> list[tuple[str, int]]:
    return [(f"sha256:{name:0>64}", size) for name in names]


def test_a_native_member_comes_before_a_faster_one_that_emulates() -> None:
    farm = placer(member("emulates", f"~{ARM}", speed=99.0), member("native", ARM, speed=1.0))
    choice = farm.choose(ARM, [])
    assert choice is not None
    assert (choice.member, choice.how) == ("native", "native")


def test_a_step_waits_for_a_busy_native_member_rather_than_being_emulated() -> None:
    farm = placer(member("emulates", f"~{ARM}"), member("native", ARM, busy=True))
    assert farm.how(ARM) == "native"
    assert farm.choose(ARM, []) is None


def test_without_a_native_member_one_that_emulates_is_chosen() -> None:
    farm = placer(member("other", AMD), member("emulates", f"~{ARM}"))
    choice = farm.choose(ARM, [])
    assert choice is not None
    assert (choice.member, choice.how) == ("emulates", "emulated")
    assert farm.how("linux/s390x") is None
    assert farm.choose("linux/s390x", []) is None


def test_the_fastest_free_process_gets_the_step() -> None:
    farm = placer(member("slow", AMD, speed=2.0), member("fast", AMD, speed=20.0), member("middle", AMD))
    order = []
    for _ in range(3):
        choice = farm.choose(AMD, [])
        assert choice is not None
        farm.began(choice, [])
        order.append(choice.member)
    assert order == ["fast", "middle", "slow"]
    assert farm.choose(AMD, []) is None


def test_layers_that_a_member_has_count_as_much_as_the_time_to_send_them() -> None:
    needed = layers("a", "b", size=500_000_000)
    has = tuple(short(digest) for digest, _ in needed)
    slower = member("has", AMD, speed=8.0, layers=has)
    farm = placer(member("lacks", AMD, speed=10.0), slower)
    choice = farm.choose(AMD, needed)
    assert choice is not None
    assert choice.member == "has"
    # For small layers the faster machine is better.
    other = farm.choose(AMD, layers("a", "b", size=1000))
    assert other is not None
    assert other.member == "lacks"


def test_a_chain_stays_where_its_layers_are() -> None:
    farm = placer(*(member(f"m{number}", AMD) for number in range(20)))
    first = farm.choose(AMD, layers("a", size=50_000_000))
    assert first is not None
    farm.began(first, layers("a", size=50_000_000))
    farm.ended(first)
    again = farm.choose(AMD, layers("a", "b", size=50_000_000))
    assert again == first


def test_a_member_to_be_avoided_gets_nothing() -> None:
    farm = placer(member("a", AMD, speed=99.0), member("b", AMD))
    choice = farm.choose(AMD, [], {"a"})
    assert choice is not None
    assert choice.member == "b"
    assert farm.choose(AMD, [], {"a", "b"}) is None
    assert farm.how(AMD, {"a", "b"}) is None


def test_members_of_another_version_are_left_out() -> None:
    farm = placer(member("old", AMD, version="0"), member("new", ARM))
    assert farm.how(AMD) is None
    assert farm.slots == 1


def test_what_was_given_since_counts_more_than_what_a_heartbeat_says() -> None:
    farm = placer(member("a", AMD))
    choice = farm.choose(AMD, [])
    assert choice is not None
    farm.began(choice, [])
    farm.update([member("a", AMD, busy=False)])
    assert farm.choose(AMD, []) is None
    farm.update([member("a", AMD, busy=True)])
    farm.ended(choice)
    assert farm.choose(AMD, []) == choice


def test_a_member_that_left_is_not_chosen_and_may_come_back() -> None:
    farm = placer(member("a", AMD), member("b", ARM))
    farm.update([member("b", ARM)])
    assert farm.how(AMD) is None
    farm.update([member("a", AMD), member("b", ARM)])
    assert farm.how(AMD) == "native"


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_no_process_has_two_steps_and_a_free_one_is_always_used(count: int, seed: int) -> None:
    chance = random.Random(seed)
    members = [
        member(f"m{number % 7}", AMD, number=number, speed=chance.uniform(1, 20), busy=chance.random() < 0.2)
        for number in range(count)
    ]
    farm = placer(*members)
    running = []
    for _ in range(200):
        free = sum(not one.busy for one in members) - len(running)
        choice = farm.choose(AMD, layers(str(chance.randrange(9)), size=10_000_000))
        assert (choice is not None) == (free > 0)
        if choice is not None:
            assert choice not in running
            farm.began(choice, layers("1"))
            running.append(choice)
        if running and chance.random() < 0.5:
            farm.ended(running.pop(chance.randrange(len(running))))
        if chance.random() < 0.1:
            farm.update(members)


def test_a_free_member_that_has_the_result_comes_first() -> None:
    farm = placer(member("fast", AMD, speed=99.0), member("holds", AMD), member("other", ARM))
    choice = farm.choose(AMD, [], holders=["other", "holds"])
    assert choice is not None
    assert choice.member == "holds"
    farm.began(choice, [])
    choice = farm.choose(AMD, [], holders=["holds"])
    assert choice is not None
    assert choice.member == "fast"
    assert farm.process_of("holds") == "tls://holds:0"
    assert farm.process_of("gone") is None


def test_a_member_that_failed_is_avoided_also_if_it_has_the_result() -> None:
    farm = placer(member("one", AMD), member("holds", AMD))
    choice = farm.choose(AMD, [], avoid=["holds"], holders=["holds"])
    assert choice is not None
    assert choice.member == "one"


def test_a_step_is_outpaced_when_its_machine_is_slow_and_a_faster_one_is_free() -> None:
    farm = placer(member("one", AMD, speed=20.0), member("two", AMD), member("far", f"~{AMD}", speed=99.0))
    choice = farm.choose(AMD, [])
    assert choice is not None
    assert choice.member == "one"
    farm.began(choice, [])
    assert not farm.outpaced(AMD, choice)
    slow = member("one", AMD, speed=20.0, pace=0.2, busy=True)
    # Half of the speed of the other one is not enough, and one that emulates does not count.
    farm.update([slow, member("two", AMD, speed=7.0), member("far", f"~{AMD}", speed=99.0)])
    assert not farm.outpaced(AMD, choice)
    farm.update([slow, member("two", AMD, speed=9.0, busy=True)])
    assert not farm.outpaced(AMD, choice)
    farm.update([slow, member("two", AMD, speed=9.0)])
    assert farm.outpaced(AMD, choice)


def test_a_machine_that_has_become_slow_is_chosen_after_others() -> None:
    farm = placer(member("one", AMD, speed=20.0), member("two", AMD))
    farm.update([member("one", AMD, speed=20.0, pace=0.1), member("two", AMD)])
    choice = farm.choose(AMD, [])
    assert choice is not None
    assert choice.member == "two"
    farm.update([member("one", AMD, speed=20.0), member("two", AMD)])
    choice = farm.choose(AMD, [])
    assert choice is not None
    assert choice.member == "one"
