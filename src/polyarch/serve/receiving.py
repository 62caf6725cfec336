"""Uploads over HTTP (distribution-spec, "Pushing blobs"): at once, in chunks, resumed, or mounted."""

import asyncio
import re

from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.serve import bodies, direct
from polyarch.serve.errors import RequestError
from polyarch.serve.guard import RIGHTS
from polyarch.serve.quota import QuotaError
from polyarch.serve.service import Service
from polyarch.serve.tally import network
from polyarch.serve.uploads import BlobUpload

# Bytes that are handed to a thread at once, in at most so many pieces. Two such parts are in memory for each upload,
# and a piece of one byte takes as much memory as one of fifty. Many uploads at once share `_ROOM` bytes: their parts
# are smaller, but not below `_LEAST_PART`, for which a thread is woken.
_PART, _LEAST_PART = 512 << 10, 64 << 10
_ROOM = 64 << 20
_PIECES = 1024
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]+)-([0-9]+)(?:/[0-9*]+)?")


async def start(service: Service, request: web.Request, repository: str) -> web.StreamResponse:
    """`POST …/blobs/uploads/`: begin an upload, mount a blob, or take a whole one (end-4a, end-4b, end-4c, end-11)."""
    query = request.query
    if mounted := query.get("mount"):
        if await service.write(lambda: _mounted(service, request, repository, mounted)):
            return _created(repository, Digest(mounted))
    elif given := query.get("digest"):
        digest = _parsed(given)
        upload = await service.write(
            lambda: service.uploads.start(repository, digests.algorithm(digest), _address(request))
        )
        try:
            await _receive(service, request, upload)
        except BaseException:
            # The client was not told where the upload is, so it cannot continue it.
            service.uploads.cancel(upload)
            raise
        return await _finished(service, request, upload, digest)
    algorithm = query.get("digest-algorithm", "sha256")
    await _require(service, 1)
    upload = await service.write(lambda: service.uploads.start(repository, algorithm, _address(request)))
    return web.Response(status=202, headers=upload.headers)


async def chunk(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`PATCH` of an upload (end-5): append a chunk, or all that comes."""
    upload = service.uploads.find(repository, name)
    await _receive(service, request, upload)
    return web.Response(status=202, headers=upload.headers)


async def finish(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`PUT` of an upload (end-6): append the last chunk, if there is one, and make it a blob."""
    upload = service.uploads.find(repository, name)
    digest = _parsed(request.query.get("digest", ""))
    if not upload.size:
        await service.write(lambda: upload.expect(digests.algorithm(digest)))
    await _receive(service, request, upload)
    return await _finished(service, request, upload, digest)


def _address(request: web.Request) -> str:
    """What uploads are counted by."""
    return network(request.remote or "")


def _mounted(service: Service, request: web.Request, repository: str, digest: str) -> bool:
    """Whether a blob could be mounted. If not, the client uploads it."""
    rights, origin = request[RIGHTS], request.query.get("from")
    if not digests.is_digest(digest) or not service.membership.can_mount(rights, origin, Digest(digest)):
        return False
    if not service.repositories.can_mount(repository, digest, origin):
        return False
    service.membership.arrived(rights, repository, Digest(digest))
    return True


async def _finished(service: Service, request: web.Request, upload: BlobUpload, digest: Digest) -> web.StreamResponse:
    def finish() -> None:
        count = service.uploads.finish(upload, digest)
        if service.quota is not None:
            service.quota.arrived(digest, count)
        service.repositories.arrived(upload.repository, digest)
        service.membership.arrived(request[RIGHTS], upload.repository, digest)

    await service.write(finish)
    return _created(upload.repository, digest)


async def status(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`GET` of an upload (end-13): how much has arrived."""
    upload = service.uploads.find(repository, name)
    await service.write(upload.settle)
    return web.Response(status=204, headers=upload.headers)


async def cancel(service: Service, request: web.Request, repository: str, name: str) -> web.StreamResponse:
    """`DELETE` of an upload (end-14)."""
    upload = service.uploads.find(repository, name)
    await service.write(lambda: service.uploads.cancel(upload))
    return web.Response(status=204)


async def _receive(service: Service, request: web.Request, upload: BlobUpload) -> None:
    """Append the body of a request. What has arrived when the connection is cut is kept, so the client can resume."""
    try:
        await _require(service, request.content_length or 0)
        await _append(service, request, upload)
    except QuotaError:
        # What has arrived of it would only take the room of others.
        await service.write(lambda: service.uploads.cancel(upload))
        raise


async def _require(service: Service, more: int) -> None:
    """Raises QuotaError unless there is room for `more` bytes."""
    quota = service.quota
    if quota is not None:
        await service.run(lambda: quota.require(more))


async def _append(service: Service, request: web.Request, upload: BlobUpload) -> None:
    sender, first = object(), _first(request, upload)
    await service.write(lambda: upload.begin(sender, first))
    content = await bodies.opened(request)
    if (rest := direct.take(request)) is not None:
        await rest.read(service, lambda part: upload.append(sender, [part]))
        return
    writing: asyncio.Future[None] | None = None
    parts: list[bytes] = []
    size = 0
    service.receiving += 1
    try:
        async for part in content.iter_any():
            parts.append(part)
            size += len(part)
            if size >= part_size(service.receiving) or len(parts) >= _PIECES:
                if writing is not None:
                    await writing
                writing = service.write(lambda full=parts: upload.append(sender, full))  # type: ignore[misc]
                parts, size = [], 0
    finally:
        service.receiving -= 1
        if writing is not None:
            await writing
        if parts:
            await service.write(lambda: upload.append(sender, parts))


def part_size(receiving: int) -> int:
    """The bytes to hand to a thread at once while so many uploads arrive."""
    return max(_LEAST_PART, min(_PART, _ROOM // (2 * receiving)))


def _first(request: web.Request, upload: BlobUpload) -> int | None:
    """The position of the first byte of the chunk, if the request says it. Raises RequestError."""
    text = request.headers.get("Content-Range")
    if text is None:
        return None
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        raise RequestError(codes.BLOB_UPLOAD_INVALID, f"the Content-Range {text!r} is malformed, expected FIRST-LAST")
    first, last = int(match[1]), int(match[2])
    length = request.content_length
    if last < first or (length is not None and length != last - first + 1):
        raise RequestError(codes.SIZE_INVALID, f"the Content-Range {text!r} is not that of {length} bytes")
    return first


def _parsed(text: str) -> Digest:
    if not digests.is_digest(text):
        raise RequestError(codes.DIGEST_INVALID, f"{text!r} is not a sha256 or sha512 digest")
    return Digest(text)


def _created(repository: str, digest: Digest) -> web.Response:
    headers = {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
