"""The application of aiohttp: which paths go where."""

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from polyarch.serve import bodies, routes
from polyarch.serve.service import Service
from polyarch.serve.site import PageHandler


def make_app(service: Service, middlewares: Sequence[Middleware] = ()) -> web.Application:
    """The application that serves `service`. The caller owns the service."""

    async def registry(request: web.Request) -> web.StreamResponse:
        response = await routes.answer(service, request)
        if not response.prepared:
            if bodies.is_awaited(request):
                # What follows on this connection may be the body or the next request.
                response.force_close()
            response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
        return response

    # Bodies are never read whole by aiohttp; what reads them limits them.
    app = web.Application(middlewares=middlewares)
    for path in ("/v2", "/v2/{path:.*}"):
        app.router.add_route("*", path, registry, expect_handler=bodies.wait_for_handler)
    if service.settings.page:
        app.router.add_get("/{path:.*}", PageHandler(service).answer)
    return app
