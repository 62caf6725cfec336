"""Uploads: begun by POST, fed by PATCH or not at all, ended by PUT (distribution-spec, "Pushing blobs")."""

from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from polyarch.errors import CorruptError, PolyarchError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.registry.http import Body, joined
from polyarch.registry.wire import Wire

if TYPE_CHECKING:
    from queue import Queue
    from threading import Thread

_OCTETS = "application/octet-stream"
# Pieces of an Upload that wait for the network: enough that neither side waits for the other, and little memory.
_QUEUED = 8


def begin(wire: Wire, what: str) -> str:
    """A new upload's URL."""
    target = wire.path("blobs/uploads/")
    with wire.request("POST", target, what=what, headers={"Content-Length": "0"}, ok=(202,), push=True) as response:
        location = response.header("Location")
        if not location:
            raise RegistryError(f"{what}: the registry did not say where to upload it")
        return joined(response.url, location)


def finish(wire: Wire, location: str, digest: Digest, size: int, body: Body, what: str) -> None:
    """End an upload: the last `size` bytes, and the digest that all of them have. Raises CorruptError if not so."""
    target = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
    headers = {"Content-Type": _OCTETS, "Content-Length": str(size)}
    try:
        with wire.request(
            "PUT", target, what=what, headers=headers, body=body, ok=(201, 204), push=True, attempts=1
        ) as response:
            stored = response.header("Docker-Content-Digest")
    except RegistryError as error:
        # The registry hashes what it gets (distribution-spec asks it to), so nobody hashes it once more here.
        if "DIGEST_INVALID" in error.codes:
            raise CorruptError(f"{what}: what was sent is not {digest}") from error
        raise
    if digests.is_digest(stored) and stored != digest:
        raise CorruptError(f"{what}: the registry stored it as {stored}")


def cancel(wire: Wire, location: str) -> None:
    """Tell the registry that nothing more will come."""
    try:
        wire.request(
            "DELETE", location, what="an upload cannot be cancelled", ok=range(200, 600), push=True, attempts=1
        ).close()
    except PolyarchError:
        # Tidiness, not need: registries purge uploads that nobody ends, and some refuse to have them cancelled.
        return


class Upload:
    """A blob that is sent while it is made: PATCH as the bytes come, PUT with the digest at the end.

    It owns one sending thread and one upload session of the registry. Leaving the `with` without commit cancels
    both. What was sent is gone, so it cannot begin again: a RegistryError that is `retryable` means that the whole
    content must be offered anew, by write_blob or another Upload. One thread uses it at a time.
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
        """Send `data`, in the background. Raises the RegistryError that sending earlier data ended with."""
        if not data:
            return 0
        if self._thread is None:
            self._start()
        assert self._pieces is not None
        self._put(bytes(data))
        self._size += len(data)
        return len(data)

    def commit(self, digest: Digest) -> int:
        """Finish as the blob `digest`; the size in bytes. Raises CorruptError if what was written is another blob."""
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
            # It may hang in a send to a registry that takes nothing; being a daemon it then ends with the command.
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
        """What the sending thread takes: the next piece, empty after the last."""
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
                "PATCH",
                self._location,
                what=self._what,
                headers=headers,
                body=Body(self),
                ok=(202, 204),
                push=True,
                attempts=1,
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
                # Looked at now and then, because a sender that failed takes nothing any more.
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
    """Cancel the uploads that registries began in place of mounts and that nothing has used."""
    with wire.lock:
        locations = [location for waiting in wire.sessions.values() for location in waiting]
        wire.sessions.clear()
    for location in locations:
        cancel(wire, location)
