"""Blobs of a repository (distribution-spec, "Pulling blobs", "Pushing blobs", "Mounting a blob")."""

import re
from urllib.parse import quote

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Readable
from polyarch.oci.reference import Reference
from polyarch.oci.verify import VerifyingReader
from polyarch.registry import elsewhere, uploads
from polyarch.registry.http import Body, joined
from polyarch.registry.response import Response
from polyarch.registry.wire import Wire

_RANGE = r"bytes (\d+)-\d*/(?:\d+|\*)"
# How often a download is resumed, or an upload begun again, without a byte of progress in between.
_ATTEMPTS = 5
_FIRST_PAUSE = 0.2


def open_(wire: Wire, descriptor: Descriptor) -> VerifyingReader:
    """A blob's bytes, verified while they are read; from its publisher where the registry does not have it."""
    try:
        return _Verified(_Download(wire, descriptor), wire, descriptor)
    except NotFoundError:
        if not descriptor.urls:
            raise
        return elsewhere.open_(wire.session.transport, descriptor)


class _Verified(VerifyingReader):
    """A blob that is verified while it comes. Where a mirror spoilt it, who asks again gets it from the registry."""

    def __init__(self, content: "_Download", wire: Wire, descriptor: Descriptor) -> None:
        super().__init__(content, descriptor, content.close, str(wire.reference))
        self._download = content
        self._wire = wire

    def read(self, size: int = -1, /) -> bytes:
        """As of Readable. Raises a retryable RegistryError in place of CorruptError where a mirror is to blame."""
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


class _Download:
    """A blob as it comes, resumed where the connection was cut. It owns one open answer at a time."""

    def __init__(self, wire: Wire, descriptor: Descriptor) -> None:
        self._wire = wire
        self._descriptor = descriptor
        self._position = 0
        self.mirrors: set[str] = set()
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
        if response.mirror:
            self.mirrors.add(response.mirror)
        try:
            if response.status == 206:
                match = re.match(_RANGE, response.header("Content-Range"))
                if match is None or int(match[1]) != start or response.is_gzipped:
                    raise RegistryError(f"{wire.name(digest)}: the registry sent another range than the requested rest")
                return response
            length = response.header("Content-Length")
            if _is_encoded(response, self._descriptor):
                response.inflate()
            elif length.isdigit() and int(length) != size:
                if wire.distrust(response.mirror):
                    response.close()
                    return self._open()
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


def _is_encoded(response: Response, descriptor: Descriptor) -> bool:
    """Whether what comes was compressed on its way.

    Storage behind a registry also says "gzip" of layers that are gzip files themselves: their length tells, or where
    none is said, whether there is a gzip file in the gzip file.
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
    digest = descriptor.digest
    headers = {"Range": f"bytes={offset}-{end - 1}"}
    pause = _FIRST_PAUSE
    for left in range(_ATTEMPTS - 1, -1, -1):
        with wire.read(
            "GET", f"blobs/{digest}", digest, what=wire.name(digest), headers=headers, ok=(200, 206)
        ) as response:
            skip = offset
            if response.status == 206:
                match = re.match(_RANGE, response.header("Content-Range"))
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
        wire.remember(digest)
    return found


def mount(wire: Wire, descriptor: Descriptor, origin: Reference) -> bool:
    """Ask the registry to take the blob from a neighbouring repository."""
    digest = descriptor.digest
    try:
        neighbour = wire.session.place(origin)
        if neighbour.host != wire.own.host or neighbour.repository == wire.own.repository:
            return False
        path = neighbour.repository
        target = wire.path(f"blobs/uploads/?mount={quote(digest, safe=':')}&from={quote(path, safe='/')}")
        what = f"{wire.name(digest)} cannot be mounted from {path}"
        with wire.request(
            "POST", target, what=what, headers={"Content-Length": "0"}, ok=(201, 202), push=True, beside=path
        ) as response:
            if response.status == 201:
                wire.remember(digest)
                return True
            location = response.header("Location")
            location = location and joined(response.url, location)
    except (RegistryError, NotFoundError):
        # A refusal to read the neighbour is no failure: the blob is sent instead, and fails there if all fails.
        return False
    # The registry began an upload in place of the mount: write_blob goes on with it, or close cancels it.
    if location:
        with wire.lock:
            wire.sessions.setdefault(digest, []).append(location)
    return False


def write(wire: Wire, descriptor: Descriptor, content: Readable) -> None:
    """Send a blob of known digest and size."""
    body = Body(_Sized(content, descriptor)) if descriptor.size else Body(b"")
    what = f"{wire.name(descriptor.digest)} cannot be written"
    with wire.lock:
        waiting = wire.sessions.get(descriptor.digest)
        location = waiting.pop() if waiting else ""
    pause = _FIRST_PAUSE
    for left in range(_ATTEMPTS - 1, -1, -1):
        location = location or uploads.begin(wire, what)
        try:
            uploads.finish(wire, location, descriptor.digest, descriptor.size, body, what)
            break
        except BaseException as error:
            # A session that failed once may have kept part of the bytes: it is not used again.
            uploads.cancel(wire, location)
            if not left or not _worth_another(error) or not body.rewind():
                raise
        location = ""
        wire.session.transport.sleep(pause)
        pause *= 2
    wire.remember(descriptor.digest)


class _Sized:
    """Content on its way out, of exactly the size that was announced; the registry itself checks the digest.

    A sender that stops short of its Content-Length would leave both sides waiting. Seekable where its content is.
    """

    def __init__(self, content: Readable, descriptor: Descriptor) -> None:
        self._content = content
        self._descriptor = descriptor
        self._left = descriptor.size
        if hasattr(content, "seek") and hasattr(content, "tell"):
            self.tell = content.tell
            self.seek = self._seek

    def read(self, size: int = -1, /) -> bytes:
        """As of Readable. Raises CorruptError where the content is shorter or longer."""
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


def _worth_another(error: BaseException) -> bool:
    # An upload session that the registry has lost (a restart, another node) is answered with 404.
    return isinstance(error, RegistryError) and (
        error.retryable or error.status == 404 or "BLOB_UPLOAD_UNKNOWN" in error.codes
    )
