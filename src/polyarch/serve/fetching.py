"""One download of a blob that many clients follow while it arrives.

A thread of the mirror writes the blob into the store. Readers follow the unfinished file. The last bytes are written
only after the digest has matched (`oci/verify.py`), so no client gets the whole of a blob that is corrupt.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor

from polyarch.errors import CancelledError, PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import BlobReader
from polyarch.store import Store

_CHUNK = 1 << 20
_PIECE = 256 << 10
# How often, and how many seconds after another, the file is looked for between its two names.
_TRIES, _PAUSE = 100, 0.02


class Fetch:
    """A download of `descriptor`. `run` does it, on a thread; everything else is for tasks of `loop`."""

    def __init__(self, descriptor: Descriptor, loop: asyncio.AbstractEventLoop) -> None:
        self.descriptor = descriptor
        self._loop = loop
        self._path = ""
        self._arrived = 0
        self._done = False
        self._error: PolyarchError | None = None
        self._stopped = threading.Event()
        self._moved = asyncio.Event()
        # Set by the thread, before `run` returns.
        self.is_complete = False

    def run(self, store: Store, open_blob: Callable[[], BlobReader]) -> None:
        """Fetch the blob into `store`. Raises nothing: readers get the error."""
        error: PolyarchError | None = None
        try:
            if not store.has_blob(self.descriptor):  # unless it has just arrived
                self._copy(store, open_blob)
            self.is_complete = True
        except PolyarchError as failure:
            error = failure
        except Exception as failure:
            error = PolyarchError(f"{self.descriptor.digest} could not be fetched: {failure}")
        if error is not None:
            self._tell(done=True, error=error)
        else:
            path = str(store.blob_path(self.descriptor.digest))
            self._tell(path=path, arrived=self.descriptor.size, done=True)

    def _copy(self, store: Store, open_blob: Callable[[], BlobReader]) -> None:
        with open_blob() as reader, store.new_blob() as writer:
            self._tell(path=writer.path)
            while chunk := reader.read(_CHUNK):
                if self._stopped.is_set():
                    raise CancelledError
                writer.append(chunk)
                self._tell(arrived=writer.size)
            writer.keep(self.descriptor.digest)

    def fail(self, error: PolyarchError) -> None:
        """End it with an error before it has begun; from a thread."""
        self._tell(done=True, error=error)

    def stop(self) -> None:
        """End the download soon. Readers get an error."""
        self._stopped.set()

    @property
    def is_done(self) -> bool:
        """Whether the download has ended."""
        return self._done

    async def started(self) -> None:
        """Wait for the first byte: an error that comes before it is raised here, and can still be told the client."""
        while not self._arrived and not self._done:
            await self._next()
        if self._error is not None and not self._arrived:
            raise self._error

    async def read(self, start: int, end: int, threads: Executor) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to `end`, as they arrive. Raises PolyarchError if the download fails."""
        while not self._path and not self._done:
            await self._next()
        file = await self._loop.run_in_executor(threads, self._opened)
        try:
            at = start
            while at < end:
                while self._arrived <= at and not self._done:
                    await self._next()
                if self._arrived <= at:
                    raise self._error or PolyarchError(f"{self.descriptor.digest} ended too early")
                size = min(self._arrived, end, at + _PIECE) - at
                piece = await self._loop.run_in_executor(threads, os.pread, file, size, at)
                at += len(piece)
                yield piece
        finally:
            os.close(file)

    async def _next(self) -> None:
        await self._moved.wait()

    def _opened(self) -> int:
        """The unfinished file, or the blob that it has become: `_path` changes a moment after the file is renamed."""
        for _ in range(_TRIES):
            # Asked first: `_path` is the blob's by the time that this is true.
            is_done = self._done
            try:
                return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if is_done:
                    break
                time.sleep(_PAUSE)
        raise self._error or PolyarchError(f"{self.descriptor.digest} could not be fetched")

    def _tell(self, path: str = "", arrived: int = 0, done: bool = False, error: PolyarchError | None = None) -> None:
        def change() -> None:
            self._path, self._arrived = path or self._path, arrived or self._arrived
            self._done, self._error = done, error
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

        # The loop has ended if the server stops while the last bytes arrive.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(change)
