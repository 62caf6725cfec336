"""Every case gives what buildx gave (`make bake-oracle` asks it again), except for the differences with a reason."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.answers import RecordedCase
from tests.bake import cases, running, syntax
from tests.bake.explained import TITLES, explained


@pytest.mark.parametrize("source", [cases.expressions, cases.tables, cases.generated])
def test_every_case_gives_what_buildx_gives(source: Callable[[], Iterator[RecordedCase]], tmp_path: Path) -> None:
    recorded = cases.recorded()
    different = []
    for number, case in enumerate(source()):
        assert case.key in recorded, f"{case.title}: not recorded: python -m tests.bake record"
        found, said = running.ours(case, tmp_path / str(number))
        assert "this is a bug" not in said, f"{case.title}\n{said}"
        if found != recorded[case.key] and explained(case) is None:
            different.append((case.title, recorded[case.key], found or said))
    assert different == []


def test_there_are_at_least_three_hundred_cases_of_each_kind() -> None:
    assert len(list(cases.expressions())) > 800
    assert len(list(cases.tables())) >= 300
    assert len(list(cases.generated())) >= 300


def test_every_difference_with_a_reason_still_differs(tmp_path: Path) -> None:
    recorded = cases.recorded()
    for number, case in enumerate([*cases.expressions(), *cases.tables()]):
        if case.title in TITLES:
            found, _ = running.ours(case, tmp_path / str(number))
            assert found != recorded[case.key], f"{case.title} does not differ any more"


def test_every_text_is_parsed_as_hcl_itself_parses_it() -> None:
    recorded = syntax.recorded()
    assert len(recorded) > 1000
    assert 200 < sum(bool(found) for _, found in recorded) < 800
    assert syntax.differences(recorded) == []


def test_what_is_printed_is_a_bake_file_that_prints_the_same(tmp_path: Path) -> None:
    # A group without targets has nothing to print, and buildx does not escape templates in tags.
    apart = {"targets: an empty group", "targets: escaped templates come back"}
    recorded = cases.recorded()
    count = 0
    for number, case in enumerate(cases.tables()):
        printed = recorded[case.key]
        if printed and printed.startswith('{\n  "group"') and case.title not in apart:
            again = RecordedCase("", {"docker-bake.json": printed})
            assert running.ours(again, tmp_path / str(number))[0] == printed, case.title
            count += 1
    assert count > 150
