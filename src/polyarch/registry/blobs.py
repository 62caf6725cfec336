"""Blobs of a repository (distribution-spec, "Pulling blobs", "Pushing blobs", "Mounting a blob")."""

import hashlib
import re
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urljoin

from polyarch.errors import CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable
from polyarch.oci.reference import Reference
from polyarch.oci.verify import VerifyingReader
from polyarch.registry.http import Body, Response
from polyarch.registry.wire import Wire

if TYPE_CHECKING:
    from queue import Queue
    from threading import Thread

_OCTETS = "application/octet-stream"
_RANGE = re.compile(r"bytes (\d+)-\d*/(?:\d+|\*)")
# How often a download is resumed, or an upload begun again, without a byte of progress in between.
_ATTEMPTS = 5
_FIRST_PAUSE = 0.2
# Pieces of an Upload that wait for the network: enough that neither side waits for the other, and little memory.
_QUEUED = 8


def open_(wire: Wire, descriptor: Descriptor) -> VerifyingReader:
    """A blob's bytes, verified while they are read."""
    content = _Download(wire, descriptor)
    return VerifyingReader(content, descriptor, content.close, str(wire.reference))


class _Download:
    """A blob as it comes, resumed where the connection was cut. It owns one open answer at a time."""

    def __init__(self, wire: Wire, descriptor: Descriptor) -> None:
        self._wire = wire
        self._descriptor = descriptor
        self._position = 0
        self._response: Response | None = self._open()

    def read(self, size: int = -1, /) -> bytes:
        """As of Readable. Never short: at the end of what the descriptor claims there is nothing more."""
        pause = _FIRST_PAUSE
        for left in range(_ATTEMPTS - 1, -1, -1):
            if self._response is None:
                self._response = self._open()  # which has its own patience
            try:
                chunk = self._response.read(size)
                missing = self._descriptor.size - self._position
                if not chunk and missing > 0 and size != 0:
                    raise RegistryError(
                        f"{self._wire.name(self._descriptor.digest)} ended {missing} bytes too early", retryable=True
                    )
            except RegistryError as error:
                self.close()
                if self._position == self._descriptor.size:
                    return b""  # cut behind the last byte
                if not left or not error.retryable:
                    raise
                self._wire.session.transport.sleep(pause)
                pause *= 2
            else:
                self._position += len(chunk)
                return chunk
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Let go of the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _open(self) -> Response:
        wire, digest, size = self._wire, self._descriptor.digest, self._descriptor.size
        start = self._position
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = wire.read("GET", f"blobs/{digest}", digest, what=wire.name(digest), headers=headers, ok=(200, 206))
        try:
            if response.status == 206:
                match = _RANGE.match(response.header("Content-Range"))
                if match is None or int(match[1]) != start:
                    raise RegistryError(f"{wire.name(digest)}: asked for the rest, the registry sent another range")
                return response
            length = response.header("Content-Length")
            if length.isdigit() and int(length) != size:
                raise CorruptError(f"{wire.name(digest)} has {length} bytes in the registry, not the {size} it claims")
            # The server does not know ranges: what is there already is read once more and dropped.
            while start > 0:
                dropped = response.read(min(start, 1 << 20))
                if not dropped:
                    raise RegistryError(f"{wire.name(digest)} ended too early", retryable=True)
                start -= len(dropped)
        except BaseException:
            response.close()
            raise
        return response


def read_range(wire: Wire, descriptor: Descriptor, offset: int, size: int) -> bytes:
    """Bytes from the middle of a blob."""
    end = min(offset + size, descriptor.size)
    if end <= offset:
        return b""
    digest = descriptor.digest
    headers = {"Range": f"bytes={offset}-{end - 1}"}
    pause = _FIRST_PAUSE
    for left in range(_ATTEMPTS - 1, -1, -1):
        with wire.read(
            "GET", f"blobs/{digest}", digest, what=wire.name(digest), headers=headers, ok=(200, 206)
        ) as response:
            skip = offset
            if response.status == 206:
                match = _RANGE.match(response.header("Content-Range"))
                skip = offset - int(match[1]) if match else -1
                if skip != 0:
                    raise RegistryError(f"{wire.name(digest)}: the registry sent another range than was asked for")
            try:
                while skip > 0 and (dropped := response.read(min(skip, 1 << 20))):
                    skip -= len(dropped)
                piece = response.read(end - offset)
                if len(piece) == end - offset:
                    return piece
                problem = RegistryError(f"{wire.name(digest)} ended too early", retryable=True)
            except RegistryError as error:
                problem = error
        if not left:
            raise problem
        wire.session.transport.sleep(pause)
        pause *= 2
    raise AssertionError("the last attempt returns or raises")


def has(wire: Wire, descriptor: Descriptor) -> bool:
    """Whether the repository itself, not a mirror, has the blob."""
    digest = descriptor.digest
    with wire.lock:
        if digest in wire.known:
            return True
    with wire.request("HEAD", wire.path(f"blobs/{digest}"), what=wire.name(digest), ok=(200, 404)) as response:
        length = response.header("Content-Length")
        found = response.status == 200 and not (length.isdigit() and int(length) != descriptor.size)
    if found:
        _remember(wire, digest)
    return found


