"""The application of aiohttp: which paths go where."""

from collections.abc import Callable

from aiohttp import web

from polyarch.errors import PolyarchError
from polyarch.serve import bodies, direct, errors, guard, requestlog, routes, token_endpoint
from polyarch.serve.authentication import token
from polyarch.serve.authentication.token import TokenAccess
from polyarch.serve.connections import ConnectionWatch
from polyarch.serve.refusals import refusal
from polyarch.serve.service import Service
from polyarch.serve.site import PageHandler

# Of a body that aiohttp reads whole: a login form. The handlers of blobs and manifests limit theirs themselves.
_LARGEST_BODY = 64 << 10


def make_app(
    service: Service,
    watch: ConnectionWatch | None = None,
    clock: Callable[[], float] | None = None,
    log: Callable[[str], None] | None = None,
) -> web.Application:
    """The application that serves `service`, which the caller owns. `watch` ends slow connections, `clock` is the time
    in seconds since 1970 for ages on pages, `log` gets a line for each request.
    """

    async def registry(request: web.Request) -> web.StreamResponse:
        response = await routes.answer(service, request)
        if not response.prepared and (bodies.is_awaited(request) or direct.is_taken(request)):
            # What follows on this connection may be the body or the next request.
            response.force_close()
        return response

    middlewares = [guard.checking(service.guard, refusal)]
    if watch is not None:
        middlewares.append(guard.watching(watch))
    if log is not None:
        middlewares.insert(0, requestlog.logging_to(log))
    app = web.Application(middlewares=middlewares, client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(guard.add_headers)
    access = service.guard.access
    if isinstance(access, TokenAccess):

        async def tokens(request: web.Request) -> web.StreamResponse:
            try:
                return await token_endpoint.answer(access, request)
            except PolyarchError as error:
                return refusal(errors.refused(error))

        app.router.add_route("*", token.PATH, tokens)
    # A path may hold any character, so that what is not a name is refused as one.
    for path in ("/v2", r"/v2/{path:[\s\S]*}"):
        app.router.add_route("*", path, registry, expect_handler=bodies.wait_for_handler)
    if service.settings.page:
        page = PageHandler(service, clock)
        app.router.add_get(r"/{path:[\s\S]*}", page.answer)
        app.on_cleanup.append(page.close)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith("/v2"):
        # Old clients tell by it that a registry answers, not a proxy before it.
        response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
    if namespace := request.get(routes.NAMESPACE, ""):
        response.headers["OCI-Namespace"] = namespace  # distribution-spec, "Registry Proxying"
