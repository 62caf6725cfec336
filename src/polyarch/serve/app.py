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
        if not response.prepared and bodies.is_awaited(request):
            # What follows on this connection may be the body or the next request.
            response.force_close()
        return response

    # Bodies are never read whole by aiohttp; what reads them limits them.
    app = web.Application(middlewares=middlewares)
    # A path may hold any character, so that what is not a name is refused as one.
    for path in ("/v2", r"/v2/{path:[\s\S]*}"):
        app.router.add_route("*", path, registry, expect_handler=bodies.wait_for_handler)
    if service.settings.page:
        app.router.add_get("/{path:.*}", PageHandler(service).answer)
    app.on_response_prepare.append(_say_version)
    return app


async def _say_version(request: web.Request, response: web.StreamResponse) -> None:
    """Old clients tell by this header that a registry answers, not a proxy before it."""
    if request.path.startswith("/v2"):
        response.headers["Docker-Distribution-API-Version"] = "registry/2.0"
