"""Blobs of a repository (distribution-spec, "Pulling blobs", "Pushing blobs", "Mounting a blob")."""

import msgspec

from polyarch.distribution import endpoints, headers
from polyarch.distribution.auth import repository_scope
from polyarch.distribution.endpoints import Operation
from polyarch.distribution.errors import BLOB_UPLOAD_UNKNOWN
from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable
from polyarch.oci.reference import Reference
from polyarch.oci.verify import VerifyingReader
from polyarch.registry import elsewhere, uploads
from polyarch.registry.http import Body, Headers, joined
from polyarch.registry.response import Response
from polyarch.registry.wire import NO_HEAD, Wire

_PIECE = 1 << 20
_OCTETS = "application/octet-stream"


def open_(wire: Wire, descriptor: Descriptor) -> VerifyingReader:
    """A blob's bytes, verified while they are read; from its publisher if the registry does not have it."""
    try:
        return _VerifiedDownload(_ResumedDownload(wire, descriptor), wire, descriptor)
    except NotFoundError:
        if not descriptor.urls:
            raise
        return elsewhere.open_(wire.session.transport, descriptor)


class _VerifiedDownload(VerifyingReader):
    """A blob that is verified while it is read. If a mirror spoilt it, another attempt goes to the registry."""

    def __init__(self, content: "_ResumedDownload", wire: Wire, descriptor: Descriptor) -> None:
        super().__init__(content, descriptor, content.close, str(wire.reference))
        self._download = content
        self._wire = wire

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. If a mirror is to blame, raises a retryable RegistryError, not CorruptError."""
        try:
            return super().read(size)
        except CorruptError as error:
            mirrors = [mirror for mirror in self._download.mirrors if self._wire.distrust(mirror)]
            if not mirrors:
                raise
            raise RegistryError(
                f"{error.message} (from the mirror {', '.join(mirrors)})",
                "try again: that mirror will be skipped; or remove it from registries.conf",
                retryable=True,
            ) from error


class _ResumedDownload:
    """A blob's bytes as they arrive, resumed if the connection is cut. It owns one open response at a time."""

    def __init__(self, wire: Wire, descriptor: Descriptor) -> None:
        self._wire = wire
        self._descriptor = descriptor
        self._position = 0
        self.mirrors: set[str] = set()
        self._response: Response | None = self._open()

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. It never ends before the descriptor's size."""
        session = self._wire.session
        return session.retry.call(lambda: self._read(size), session.transport.sleep)

    def _read(self, size: int) -> bytes:
        if self._response is None:
            self._response = self._open()
        try:
            chunk = self._response.read(size)
            missing = self._descriptor.size - self._position
            if not chunk and missing > 0 and size != 0:
                raise RegistryError(
                    f"{self._wire.name(self._descriptor.digest)} ended {missing} bytes too early", retryable=True
                )
        except RegistryError:
            self.close()
            if self._position == self._descriptor.size:
                return b""  # cut behind the last byte
            raise
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _open(self) -> Response:
        wire, digest = self._wire, self._descriptor.digest
        name, start = wire.name(digest), self._position
        sent = {"Range": headers.byte_range(start)} if start else {}
        response = wire.read(endpoints.PULL_BLOB, digest, what=name, headers=sent, digest=digest)
        if response.mirror:
            self.mirrors.add(response.mirror)
        try:
            if response.status == 206:
                if headers.range_start(response.header("Content-Range")) != start or response.is_gzipped:
                    raise RegistryError(f"{name}: the registry sent another range than the requested rest")
                return response
            length = response.header("Content-Length")
            if _is_encoded(response, self._descriptor):
                response.inflate()
            elif length.isdigit() and int(length) != self._descriptor.size:
                if wire.distrust(response.mirror):
                    response.close()
                    return self._open()
                raise CorruptError(
                    f"{name} has {length} bytes in the registry, not the {self._descriptor.size} it claims"
                )
            # The server ignores ranges: what was read already is read once more and dropped.
            if not _skip(response, start):
                raise RegistryError(f"{name} ended too early", retryable=True)
        except BaseException:
            response.close()
            raise
        return response


