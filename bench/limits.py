"""What the same bytes cost at least on this machine: the floor under each kind of work."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polyarch.layers.compression import Compression

_BLOCK = 1 << 20
_TRIES = 3


def packing(directory: Path) -> float:
    """Seconds to read all files of a context, hash them, deflate them on all processors, and hash what comes out.

    The compressor is the one that Polyarch uses: one that stores what does not shrink.
    """
    compress = Compression().framing().compress

    def once() -> None:
        plain, blob = hashlib.sha256(), hashlib.sha256()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for packed in pool.map(compress, _hashed(_blocks(directory), plain.update)):
                blob.update(packed)

    return _best(once)


def copying(sources: Iterable[Path], scratch: Path) -> float:
    """Seconds to read these files and write them into one."""

    def once() -> None:
        with open(scratch, "wb") as target:
            for source in sources:
                with open(source, "rb") as file:
                    while chunk := file.read(_BLOCK):
                        target.write(chunk)

    try:
        return _best(once)
    finally:
        scratch.unlink(missing_ok=True)


def _blocks(directory: Path) -> Iterator[bytes]:
    """The content of all files, in pieces of about a block."""
    parts: list[bytes] = []
    size = 0
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            while chunk := file.read(_BLOCK):
                parts.append(chunk)
                size += len(chunk)
                if size >= _BLOCK:
                    yield b"".join(parts)
                    parts, size = [], 0
    yield b"".join(parts)


def _hashed(blocks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for block in blocks:
        update(block)
        yield block


def _best(work: Callable[[], None]) -> float:
    times = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
