"""Widths, sizes and ages as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.render import tables, text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.23kB"),
        (7_830_000, "7.83MB"),
        (117_000_000, "117MB"),
        (1_240_000_000, "1.24GB"),
        (999_999, "1000kB"),
    ],
)
def test_sizes_are_those_that_docker_prints(number: int, shown: str) -> None:
    assert text.size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "Less than a second ago"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (61, "About a minute ago"),
        (150, "2 minutes ago"),
        (3600, "About an hour ago"),
        (40 * 3600, "40 hours ago"),
        (3 * 86400, "3 days ago"),
        (20 * 86400, "2 weeks ago"),
        (100 * 86400, "3 months ago"),
        (800 * 86400, "2 years ago"),
    ],
)
def test_ages_are_those_that_docker_prints(seconds: float, shown: str) -> None:
    assert text.age(seconds) == shown


def test_a_chinese_character_takes_two_columns_and_a_combining_one_none() -> None:
    assert text.width("镜像") == 4
    assert text.width("e\u0301") == 1
    assert text.clip("镜像仓库", 5) == "镜像…"


@given(st.text(), st.integers(1, 40))
def test_what_is_clipped_fits(anything: str, columns: int) -> None:
    assert text.width(text.clip(anything, columns)) <= columns


@given(st.text())
def test_plain_text_holds_nothing_that_moves_the_cursor(anything: str) -> None:
    assert text.plain("\x1b[2J\x1b]0;title\x07" + anything).isprintable()


def test_columns_are_aligned_by_width_and_nothing_follows_the_last() -> None:
    shown = tables.render(("NAME", "ID"), [("镜像", "1"), ("longer-name", "22")])
    assert shown.splitlines() == ["NAME          ID", "镜像          1", "longer-name   22"]


def test_an_empty_table_is_its_header() -> None:
    assert tables.render(("A", "B"), []) == "A   B\n"
