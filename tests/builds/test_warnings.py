"""How warnings of build checks are shown: with their lines, and shortened when they were shown before."""

from collections.abc import Callable
from pathlib import Path

from tests.program import Program

Context = Callable[..., Path]
WARNING = "WARNING: JSONArgsRecommended: JSON arguments recommended for CMD"


def test_a_warning_is_one_line_where_every_step_was_cached(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nCOPY a /\nCMD echo hi\n", "a = a")
    first = polyarch("build", directory).stderr
    assert first.count(WARNING) == 1
    assert ">>> CMD echo hi" in first
    again = polyarch("build", directory).stderr
    assert again.count(WARNING) == 1
    assert ">>>" not in again
    (directory / "a").write_text("other")
    assert ">>> CMD echo hi" in polyarch("build", directory).stderr


def test_a_warning_has_its_lines_where_there_is_no_step(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nCMD echo hi\n")
    for _ in range(2):
        assert ">>> CMD echo hi" in polyarch("build", directory).stderr
