"""Requests for images of other registries (`mirror.py`), over HTTP.

A path that names a mirrored registry is that registry's; what the store has under this name is the answer only if the
registry lacks it or cannot be asked. A bare path is first what was pushed here, then the first mirrored registry's.
"""

import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.serve import blobs, manifests, naming
from polyarch.serve.errors import RequestError
from polyarch.serve.guard import RIGHTS
from polyarch.serve.mirror import PullThrough, path_of
from polyarch.serve.naming import Route
from polyarch.serve.refusals import refusal
from polyarch.serve.service import Service

Local = Callable[[], Awaitable[web.StreamResponse]]
_READING = ("GET", "HEAD")
_KINDS = ("manifest", "blob", "tags", "referrers")
_ABSENT = (codes.MANIFEST_UNKNOWN, codes.BLOB_UNKNOWN, codes.NAME_UNKNOWN)
_ABSENT_CODES = {"manifest": codes.MANIFEST_UNKNOWN, "blob": codes.BLOB_UNKNOWN}


async def answer(
    service: Service, mirror: PullThrough, request: web.Request, route: Route, namespace: str, local: Local
) -> web.StreamResponse:
    """Answer a request of a repository, or of that of the registry `namespace`. `local` does it from the store, and
    checks the rights for that itself.
    """
    if mirror.agent in request.headers.get("User-Agent", ""):
        # The configuration of this machine sends the mirror's own requests to the mirror.
        raise RequestError(codes.UNSUPPORTED, "this mirror asks itself", status=508)
    reference = mirror.locate(route.repository, namespace)
    if request.method not in _READING:
        _refuse_push(mirror, route, reference)
        return await local()
    if route.kind not in _KINDS or (namespace and reference is None):
        return await local()
    if reference is not None:
        await service.guard.check(request, route, path_of(reference))
        return await _mirrored(service, mirror, request, route, reference, None if namespace else local)
    fallback = mirror.fallback(route.repository)
    if fallback is None:
        return await local()
    if not service.repositories.is_pushed(route.repository):
        try:
            await service.guard.check(request, route, path_of(fallback))
        except RequestError:
            return await local()
        return await _mirrored(service, mirror, request, route, fallback, local)
    try:
        return await local()
    except RequestError as error:
        if error.code not in _ABSENT or route.kind == "tags":
            raise
        if not request[RIGHTS].allows(path_of(fallback), "pull", route.repository):
            raise
    return await _mirrored(service, mirror, request, route, fallback, None)


def _refuse_push(mirror: PullThrough, route: Route, reference: Reference | None) -> None:
    """Refuse what is pushed to a name of a mirrored registry, because it would be taken for that registry's."""
    official = mirror.fallback(route.repository) if route.repository.startswith("library/") else None
    held = reference or official
    if held is not None:
        raise RequestError(codes.DENIED, f"{route.repository} is for images of {held.domain}, which is only mirrored")


async def _mirrored(
    service: Service,
    mirror: PullThrough,
    request: web.Request,
    route: Route,
    reference: Reference,
    local: Local | None,
) -> web.StreamResponse:
    """Answer from a registry, or if it lacks what is asked for or cannot be asked, from the store by `local`."""
    try:
        return await _HANDLERS[route.kind](service, mirror, request, reference, route.reference)
    except (NotFoundError, RegistryError, CorruptError) as error:
        if request.writer.output_size > 0:
            raise  # the client has a part of the blob: the connection must end
        failure = _told(error, route)
    if local is not None:
        try:
            return await local()
        except RequestError as error:
            if error.code not in _ABSENT and error.status not in (401, 403):
                raise
    return refusal(failure)


def _told(error: PolyarchError, route: Route) -> RequestError:
    """What a client is told of an error of a registry. Its own 401 would make the client send its password here."""
    status = error.status if isinstance(error, RegistryError) else 0
    if isinstance(error, NotFoundError) or status in (401, 403, 404):
        return RequestError(_ABSENT_CODES.get(route.kind, codes.NAME_UNKNOWN), error.message)
    if status == 429:
        return RequestError(codes.TOOMANYREQUESTS, error.message, headers={"Retry-After": "60"})
    return RequestError(codes.UNKNOWN, error.message, status=502)


async def _manifest(
    service: Service, mirror: PullThrough, request: web.Request, reference: Reference, name: str
) -> web.StreamResponse:
    descriptor, raw = await mirror.manifest(reference, name)
    return manifests.respond(request, descriptor, raw)


async def _blob(
    service: Service, mirror: PullThrough, request: web.Request, reference: Reference, name: str
) -> web.StreamResponse:
    if not digests.is_digest(name):
        raise RequestError(codes.DIGEST_INVALID, f"{name!r} is not a digest")
    confirm = not request[RIGHTS].all_alike
    descriptor, is_here = await mirror.describe(reference, Digest(name), confirm=confirm)
    if request.method == "HEAD":
        return blobs.describe(request, descriptor.digest, descriptor.size)
    if is_here:
        # The limit of the cache may just have removed it.
        file = None
        with contextlib.suppress(FileNotFoundError):
            file = await service.run(lambda: blobs.open_(service, descriptor.digest))
        if file is not None:
            with file:
                return await blobs.send(service, request, file, descriptor.size, descriptor.digest)
    fetch = await mirror.fetch(reference, descriptor)
    return await blobs.stream(request, descriptor, lambda start, end: fetch.read(start, end, mirror.threads))


async def _tags(
    service: Service, mirror: PullThrough, request: web.Request, reference: Reference, name: str
) -> web.StreamResponse:
    # The name in the request, which the client knows.
    route = naming.parse_path(request.path.removeprefix("/v2/"))
    assert route is not None
    return manifests.respond_tags(request, route.repository, await mirror.tags(reference))


async def _referrers(
    service: Service, mirror: PullThrough, request: web.Request, reference: Reference, name: str
) -> web.StreamResponse:
    if not digests.is_digest(name):
        raise RequestError(codes.DIGEST_INVALID, f"{name!r} is not a digest")
    return manifests.respond_referrers(request, await mirror.referrers(reference, Digest(name)))


_HANDLERS: dict[str, Callable[[Service, PullThrough, web.Request, Reference, str], Awaitable[web.StreamResponse]]] = {
    "manifest": _manifest,
    "blob": _blob,
    "tags": _tags,
    "referrers": _referrers,
}
