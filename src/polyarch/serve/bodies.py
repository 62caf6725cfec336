"""Bodies of requests, which a client may send only when it is told to (`Expect: 100-continue`, RFC 9110, 10.1.1)."""

from aiohttp import StreamReader, hdrs, web

_CONTINUED = "polyarch.continued"


async def wait_for_handler(request: web.Request) -> None:
    """What aiohttp does about an Expect header before the handler runs: nothing, so that a request can be refused
    before its body is sent. Raises HTTPExpectationFailed for anything that is not `100-continue`.
    """
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def opened(request: web.Request) -> StreamReader:
    """The body of a request. The client is told to send it, if it waits for that."""
    if is_awaited(request):
        request[_CONTINUED] = True
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp counts what is sent of the response, which has not begun.
        request.writer.output_size = 0
    return request.content


def is_awaited(request: web.Request) -> bool:
    """Whether the client still waits to be told to send the body."""
    return hdrs.EXPECT in request.headers and request.version >= (1, 1) and not request.get(_CONTINUED, False)
