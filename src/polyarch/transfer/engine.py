"""A running Docker engine as the target of a copy: the archive is streamed into it through its socket.

The engine's API (`POST /images/load`) accepts what `docker load` reads. podman's service has the same call.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.transfer.tarball import ArchiveSink

if TYPE_CHECKING:
    from polyarch.registry.connection import ChunkWriter

_PING_SECONDS = 2.0
_LOAD_SECONDS = 600.0
_PREFIX = "unix://"


class _EngineLine(msgspec.Struct, frozen=True):
    """One line of the engine's response to a load."""

    stream: str = ""
    error: str = ""


class _EngineInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of the engine's response to /info that is used."""

    driver_status: list[list[str]] | None = None


def find(hosts: Iterable[str]) -> str | None:
    """The path of the first socket at which an engine answers; `hosts` are as in DOCKER_HOST, or paths. Raises
    UnsupportedError for an engine that is not at a socket of this machine.
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

    Any other, podman among them, keeps the image for its own platform and drops the rest without an error. Raises
    PolyarchError if the engine does not answer.
    """
    _, body = _request(path, "GET", "/info", _PING_SECONDS)
    try:
        info = msgspec.json.decode(body, type=_EngineInfo)
    except (msgspec.DecodeError, ValueError, RecursionError):
        info = _EngineInfo()
    # buildx uses the same criterion.
    return ["driver-type", "io.containerd.snapshotter.v1"] in (info.driver_status or [])


def load(path: str, fill: Callable[[ArchiveSink], None]) -> tuple[str, ...]:
    """Let the engine at the socket `path` load the archive that `fill` writes; returns the lines of its response.

    Raises PolyarchError with the engine's own words.
    """
    # An engine that refuses stops reading. Its response is the error to report, not the broken pipe.
    status, body = _request(path, "POST", "/images/load?quiet=1", _LOAD_SECONDS, fill)
    lines = [_decode(line) for line in body.splitlines() if line.strip()]
    failed = next((line.error for line in lines if line.error), "")
    if status != 200 or failed:
        reason = failed or body.decode(errors="replace").strip() or f"status {status}"
        raise PolyarchError(f"the engine at {path} did not load the image: {reason}", "see the engine's log")
    return tuple(line.stream.strip() for line in lines if line.stream.strip())


def _answers(path: str) -> bool:
    try:
        return _request(path, "GET", "/_ping", _PING_SECONDS)[0] == 200
    except PolyarchError:
        return False


def _request(
    path: str, method: str, target: str, timeout: float, fill: Callable[[ArchiveSink], None] | None = None
) -> tuple[int, bytes]:
    """The status and body of the engine's response; with `fill`, to a tar that it writes. Raises PolyarchError."""
    from polyarch.registry.connection import Address, Direct, Pool
    from polyarch.registry.failures import reason
    from polyarch.registry.message import ConnectError, HTTPError

    def produce(body: "ChunkWriter") -> None:
        assert fill is not None
        fill(body)

    headers = {"Connection": "close"} if fill is None else {"Connection": "close", "Content-Type": "application/x-tar"}
    body = None if fill is None else produce
    try:
        with Pool(Direct(), timeout) as pool:
            response = pool.request(method, Address(path=path), "docker", target, headers, body, timeout)
            try:
                return response.status, response.read()
            finally:
                response.release()
    except ConnectError as error:
        raise PolyarchError(
            f"no engine answers at {path}: {reason(error)}", "start it, or write an archive with dest=FILE"
        ) from error
    except HTTPError as error:
        raise PolyarchError(f"the engine at {path} did not answer: {reason(error)}", "see the engine's log") from error


def _decode(line: bytes) -> _EngineLine:
    try:
        return msgspec.json.decode(line, type=_EngineLine)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _EngineLine(stream=line.decode(errors="replace"))
