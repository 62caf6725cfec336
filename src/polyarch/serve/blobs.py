"""Blobs over HTTP: sent by the kernel from the store's files (sendfile), whole or one range of them."""

import contextlib
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import BinaryIO

from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.serve import conditions, sending
from polyarch.serve.access import ClientRights
from polyarch.serve.errors import RequestError
from polyarch.serve.guard import RIGHTS
from polyarch.serve.service import Service

Read = Callable[[int, int], AsyncGenerator[bytes, None]]

# A number of more digits is malformed: reading it would take long.
_RANGE = re.compile("bytes=([0-9]{0,30})-([0-9]{0,30})", re.IGNORECASE)
# The content under a digest never changes.
_FOREVER = "max-age=31536000, immutable"


async def send_blob(service: Service, request: web.Request, repository: str, digest: Digest) -> web.StreamResponse:
    """`GET` and `HEAD` of a blob (distribution-spec, end-2). Raises RequestError."""
    if request.method == "HEAD":
        # The client may be about to push a manifest that names the blob.
        size = await service.run(lambda: _size(service, request[RIGHTS], repository, digest, lease=True))
        return describe(request, digest, size)
    file, size = await service.run(lambda: _opened(service, request[RIGHTS], repository, digest))
    with file:
        return await send(service, request, file, size, digest)


def describe(request: web.Request, digest: Digest, size: int) -> web.Response:
    """The response to HEAD for a blob."""
    if conditions.is_known(request, digest):
        return web.Response(status=304, headers=_headers(digest))
    return web.Response(headers=_headers(digest) | {"Content-Length": str(size)})


async def delete_blob(service: Service, request: web.Request, repository: str, digest: Digest) -> web.StreamResponse:
    """`DELETE` of a blob (end-10). Raises RequestError."""
    rights = request[RIGHTS]

    def delete() -> None:
        _size(service, rights, repository, digest)
        service.repositories.delete_blob(repository, digest)
        service.membership.forget(repository, digest)

    await service.write(delete)
    return web.Response(status=202)


async def send(service: Service, request: web.Request, file: BinaryIO, size: int, digest: Digest) -> web.StreamResponse:
    """The response to GET with a blob that is in a file, or with the range of it that the request asks for."""

    async def copy(response: web.StreamResponse, start: int, count: int) -> None:
        await sending.send_file(response, request, file, start, count, service.run)

    return await _send(request, digest, size, copy)


async def stream(request: web.Request, descriptor: Descriptor, read: Read) -> web.StreamResponse:
    """The same for a blob that is still arriving: `read` gives the bytes from a position to another one."""

    async def copy(response: web.StreamResponse, start: int, count: int) -> None:
        if await response.prepare(request) is None:
            raise ConnectionResetError("the client is gone")
        async with contextlib.aclosing(read(start, start + count)) as pieces:
            async for piece in pieces:
                await response.write(piece)
        await response.write_eof()

    return await _send(request, descriptor.digest, descriptor.size, copy)


async def _send(
    request: web.Request,
    digest: Digest,
    size: int,
    copy: Callable[[web.StreamResponse, int, int], Awaitable[None]],
) -> web.StreamResponse:
    if conditions.is_known(request, digest):
        return web.Response(status=304, headers=_headers(digest))
    headers, status, start, count = _headers(digest), 200, 0, size
    if (chosen := _range(request, size, digest)) is not None:
        start, count = chosen
        if not count:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{start + count - 1}/{size}"
        status = 206
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = count
    await copy(response, start, count)
    return response


def _size(service: Service, rights: ClientRights, repository: str, digest: Digest, *, lease: bool = False) -> int:
    """The size of a blob. Raises RequestError if the repository has none, or none that the client may know of."""
    if not service.membership.has(rights, repository, digest):
        raise RequestError(codes.BLOB_UNKNOWN, f"{repository} has no blob {digest}")
    return service.repositories.blob_size(repository, digest, lease=lease)


def _opened(service: Service, rights: ClientRights, repository: str, digest: Digest) -> tuple[BinaryIO, int]:
    _size(service, rights, repository, digest)
    file = open_(service, digest)
    return file, os.fstat(file.fileno()).st_size


def open_(service: Service, digest: Digest) -> BinaryIO:
    """The file of a blob, which the caller closes. Raises FileNotFoundError."""
    return open(service.repositories.blob_path(digest), "rb", buffering=0)


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": _FOREVER,
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "ETag": conditions.entity_tag(digest),
    }


def _range(request: web.Request, size: int, digest: Digest) -> tuple[int, int] | None:
    """The first byte and the number of bytes of the requested range; None for the whole blob, 0 bytes if the range is
    outside, or ends before it begins (RFC 9110, section 14.2). Malformed ranges and several at once are ignored, which
    the RFC allows.
    """
    condition = request.headers.get("If-Range")
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or (condition is not None and condition != conditions.entity_tag(digest)):
        return None
    first, last = match[1], match[2]
    if not first and not last:
        return None
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    return start, max(end - start, 0)
