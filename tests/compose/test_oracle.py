"""Every case gives what docker compose gave (`make compose-oracle` asks again), except where there is a reason."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.answers import RecordedCase
from tests.compose import cases, running
from tests.compose.explained import TITLES, explained


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("source", [cases.tables, cases.generated])
def test_every_case_gives_what_docker_compose_gives(
    source: Callable[[], Iterator[RecordedCase]], form: str, tmp_path: Path
) -> None:
    recorded = cases.recorded()
    different = []
    for number, case in enumerate(source()):
        assert case.key in recorded, f"{case.title}: not recorded: python -m tests.compose record"
        found, said = running.ours(case, tmp_path / str(number), form)
        assert "this is a bug" not in said, f"{case.title}\n{said}"
        wanted = recorded[case.key][form == "json"]
        if cases.short(found, case, form) != wanted and explained(case, form) is None:
            different.append((case.title, wanted, found or said))
    assert different == []


def test_there_are_enough_cases() -> None:
    assert len(list(cases.tables())) >= 160
    assert len(list(cases.generated())) >= 100


def test_every_difference_with_a_reason_still_differs(tmp_path: Path) -> None:
    recorded = cases.recorded()
    for number, case in enumerate(cases.tables()):
        if case.title in TITLES:
            found, _ = running.ours(case, tmp_path / str(number), "yaml")
            assert found != recorded[case.key][0], f"{case.title} does not differ any more"
