"""The response that says why a request was refused."""

from aiohttp import web

from polyarch.serve import errors
from polyarch.serve.errors import RequestError


def refusal(error: RequestError) -> web.Response:
    """The response of an error: its status, its headers, and the document of the specification."""
    headers = {"Content-Type": "application/json", **error.headers}
    return web.Response(status=error.status, body=errors.body(error), headers=headers)