def mount(wire: Wire, descriptor: Descriptor, origin: Reference) -> bool:
    """Ask the registry to take the blob from a neighbouring repository."""
    if origin.domain != wire.reference.domain or origin.repository == wire.reference:
        return False
    digest = descriptor.digest
    target = wire.path(f"blobs/uploads/?mount={quote(digest, safe=':')}&from={quote(origin.path, safe='/')}")
    what = f"{wire.name(digest)} cannot be mounted from {origin.path}"
    try:
        with wire.request(
            "POST", target, what=what, headers={"Content-Length": "0"}, ok=(201, 202), push=True, beside=origin.path
        ) as response:
            if response.status == 201:
                _remember(wire, digest)
                return True
            location = urljoin(response.url, response.header("Location"))
    except (RegistryError, NotFoundError):
        # A refusal to read the neighbour is no failure: the blob is sent instead, and fails there if all fails.
        return False
    # The registry began an upload in place of the mount: write_blob goes on with it, or close cancels it.
    with wire.lock:
        wire.sessions[digest] = location
    return False


def write(wire: Wire, descriptor: Descriptor, content: Readable) -> None:
    """Send a blob of known digest and size."""
    body = Body(_Checked(content, descriptor)) if descriptor.size else Body(b"")
    what = f"{wire.name(descriptor.digest)} cannot be written"
    with wire.lock:
        location = wire.sessions.pop(descriptor.digest, "")
    pause = _FIRST_PAUSE
    for left in range(_ATTEMPTS - 1, -1, -1):
        location = location or _begin(wire, what)
        try:
            _put(wire, location, descriptor.digest, descriptor.size, body, what)
            break
        except BaseException as error:
            # A session that failed once may have kept part of the bytes: it is not used again.
            _cancel(wire, location)
            if not left or not _worth_another(error) or not body.rewind():
                raise
        location = ""
        wire.session.transport.sleep(pause)
        pause *= 2
    _remember(wire, descriptor.digest)


class Upload:
    """A blob that is sent while it is made: PATCH as the bytes come, PUT with the digest at the end.

    It owns one sending thread and one upload session of the registry. Leaving the `with` without commit cancels
    both. What was sent is gone, so it cannot begin again: a RegistryError that is `retryable` means that the whole
    content must be offered anew, by write_blob or another Upload. One thread uses it at a time.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._what = f"a layer cannot be written to {wire.reference}"
        self._hash = hashlib.sha256()
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
        self._hash.update(data)
        self._size += len(data)
        return len(data)

    def commit(self, digest: Digest) -> int:
        """Finish as the blob `digest`; the size in bytes. Raises CorruptError if what was written is another blob."""
        found = f"sha256:{self._hash.hexdigest()}"
        if digests.algorithm(digest) == "sha256" and found != digest:
            raise CorruptError(f"what was sent to {self._wire.reference} has the digest {found}, not {digest}")
        if self._thread is None:
            self._location = _begin(self._wire, self._what)
        else:
            self._put(b"")
            self._join()
        _put(self._wire, self._location, digest, 0, Body(b""), self._what)
        self._done = True
        _remember(self._wire, digest)
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
            _cancel(self._wire, self._location)

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

        self._location = _begin(self._wire, self._what)
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
                self._location = urljoin(response.url, response.header("Location") or self._location)
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
                    raise RegistryError(f"{self._what}: the registry took no more", retryable=True) from None

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
        locations = list(wire.sessions.values())
        wire.sessions.clear()
    for location in locations:
        _cancel(wire, location)


class _Checked:
    """Content on its way out, verified here unless it is verified already. Seekable where its content is."""

    def __init__(self, content: Readable, descriptor: Descriptor) -> None:
        self._content = content
        self._descriptor = descriptor
        self._reader = self._fresh()
        if hasattr(content, "seek") and hasattr(content, "tell"):
            self.tell = content.tell
            self.seek = self._seek

    def read(self, size: int = -1, /) -> bytes:
        """As of Readable."""
        return self._reader.read(size)

    def _seek(self, position: int) -> None:
        self._content.seek(position)  # type: ignore[attr-defined]
        self._reader = self._fresh()

    def _fresh(self) -> Readable:
        if isinstance(self._content, VerifyingReader):
            return self._content
        return VerifyingReader(self._content, self._descriptor, where="what is to be sent")


def _begin(wire: Wire, what: str) -> str:
    """A new upload's URL."""
    target = wire.path("blobs/uploads/")
    with wire.request("POST", target, what=what, headers={"Content-Length": "0"}, ok=(202,), push=True) as response:
        location = response.header("Location")
        if not location:
            raise RegistryError(f"{what}: the registry gives no place to send it to")
        return urljoin(response.url, location)


def _put(wire: Wire, location: str, digest: Digest, size: int, body: Body, what: str) -> None:
    """End an upload: the last `size` bytes, and the digest that all of them have."""
    target = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"
    headers = {"Content-Type": _OCTETS, "Content-Length": str(size)}
    with wire.request(
        "PUT", target, what=what, headers=headers, body=body, ok=(201, 204), push=True, attempts=1
    ) as response:
        stored = response.header("Docker-Content-Digest")
    if digests.is_digest(stored) and stored != digest:
        raise CorruptError(f"{what}: the registry stored it as {stored}")


def _cancel(wire: Wire, location: str) -> None:
    try:
        wire.request(
            "DELETE", location, what="an upload cannot be cancelled", ok=range(200, 600), push=True, attempts=1
        ).close()
    except PolyarchError:
        # Tidiness, not need: registries purge uploads that nobody ends, and some refuse to have them cancelled.
        return


def _worth_another(error: BaseException) -> bool:
    # An upload session that the registry has lost (a restart, another node) is answered with 404.
    return isinstance(error, NotFoundError) or (
        isinstance(error, RegistryError) and (error.retryable or "BLOB_UPLOAD_UNKNOWN" in error.codes)
    )


def _remember(wire: Wire, digest: Digest) -> None:
    with wire.lock:
        wire.known.add(digest)
