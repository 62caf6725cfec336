"""The carrier that needs no registry: the command answers the requests of members itself, as `polyarch serve` does.

It serves a store of its own, in a temporary directory: members see what was published for this build and nothing else
of the user's store, and what they send has no name there. Blobs are linked, not copied.
"""

import contextlib
import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aiohttp import web

from polyarch import progress
from polyarch.farm.carrier import HTTPFactory, keep_blob
from polyarch.farm.messages import CarrierAddress
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve.app import make_app
from polyarch.serve.service import Service
from polyarch.serve.settings import ServeSettings
from polyarch.store import Store

if TYPE_CHECKING:
    from polyarch.transfer.read_through import ReadThroughSource

# Members reach it through the port of the exchange, whatever the host in the reference is.
_REFERENCE = "localhost:1/farm"
# Seconds that an idle connection of a member is kept.
_KEEP_ALIVE = 600.0
# Seconds that a request may take to finish when the build has ended.
_GRACE = 0.5


class OwnCarrier:
    """Implements `LayerCarrier`. It owns a temporary directory of `store` and a server, between `start` and `stop`."""

    login = None

    def __init__(self, store: Store, source: "ReadThroughSource", emit: progress.Emit = progress.ignore) -> None:
        self._store = store
        self._source = source
        self._emit = emit
        self.address = CarrierAddress(reference=_REFERENCE, through=True)
        self._opened = ExitStack()
        self._served: Store | None = None
        self._service: Service | None = None
        self._runner: web.AppRunner | None = None
        self._lock = threading.Lock()
        self._linked: set[Digest] = set()

    async def start(self) -> HTTPFactory:
        """Implements `LayerCarrier`."""
        directory = self._opened.enter_context(self._store.temporary())
        self._served = Store.open(directory / "carrier", cache_limit=None)
        self._opened.callback(self._served.close, tidy=False)
        self._service = Service(self._served, ServeSettings(page=False), self._report)
        self._runner = web.AppRunner(
            make_app(self._service),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEP_ALIVE,
            shutdown_timeout=_GRACE,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        return self._runner.server

    async def stop(self) -> None:
        """Implements `LayerCarrier`."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._service is not None:
            self._service.close()
        self._opened.close()

    def publish(self, blobs: Sequence[Descriptor]) -> None:
        """Implements `LayerCarrier`."""
        for blob in blobs:
            if blob.digest not in self._linked:
                if not self._store.has_blob(blob):
                    self._source.fetch(blob)
                self._link(blob.digest)

    def fetch(self, blob: Descriptor) -> None:
        """Implements `LayerCarrier`."""
        if self._store.has_blob(blob):
            return
        assert self._served is not None
        with self._served.open_blob(blob) as reader:
            self._store.write_blob(blob, reader)

    def keep(self, blob: Descriptor, content: bytes) -> None:
        """Implements `LayerCarrier`."""
        keep_blob(self._store, blob, content)

    def _link(self, digest: Digest) -> None:
        assert self._served is not None
        path = self._served.blob_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(self._store.blob_path(digest), path)
        with self._lock:
            self._linked.add(digest)

    def _report(self, error: Exception) -> None:
        self._emit(progress.Warned(f"a member of the farm was not answered: {error}"))
