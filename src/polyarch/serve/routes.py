"""Which request does what: the table of endpoints (distribution-spec, "Endpoints")."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.errors import PolyarchError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.digest import Digest
from polyarch.serve import blobs, errors, manifests, mirroring, naming, receiving
from polyarch.serve.errors import RequestError
from polyarch.serve.naming import Route
from polyarch.serve.refusals import refusal
from polyarch.serve.service import Service

Handler = Callable[..., Awaitable[web.StreamResponse]]

_HANDLERS: dict[str, dict[str, Handler]] = {
    "manifest": {
        "GET": manifests.send_manifest,
        "HEAD": manifests.send_manifest,
        "PUT": manifests.put_manifest,
        "DELETE": manifests.delete_manifest,
    },
    "blob": {"GET": blobs.send_blob, "HEAD": blobs.send_blob, "DELETE": blobs.delete_blob},
    "uploads": {"POST": receiving.start},
    "upload": {
        "PATCH": receiving.chunk,
        "PUT": receiving.finish,
        "GET": receiving.status,
        "DELETE": receiving.cancel,
    },
    "tags": {"GET": manifests.list_tags, "HEAD": manifests.list_tags},
    "referrers": {"GET": manifests.list_referrers, "HEAD": manifests.list_referrers},
    "catalog": {"GET": manifests.list_repositories, "HEAD": manifests.list_repositories},
}
_READING = ("GET", "HEAD")
# The registry that a request was about, empty if it is this one.
NAMESPACE = web.RequestKey("namespace", str)


async def answer(service: Service, request: web.Request) -> web.StreamResponse:
    """Answer a request below /v2/."""
    try:
        return await _answer(service, request)
    except Exception as error:
        return _failure(service, request, error)


def _failure(service: Service, request: web.Request, error: Exception) -> web.Response:
    """What is answered after an error. To a client that is gone, or has the beginning of an answer, nothing is sent."""
    transport = request.transport
    if transport is None or transport.is_closing() or isinstance(error, ConnectionError):
        return web.Response()
    if request.writer.output_size > 0:
        service.report(error)
        transport.abort()
        return web.Response()
    if isinstance(error, web.RequestPayloadError):
        return refusal(RequestError(codes.SIZE_INVALID, f"the body of the request is not whole: {error}"))
    if not isinstance(error, PolyarchError):
        service.report(error)
        return refusal(RequestError(codes.UNKNOWN, "this is a bug of the server", status=500))
    refused = errors.refused(error)
    if refused.status >= 500:
        service.report(error)
    if refused.status == 405:
        refused.headers.setdefault("Allow", _allowed(service, request))
    return refusal(refused)


async def _answer(service: Service, request: web.Request) -> web.StreamResponse:
    path = _path(request)
    if not path:
        await service.guard.check_ping(request)
        if request.method not in _READING:
            raise _not_allowed(request)
        return web.Response(body=b"{}", headers={"Content-Type": "application/json"})
    route = naming.parse_path(path)
    if route is None:
        raise RequestError(codes.NOT_FOUND, f"{request.path} is not an endpoint", status=404)
    handler = _HANDLERS[route.kind].get(request.method)
    if handler is None:
        raise _not_allowed(request)
    if route.kind == "catalog":
        await service.guard.check_catalog(request)
        return await handler(service, request)
    if not references.is_path(route.repository):
        raise RequestError(codes.NAME_INVALID, f"{route.repository!r} is not a repository name")
    if service.settings.read_only and request.method not in _READING:
        raise RequestError(codes.UNSUPPORTED, "this registry is read-only")
    namespace = service.guard.namespace(request)
    repository = f"{namespace.replace(':', '_')}/{route.repository}" if namespace else route.repository
    if not references.is_path(repository):
        raise RequestError(codes.NAME_UNKNOWN, f"there is nothing of {namespace} here")
    request[NAMESPACE] = namespace

    async def from_store() -> web.StreamResponse:
        await service.guard.check(request, route, repository)
        return await handler(service, request, repository, *_references(route))

    if service.mirror is not None:
        return await mirroring.answer(service, service.mirror, request, route, namespace, from_store)
    return await from_store()


def _not_allowed(request: web.Request) -> RequestError:
    return RequestError(codes.UNSUPPORTED, f"{request.method} is not supported here")


def _allowed(service: Service, request: web.Request) -> str:
    """The methods that are supported here, besides the one that was refused (RFC 9110, section 10.2.1)."""
    route = naming.parse_path(_path(request))
    methods: Iterable[str] = _READING if route is None else _HANDLERS[route.kind]
    if service.settings.read_only:
        methods = [method for method in methods if method in _READING]
    return ", ".join(sorted(method for method in methods if method != request.method))


def _path(request: web.Request) -> str:
    """What follows `/v2/`."""
    return request.path.removeprefix("/v2").removeprefix("/")


def _references(route: Route) -> tuple[Any, ...]:
    """The last part of the path, as the handler of this kind takes it. Raises RequestError."""
    if route.kind in ("blob", "referrers"):
        if not digests.is_digest(route.reference):
            raise RequestError(codes.DIGEST_INVALID, f"{route.reference!r} is not a digest")
        return (Digest(route.reference),)
    return (route.reference,) if route.reference else ()
