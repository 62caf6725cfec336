"""A few seeded kills in a farm; `make soak` does 200."""

from pathlib import Path

from tests.farm import kills


def test_kills_lose_nothing(busybox_store: Path, tmp_path: Path) -> None:
    part = kills.run(busybox_store, tmp_path / "killed", 2, seed=3)
    assert part.wrong == []
    assert part.lines[0].startswith("2 kills")
