"""A download that many clients follow: what its readers open."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.serve.fetching import Fetch


def test_a_blob_whose_download_ends_while_its_file_is_opened_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "blob"
    whole.write_bytes(b"content")
    really_open = os.open

    async def read() -> bytes:
        loop = asyncio.get_running_loop()
        fetch = Fetch(Descriptor("", digests.of(b"content"), 7), loop)
        ended = asyncio.Event()

        def opened(path: str, flags: int, *more: int) -> int:
            if path != str(tmp_path / "unfinished"):
                return really_open(path, flags, *more)
            # The file gets its other name now, and the loop is told before this thread goes on.
            asyncio.run_coroutine_threadsafe(end(), loop).result(10)
            raise FileNotFoundError(path)

        async def end() -> None:
            fetch._tell(path=str(whole), arrived=7, done=True)
            await asyncio.sleep(0)
            ended.set()

        monkeypatch.setattr(os, "open", opened)
        fetch._tell(path=str(tmp_path / "unfinished"))
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as threads:
            pieces = [piece async for piece in fetch.read(0, 7, threads)]
        assert ended.is_set()
        return b"".join(pieces)

    assert asyncio.run(read()) == b"content"
