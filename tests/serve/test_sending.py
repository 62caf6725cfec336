"""Parts of a file through TLS: the bytes are right, and the disk is read on a thread."""

import asyncio
import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyarch.serve import sending

_CONTENT = random.Random(1).randbytes(700_000)


class Writer:
    """Collects what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def write(self, part: bytes) -> None:
        self.sent.append(bytes(part))


class Threads:
    """Counts what may block."""

    def __init__(self) -> None:
        self.done = 0

    def run(self, work: Callable[[], bytes]) -> "asyncio.Future[bytes]":
        self.done += 1
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        future.set_result(work())
        return future


def _sent(path: Path, start: int, count: int) -> tuple[bytes, list[int], int]:
    """What was sent, the sizes of its parts, and how many were read on a thread."""
    writer: Any = Writer()
    threads = Threads()
    with path.open("rb", buffering=0) as file:
        asyncio.run(sending._send_parts(writer, file, start, count, threads.run))
    return b"".join(writer.sent), [len(part) for part in writer.sent], threads.done


@pytest.mark.parametrize(("start", "count"), [(0, 700_000), (1, 1), (131_071, 131_074), (699_999, 1), (5, 0)])
def test_exactly_the_range_is_sent(tmp_path: Path, start: int, count: int) -> None:
    path = tmp_path / "blob"
    path.write_bytes(_CONTENT)
    sent, sizes, _ = _sent(path, start, count)
    assert sent == _CONTENT[start : start + count]
    assert all(size <= 128 << 10 for size in sizes)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_is_not_in_memory_is_read_on_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", refuse)
    path = tmp_path / "blob"
    path.write_bytes(_CONTENT)
    sent, sizes, threads = _sent(path, 0, len(_CONTENT))
    assert sent == _CONTENT
    assert threads == len(sizes) == 6


def test_a_failing_disk_is_an_error_and_a_file_that_became_shorter_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "blob"
    path.write_bytes(_CONTENT)
    with pytest.raises(ConnectionResetError):
        _sent(path, 600_000, 100_001)

    def fail(*arguments: object) -> int:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(OSError, match="no"):
        _sent(path, 0, 10)