def _skip(response: Response, size: int) -> bool:
    """Read and drop `size` bytes; False if the body ends before."""
    while size > 0 and (dropped := response.read(min(size, _PIECE))):
        size -= len(dropped)
    return size == 0


def _is_encoded(response: Response, descriptor: Descriptor) -> bool:
    """Whether the body was compressed on its way.

    Storage behind a registry also says "gzip" of layers that are gzip files themselves. The length tells the two apart,
    or without one, whether there is a gzip file inside the gzip file.
    """
    length = response.header("Content-Length")
    if not response.is_gzipped or length == str(descriptor.size):
        return False
    return bool(length) or not descriptor.media_type.endswith("gzip") or response.holds_gzip()


def read_range(wire: Wire, descriptor: Descriptor, offset: int, size: int) -> bytes:
    """Bytes from the middle of a blob."""
    end = min(offset + size, descriptor.size)
    if end <= offset:
        return b""
    return wire.session.retry.call(lambda: _read_range(wire, descriptor, offset, end), wire.session.transport.sleep)


def _read_range(wire: Wire, descriptor: Descriptor, offset: int, end: int) -> bytes:
    digest, name = descriptor.digest, wire.name(descriptor.digest)
    sent = {"Range": headers.byte_range(offset, end)}
    with wire.read(endpoints.PULL_BLOB, digest, what=name, headers=sent, digest=digest) as response:
        skip = offset
        if response.status == 206:
            if headers.range_start(response.header("Content-Range")) != offset:
                raise RegistryError(f"{name}: the registry sent another range than was asked for")
            skip = 0
        piece = response.read(end - offset) if _skip(response, skip) else b""
        if len(piece) != end - offset:
            raise RegistryError(f"{name} ended too early", retryable=True)
        return piece


def has(wire: Wire, descriptor: Descriptor) -> bool:
    """Whether the repository itself, not a mirror, has the blob."""
    digest = descriptor.digest
    if wire.is_known(digest):
        return True
    found = _answers(wire, endpoints.CHECK_BLOB, descriptor, {})
    if found is None:
        # Artifactory forbids the question to some accounts that may push. Where GET is forbidden as well, PUT decides.
        found = _answers(wire, endpoints.PULL_BLOB, descriptor, {"Range": headers.byte_range(0, 1)})
    if found:
        wire.remember(digest)
    return bool(found)


def describe(wire: Wire, digest: Digest) -> Descriptor:
    """A blob of the repository or its mirrors by its digest alone: its size, and no particular media type."""
    name = wire.name(digest)
    with wire.read(endpoints.CHECK_BLOB, digest, what=name, also_ok=NO_HEAD, digest=digest) as response:
        length = response.header("Content-Length")
        if response.status == 200 and length.isdigit() and not response.is_gzipped:
            return Descriptor(_OCTETS, digest, int(length))
        if response.status == 404:
            raise NotFoundError(f"{name}: the registry has no such blob")
    # Two bytes, because an empty blob has no first one, and any range but all of a one-byte blob says how long it is.
    sent = {"Range": headers.byte_range(0, 2)}
    with wire.read(endpoints.PULL_BLOB, digest, what=name, headers=sent, digest=digest) as response:
        ranged = response.header("Content-Range").rpartition("/")[2]
        length = ranged if response.status == 206 else response.header("Content-Length")
        if not length.isdigit():
            raise RegistryError(f"{name}: the registry does not say how large it is")
        return Descriptor(_OCTETS, digest, int(length))


def _answers(wire: Wire, operation: Operation, descriptor: Descriptor, sent: Headers) -> bool | None:
    """Whether the registry says that it has the blob in this size; None if it does not say."""
    digest = descriptor.digest
    with wire.request(operation, what=wire.name(digest), also_ok=NO_HEAD, headers=sent, digest=digest) as response:
        length = response.header("Content-Length")
        if response.status == 200:
            return not length.isdigit() or int(length) == descriptor.size
        return {206: True, 404: False}.get(response.status)


