"""Keeping output: whole as far as it goes, and bounded."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from polyarch.sandbox.bounded_output import BoundedOutput


def test_everything_is_kept_in_order_and_more_than_a_mebibyte_on_disk(tmp_path: Path) -> None:
    block = os.urandom(1 << 16)
    before = len(os.listdir("/proc/self/fd"))
    with BoundedOutput(str(tmp_path)) as capture:
        for _ in range(64):
            capture.write(block)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert b"".join(capture.read()) == block * 64
        capture.write(b"more")
        assert b"".join(capture.read()) == block * 64 + b"more"
    assert (list(tmp_path.iterdir()), len(os.listdir("/proc/self/fd"))) == ([], before)


def test_what_is_too_much_is_left_out_of_the_middle(tmp_path: Path) -> None:
    with BoundedOutput(str(tmp_path), most=10) as capture:
        for number in range(100_000):
            capture.write(b"%09d\n" % number)
        kept = b"".join(capture.read())
    assert kept.startswith(
        b"000000000\n\n[934464 bytes left out]\n".replace(b"934464", str(1_000_000 - 10 - (64 << 10)).encode())
    )
    assert kept.endswith(b"000099999\n")
    assert len(kept) < 70_000


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(0, 2000))
def test_pieces_of_any_size_are_kept_up_to_the_limit(pieces: list[bytes], most: int) -> None:
    with BoundedOutput("/tmp", most=most) as capture:
        for piece in pieces:
            capture.write(piece)
        # The end, up to 64 KiB, is kept beyond the limit.
        assert b"".join(capture.read()) == b"".join(pieces)
        assert capture.size == sum(map(len, pieces))
