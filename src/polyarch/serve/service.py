"""What the handlers of requests work with."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from polyarch.serve.repositories import Repositories
from polyarch.serve.settings import ServeSettings
from polyarch.serve.uploads import Uploads
from polyarch.store import Store

# More threads would only wait for the same disk.
_THREADS = 16
_Result = TypeVar("_Result")


class Service:
    """A store that is served, and the threads that wait for its disk. It owns the unfinished uploads and the threads,
    until `close`, not the store.
    """

    def __init__(self, store: Store, settings: ServeSettings) -> None:
        self.settings = settings
        self.repositories = Repositories(store)
        self.uploads = Uploads(store, settings.upload_seconds)
        self._threads = ThreadPoolExecutor(_THREADS, "serve")

    def run(self, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Start `work`, which blocks, on a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Remove unfinished uploads, and wait for the threads."""
        self._threads.shutdown()
        self.uploads.close()
