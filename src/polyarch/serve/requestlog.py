"""A line for each request, for a person who looks for a mistake (`polyarch --debug serve`)."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def logging_to(write: Callable[[str], None]) -> Middleware:
    """A middleware that gives `write` a line when a request has been answered: who, what, the status, and how long it
    took. The path is as the client sent it, with escapes for what is not ASCII or not printable.
    """

    @web.middleware
    async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
        now = asyncio.get_running_loop().time
        started, status = now(), "cut"
        try:
            response = await handler(request)
            status = str(response.status)
        except web.HTTPException as answer:
            status = str(answer.status)
            raise
        finally:
            took = (now() - started) * 1000
            path = ascii(request.rel_url.raw_path_qs)[1:-1]
            write(f"{request.remote} {request.method} {path} {status} {took:.0f} ms")
        return response

    return logged
