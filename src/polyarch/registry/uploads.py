"""Uploads: begun by POST, fed by PATCH or not at all, ended by PUT (distribution-spec, "Pushing blobs")."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from polyarch.distribution import endpoints
from polyarch.distribution.errors import DIGEST_INVALID
from polyarch.errors import CorruptError, PolyarchError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import retry as retries
from polyarch.oci.digest import Digest
from polyarch.registry.http import Body, joined
from polyarch.registry.wire import Wire

if TYPE_CHECKING:
    from queue import Queue
    from threading import Thread

_OCTETS = "application/octet-stream"
# Pieces of an Upload that wait for the network: enough that neither side waits for the other, in little memory.
_QUEUED = 8


def begin(wire: Wire, what: str) -> str:
    """Begin an upload; returns its URL."""
    with wire.request(endpoints.START_UPLOAD, what=what, headers={"Content-Length": "0"}) as response:
        location = response.header("Location")
        if not location:
            raise RegistryError(f"{what}: the registry did not say where to upload it")
        return joined(response.url, location)


def finish(wire: Wire, location: str, digest: Digest, size: int, body: Body, what: str) -> None:
    """End an upload with its last `size` bytes and the digest of all of them. Raises CorruptError if they differ."""
    target = endpoints.with_digest(location, digest)
    headers = {"Content-Type": _OCTETS, "Content-Length": str(size)}
    try:
        with wire.request(
            endpoints.FINISH_UPLOAD, target, what=what, headers=headers, body=body, retry=retries.ONCE
        ) as response:
            stored = response.header("Docker-Content-Digest")
    except RegistryError as error:
        # The registry hashes what it gets, as distribution-spec requires, so it is not hashed here as well.
        if DIGEST_INVALID in error.codes:
            raise CorruptError(f"{what}: what was sent is not {digest}") from error
        raise
    if digests.is_digest(stored) and stored != digest:
        raise CorruptError(f"{what}: the registry stored it as {stored}")


def cancel(wire: Wire, location: str) -> None:
    """Tell the registry that nothing more will come."""
    try:
        wire.request(
            endpoints.CANCEL_UPLOAD,
            location,
            what="an upload cannot be cancelled",
            also_ok=range(200, 600),
            retry=retries.ONCE,
        ).close()
    except PolyarchError:
        # It is only tidy, not necessary: registries purge unfinished uploads, and some refuse to have them cancelled.
        return


class Upload:
    """A blob that is sent while it is made: PATCH as the bytes come, PUT with the digest at the end.

    It owns one sending thread and one upload at the registry. Leaving the `with` without commit cancels both. The bytes
    are not kept, so it cannot begin again: a `retryable` RegistryError means that the whole content must be sent once
    more, by write_blob or another Upload. Only one thread may use it at a time.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._what = f"a layer cannot be written to {wire.reference}"
        self._size = 0
        self._location = ""
        self._pieces: Queue[bytes] | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None
        self._done = False

    def write(self, data: bytes) -> int:
        """Send `data` in the background. Raises the RegistryError of sending earlier data."""
        if not data:
            return 0
        if self._thread is None:
            self._start()
        assert self._pieces is not None
        self._put(bytes(data))
        self._size += len(data)
        return len(data)

    def commit(self, digest: Digest) -> int:
        """Finish as the blob `digest`; returns its size in bytes. Raises CorruptError if it is another blob."""
        if self._thread is None:
            self._location = begin(self._wire, self._what)
        else:
            self._put(b"")
            self._join()
        finish(self._wire, self._location, digest, 0, Body(b""), self._what)
        self._done = True
        self._wire.remember(digest)
        return self._size

    def close(self) -> None:
        """Cancel what is not committed. Safe to call twice."""
        if self._done:
            return
        self._done = True
        if self._thread is not None and self._thread.is_alive():
            self._failure = self._failure or RegistryError(f"{self._what}: it was cancelled")
            self._drain()
            # It may hang in a send to a registry that reads nothing. Being a daemon, it then ends with the command.
            self._thread.join(timeout=10)
        if self._location:
            cancel(self._wire, self._location)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        """The next piece for the sending thread, empty after the last."""
        assert self._pieces is not None
        piece = self._pieces.get()
        if self._failure is not None:
            raise self._failure
        return piece

    def _start(self) -> None:
        import queue
        import threading

        self._location = begin(self._wire, self._what)
        self._pieces = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._send, name="upload", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            headers = {"Content-Type": _OCTETS, "Transfer-Encoding": "chunked"}
            with self._wire.request(
                endpoints.SEND_CHUNK,
                self._location,
                what=self._what,
                headers=headers,
                body=Body(self),
                retry=retries.ONCE,
            ) as response:
                self._location = joined(response.url, response.header("Location") or self._location)
        except BaseException as error:
            self._failure = self._failure or error

    def _put(self, piece: bytes) -> None:
        import queue

        assert self._pieces is not None
        assert self._thread is not None
        while True:
            self._check()
            try:
                # With a timeout, because a sender that failed takes nothing more.
                return self._pieces.put(piece, timeout=0.1)
            except queue.Full:
                if not self._thread.is_alive():
                    self._check()
                    raise RegistryError(f"{self._what}: the registry stopped accepting data", retryable=True) from None

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _drain(self) -> None:
        """Wake the sender, which then meets the failure."""
        import queue

        assert self._pieces is not None
        while True:
            try:
                self._pieces.put_nowait(b"")
                return
            except queue.Full:
                try:
                    self._pieces.get_nowait()
                except queue.Empty:
                    continue


def cancel_unused(wire: Wire) -> None:
    """Cancel the uploads that the registry began instead of a mount and that were not used."""
    with wire.lock:
        locations = [location for waiting in wire.uploads.values() for location in waiting]
        wire.uploads.clear()
    for location in locations:
        cancel(wire, location)
