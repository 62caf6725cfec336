"""The protocol of one connection: aiohttp's, with a limit of connections and errors that say nothing of the inside."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from polyarch.serve import headers
from polyarch.serve.connections import FULL, LINGER, ConnectionLimits, ConnectionWatch

# Of the request line, and of each header. Docker's longest are a bearer token, a mount's query, and Accept.
_LONGEST_LINE = 8190
_MOST_HEADERS = 64
# Seconds in which a client answers the end of a TLS connection.
SHUTDOWN = 5.0


def protocol_options(limits: ConnectionLimits) -> dict[str, Any]:
    """The options of aiohttp's server: limits, and nothing that decompresses a body on its way in."""
    return {
        "keepalive_timeout": limits.idle,
        "lingering_time": LINGER,
        "max_line_size": _LONGEST_LINE,
        "max_field_size": _LONGEST_LINE,
        "max_headers": _MOST_HEADERS,
        # A small body that is compressed could fill the disk, and its digest is of what was sent.
        "auto_decompress": False,
        "access_log": None,
    }


def factory(server: web.Server, watch: ConnectionWatch, options: dict[str, Any]) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of each connection, for `loop.create_server`."""
    loop = asyncio.get_running_loop()
    return lambda: GuardedHandler(watch, server, loop=loop, **options)


class GuardedHandler(web.RequestHandler):
    """One connection. It is refused if there are too many."""

    __slots__ = ("_watch",)

    def __init__(self, watch: ConnectionWatch, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._watch = watch

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        if self._watch.admit(self, transport):
            super().connection_made(transport)
            return
        # What arrives is not looked at.
        self._force_close = True
        transport.write(FULL)
        transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        self._watch.dismiss(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that is malformed, or whose handler failed: without what failed inside."""
        if status >= 500:
            self.log_exception("Error handling request", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response was sent already")
        text = "the server failed" if status >= 500 else "the request is malformed"
        code = "UNKNOWN" if status >= 500 else "UNSUPPORTED"
        response = web.json_response({"errors": [{"code": code, "message": text}]}, status=status)
        headers.add(response.headers)
        response.force_close()
        return response
