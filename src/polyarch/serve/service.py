"""What the handlers of requests work with."""

import asyncio
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from polyarch.serve.guard import Guard
from polyarch.serve.membership import Membership
from polyarch.serve.mirror import PullThrough
from polyarch.serve.quota import Quota
from polyarch.serve.repositories import Repositories
from polyarch.serve.settings import ServeSettings
from polyarch.serve.uploads import MOST_UPLOADS, Uploads
from polyarch.store import Store

# Of those that read, and of those that write. More would only wait for the same disk.
_THREADS = 16
_Result = TypeVar("_Result")
# What is told of errors that are not the client's.
Report = Callable[[Exception], None]
# The longest pause in seconds between two looks for uploads that were left.
_PAUSE = 60.0


class Service:
    """A store that is served, and the threads that wait for its disk. It owns the unfinished uploads and the threads,
    until `close`, not the store. Errors that are not the client's are given to `report`. Without `guard`, a client may
    do everything.
    """

    def __init__(
        self,
        store: Store,
        settings: ServeSettings,
        report: Report,
        guard: Guard | None = None,
        mirror: PullThrough | None = None,
    ) -> None:
        self.settings = settings
        self.guard = guard or Guard(None, (), any_name=True)
        self.report = report
        self.mirror = mirror
        store.refuse_when_full()
        self.repositories = Repositories(store)
        self.membership = Membership(self.repositories)
        self.quota: Quota | None = None
        if settings.quota is None:
            self.uploads = Uploads(store, settings.upload_seconds, most=most_uploads())
        else:
            self.quota = quota = Quota(settings.quota, self.repositories, lambda: self.uploads.bytes)
            self.uploads = Uploads(store, settings.upload_seconds, most=most_uploads(), admit=quota.require)
        # Uploads that arrive through the event loop now; only that changes it.
        self.receiving = 0
        self._readers = ThreadPoolExecutor(_THREADS, "serve-read")
        self._writers = ThreadPoolExecutor(_THREADS, "serve-write")

    def run(self, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Start `work`, which reads and does not take long, on a thread."""
        return asyncio.get_running_loop().run_in_executor(self._readers, work)

    def write(self, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Start `work`, which waits for what it writes, on a thread of others: pulls do not wait for pushes."""
        return asyncio.get_running_loop().run_in_executor(self._writers, work)

    async def keep_house(self) -> None:
        """Remove uploads that were left and content that nothing names, from time to time, until it is cancelled."""
        now = asyncio.get_running_loop().time
        settings = self.settings
        turned = now()
        while True:
            await asyncio.sleep(min(_PAUSE, settings.upload_seconds / 4, settings.lease_seconds))
            try:
                await self.write(self.uploads.clear)
                if now() - turned >= settings.lease_seconds:
                    turned = now()
                    await self.write(self.repositories.leftovers.turn)
                    if self.quota is not None:
                        self.quota.turn()
            except Exception as error:  # the next time may go better, and requests are answered meanwhile
                self.report(error)

    def close(self) -> None:
        """Remove unfinished uploads, and wait for the threads."""
        self._readers.shutdown()
        self._writers.shutdown()
        self.uploads.close()


def most_uploads() -> int:
    """How many uploads there may be at once: each takes one of the descriptors of this process."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MOST_UPLOADS, descriptors // 4))
