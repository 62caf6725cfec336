"""`/token`: where clients get bearer tokens ("Token Authentication Specification", and its OAuth2 form by POST)."""

import msgspec
from aiohttp import web

from polyarch.distribution import errors as codes
from polyarch.serve.access import AccessRefusal
from polyarch.serve.authentication import basic
from polyarch.serve.authentication.basic import Login
from polyarch.serve.authentication.token import TokenAccess
from polyarch.serve.errors import RequestError

_LARGEST_FORM = 16 << 10


async def answer(access: TokenAccess, request: web.Request) -> web.StreamResponse:
    """Give a token. Raises RequestError for a wrong secret."""
    if request.method == "POST":
        login: Login | None
        login, scopes = await _form(request)
    elif request.method == "GET":
        login, scopes = _login(request), request.query.getall("scope", [])
    else:
        raise RequestError(codes.UNSUPPORTED, "tokens are got with GET or POST", headers={"Allow": "GET, POST"})
    # Clients send several scopes as several parameters, or as one with spaces.
    issued = access.issue(login, scopes)
    if isinstance(issued, AccessRefusal):
        error = RequestError(codes.UNAUTHORIZED, issued.reason, status=issued.status)
        if issued.status == 401:
            error.headers["WWW-Authenticate"] = access.page_challenge()
        raise error
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(body=msgspec.json.encode(issued), headers=headers)


def _login(request: web.Request) -> Login | None:
    given = request.headers.get("Authorization", "")
    if not given:
        return None
    # What is malformed is a wrong login, and not an anonymous client.
    return basic.parse(given) or Login("", b"")


async def _form(request: web.Request) -> tuple[Login, list[str]]:
    if (request.content_length or 0) > _LARGEST_FORM:
        raise RequestError(codes.UNSUPPORTED, "the form is too large", status=413)
    try:
        form = await request.post()
    except ValueError as error:
        raise RequestError(codes.UNSUPPORTED, "the form is malformed", status=400) from error
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if fields.get("grant_type") != "password":
        raise RequestError(codes.UNSUPPORTED, "the only grant_type is password", status=400)
    login = Login(fields.get("username", ""), fields.get("password", "").encode())
    return login, [fields.get("scope", "")]
