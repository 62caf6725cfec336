"""A running Docker engine as the end of a copy: the archive is streamed into it through its socket.

The engine's API (`POST /images/load`) takes what `docker load` reads. podman's service answers to the same call.
"""

import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.transfer.tarball import ArchiveSink

if TYPE_CHECKING:
    from http.client import HTTPResponse

_PING_SECONDS = 2.0
_LOAD_SECONDS = 600.0
_PREFIX = "unix://"


class _Said(msgspec.Struct, frozen=True):
    """One line of the engine's answer."""

    stream: str = ""
    error: str = ""


class _Info(msgspec.Struct, frozen=True, rename="pascal"):
    """What is read of the engine's answer to /info."""

    driver_status: list[list[str]] | None = None


def find(hosts: Iterable[str]) -> str | None:
    """The path of the first socket that an engine answers at; `hosts` are as in DOCKER_HOST, or paths.

    Raises UnsupportedError for an engine that is not behind a socket of this machine.
    """
    for host in hosts:
        if "://" in host and not host.startswith(_PREFIX):
            raise UnsupportedError(
                f"the engine at {host} is not on this machine, and only a unix socket is supported",
                "push the image to a registry, or write an archive with -o type=docker,dest=FILE",
            )
        path = host.removeprefix(_PREFIX)
        if _answers(path):
            return path
    return None


def keeps_indexes(path: str) -> bool:
    """Whether the engine at the socket `path` keeps all platforms of an image: docker's with containerd's image store.

    Any other, podman among them, keeps the image for its own platform and drops the rest without an error.
    Raises PolyarchError where the engine does not answer.
    """
    with contextlib.closing(_connect(path, _PING_SECONDS)) as connection:
        connection.sendall(b"GET /info HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        response = _response(connection)
        said = response.read()
    try:
        info = msgspec.json.decode(said, type=_Info)
    except (msgspec.DecodeError, ValueError, RecursionError):
        info = _Info()
    # What buildx looks at.
    return ["driver-type", "io.containerd.snapshotter.v1"] in (info.driver_status or [])


def load(path: str, fill: Callable[[ArchiveSink], None]) -> tuple[str, ...]:
    """Let the engine at the socket `path` load the archive that `fill` writes; what the engine says, by line.

    Raises PolyarchError with the engine's own words.
    """
    with contextlib.closing(_connect(path, _LOAD_SECONDS)) as connection:
        request = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
        body = _Chunked(connection)
        # An engine that refuses stops reading; what it says then matters more than the broken pipe.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall((request + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode())
            fill(body)
            body.finish()
        response = _response(connection)
        said = response.read()
    lines = [_decode(line) for line in said.splitlines() if line.strip()]
    failed = next((line.error for line in lines if line.error), "")
    if response.status != 200 or failed:
        what = failed or said.decode(errors="replace").strip() or f"status {response.status}"
        raise PolyarchError(f"the engine at {path} did not load the image: {what}", "see the engine's log")
    return tuple(line.stream.strip() for line in lines if line.stream.strip())


class _Chunked:
    """A Writable that sends each write as a chunk (RFC 9112, section 7.1). It owns nothing."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: bytes, /) -> None:
        if data:
            self._connection.sendall(b"%x\r\n" % len(data))
            self._connection.sendall(data)
            self._connection.sendall(b"\r\n")

    def finish(self) -> None:
        self._connection.sendall(b"0\r\n\r\n")


def _answers(path: str) -> bool:
    import http.client

    try:
        connection = _connect(path, _PING_SECONDS)
    except PolyarchError:
        return False
    try:
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        return _response(connection).status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connect(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise PolyarchError(
            f"no engine answers at {path}: {error.strerror or error}", "start it, or write an archive with dest=FILE"
        ) from error
    return connection


def _response(connection: socket.socket) -> "HTTPResponse":
    import http.client

    response = http.client.HTTPResponse(connection)
    response.begin()
    return response


def _decode(line: bytes) -> _Said:
    try:
        return msgspec.json.decode(line, type=_Said)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _Said(stream=line.decode(errors="replace"))
