"""Sizes as docker's flags take them: of disks in powers of 1000, of memory in powers of 1024."""

import pytest

from polyarch.buildflags.size import bytes_of
from polyarch.errors import UsageError


@pytest.mark.parametrize(
    ("word", "disk", "memory"),
    [
        ("0", 0, 0),
        ("512", 512, 512),
        ("1k", 1000, 1024),
        ("64m", 64_000_000, 64 << 20),
        ("1.5GB", 1_500_000_000, 3 << 29),
        ("2GiB", 2 << 30, 2 << 30),
        (" 1 T ", 10**12, 1 << 40),
        ("10b", 10, 10),
    ],
)
def test_a_size_is_a_number_and_a_unit(word: str, disk: int, memory: int) -> None:
    assert (bytes_of(word), bytes_of(word, memory=True)) == (disk, memory)


@pytest.mark.parametrize("word", ["", "huge", "-1", "1e3", "5 parsecs", "1.m", "m", "1mm", "10%"])
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        bytes_of(word)