def mount(wire: Wire, descriptor: Descriptor, origin: Reference) -> bool:
    """Ask the registry to take the blob from another of its repositories."""
    digest = descriptor.digest
    try:
        neighbour = wire.session.endpoint(origin)
        if neighbour.host != wire.own.host or neighbour.repository == wire.own.repository:
            return False
        path = neighbour.repository
        with wire.request(
            endpoints.MOUNT_BLOB,
            what=f"{wire.name(digest)} cannot be mounted from {path}",
            headers={"Content-Length": "0"},
            scope=repository_scope(path, "pull"),
            digest=digest,
            origin=path,
        ) as response:
            return _is_mounted(wire, digest, response)
    except (RegistryError, NotFoundError):
        # If the mount is refused, the blob is uploaded instead, and the upload reports any real error.
        return False


def take(wire: Wire, descriptor: Descriptor) -> bool:
    """Ask the registry to take the blob from anywhere. Otherwise it begins an upload: no request more than without."""
    digest = descriptor.digest
    try:
        with wire.request(
            endpoints.TAKE_BLOB, what=wire.name(digest), headers={"Content-Length": "0"}, digest=digest
        ) as response:
            return _is_mounted(wire, digest, response)
    except (RegistryError, NotFoundError):
        return False  # as above


def _is_mounted(wire: Wire, digest: Digest, response: Response) -> bool:
    """Whether a blob was mounted. If not, the upload that was begun is kept for `write`."""
    if response.status == 201:
        wire.remember(digest)
        return True
    location = response.header("Location")
    location = location and joined(response.url, location)
    # The registry began an upload instead of the mount. write_blob uses it, or close cancels it.
    if location:
        with wire.lock:
            wire.uploads.setdefault(digest, []).append(location)
    return False


def write(wire: Wire, descriptor: Descriptor, content: Readable) -> None:
    """Send a blob of known digest and size."""
    body = Body(_Sized(content, descriptor)) if descriptor.size else Body(b"")
    what = f"{wire.name(descriptor.digest)} cannot be written"
    with wire.lock:
        waiting = wire.uploads.get(descriptor.digest)
        begun = [waiting.pop()] if waiting else []

    def send() -> None:
        location = begun.pop() if begun else uploads.begin(wire, what)
        try:
            uploads.finish(wire, location, descriptor.digest, descriptor.size, body, what)
        except BaseException:
            # An upload that failed once may have kept part of the bytes: it is not used again.
            uploads.cancel(wire, location)
            raise

    retry = msgspec.structs.replace(wire.session.retry, retries=_may_succeed)
    retry.call(send, wire.session.transport.sleep, body.rewind)
    wire.remember(descriptor.digest)


class _Sized:
    """Content to be sent, of exactly the size that was announced; the registry checks the digest.

    A sender that stops short of its Content-Length would leave both sides waiting. Seekable if its content is.
    """

    def __init__(self, content: Readable, descriptor: Descriptor) -> None:
        self._content = content
        self._descriptor = descriptor
        self._left = descriptor.size
        if hasattr(content, "seek") and hasattr(content, "tell"):
            self.tell = content.tell
            self.seek = self._seek

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises CorruptError if the content is shorter or longer."""
        chunk = self._content.read(size)
        self._left -= len(chunk)
        if self._left < 0 or (self._left and not chunk and size):
            raise CorruptError(
                f"the content of {self._descriptor.digest} does not have the declared {self._descriptor.size} bytes"
            )
        return chunk

    def _seek(self, position: int) -> None:
        self._content.seek(position)  # type: ignore[attr-defined]
        self._left = self._descriptor.size


def _may_succeed(error: Exception) -> bool:
    # An upload that the registry has lost (by a restart, or on another node) is answered with 404.
    if not isinstance(error, RegistryError) or error.exhausted:
        return False
    return error.retryable or error.status == 404 or BLOB_UPLOAD_UNKNOWN in error.codes
