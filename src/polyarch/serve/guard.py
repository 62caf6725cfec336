"""What stands before the handlers: who is asking, from where, and whether they may do what they ask for.

Nothing here parses a path: the route that is checked is the one that is served (`naming.parse_path`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from polyarch.distribution import errors as codes
from polyarch.serve import exposure, headers, naming
from polyarch.serve.access import EVERYTHING, AccessControl, AccessRefusal, Action, ClientRights
from polyarch.serve.errors import RequestError
from polyarch.serve.naming import Route

if TYPE_CHECKING:
    from polyarch.serve.connections import ConnectionWatch

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READING = ("GET", "HEAD", "OPTIONS")
# Where the middlewares leave what they found out about a request.
RIGHTS = web.RequestKey("rights", ClientRights)
_CATALOG_SCOPE = "registry:catalog:*"
# Seconds after which passwords are checked again.
_RETRY = "1"
_SCHEMES = ("http", "https")


class Guard:
    """Checks the requests of one server. Without `access`, every client may do everything.

    `names` are its own names. Unless `any_name`, it may be asked only under one that cannot be another's: for a server
    without TLS and `access`.
    """

    def __init__(self, access: AccessControl | None, names: Sequence[str], *, any_name: bool) -> None:
        self.access = access
        self._names = names
        self._any_name = any_name

    def namespace(self, request: web.Request) -> str:
        """The registry whose repository containerd asks for (`?ns=docker.io`); empty if it is this one."""
        given = request.query.get("ns", "")
        host = host_of(request)
        same_port = given.rpartition(":")[2] == host.rpartition(":")[2]
        return "" if given == host or (same_port and exposure.host_name(given) in self._names) else given

    async def identify(self, request: web.Request) -> ClientRights:
        """The rights of who sent a request. Raises RequestError if its credentials are wrong, or cannot be checked."""
        if self.access is None:
            return EVERYTHING
        found = await self.access.rights(request.headers.get("Authorization", ""))
        if isinstance(found, ClientRights):
            return found
        raise self._refused(request, found)

    async def check_ping(self, request: web.Request) -> None:
        """`GET /v2/`, by which clients find out how to log in. Raises RequestError without credentials."""
        rights = await self.identify(request)
        if self.access is not None and not request.headers.get("Authorization"):
            raise self._unauthorized(request, "", "log in to use this registry")
        request[RIGHTS] = rights

    async def check_catalog(self, request: web.Request) -> None:
        """The list of repositories, which has those that the client may pull. Raises RequestError."""
        rights = await self.identify(request)
        if not rights.lists:
            raise self._unauthorized(request, _CATALOG_SCOPE, "the list of repositories needs a login")
        request[RIGHTS] = rights

    async def check(self, request: web.Request, route: Route, repository: str) -> None:
        """An endpoint of a repository. Raises RequestError unless the client may do what the request does.

        `repository` is the full name if `route.repository` is that of a mirrored registry.
        """
        rights, action = await self.identify(request), action_of(request.method, route)
        # A pattern that fits one name of a repository gives no right to another one that it stands for.
        names = {repository, naming.shortest(repository)} if repository == route.repository else {repository}
        may = all(rights.may(name, action) for name in names)
        if rights.account and not may:
            # Whether the repository exists is not said.
            raise RequestError(codes.DENIED, f"{rights.account} may not {action} {route.repository}")
        if not may or not rights.is_asked(route.repository, action):
            wanted = "pull,push" if action == "push" else action
            reason = f"to {action} {route.repository} needs a login"
            raise self._unauthorized(request, f"repository:{route.repository}:{wanted}", reason)
        request[RIGHTS] = rights

    async def check_page(self, request: web.Request) -> None:
        """A page for browsers. Raises RequestError for a client without a name, unless anonymous ones may pull; with
        `?login`, also then, so that a browser asks for a name.
        """
        if self.access is None:
            request[RIGHTS] = EVERYTHING
            return
        found = await self.access.rights(request.headers.get("Authorization", ""))
        asked = "login" in request.query and isinstance(found, ClientRights) and not found.account
        if isinstance(found, AccessRefusal) or not found.rules or asked:
            refusal = found if isinstance(found, AccessRefusal) else AccessRefusal(401, "log in to see the images")
            error = RequestError(codes.UNAUTHORIZED, refusal.reason, status=refusal.status)
            if refusal.status == 401:
                error.headers["WWW-Authenticate"] = self.access.page_challenge()
            raise error
        request[RIGHTS] = found

    def check_origin(self, request: web.Request) -> None:
        """Whether a browser sends a request for a page of another site. Raises RequestError."""
        host = host_of(request)
        name = exposure.host_name(host)
        if name is None:
            raise RequestError(codes.UNSUPPORTED, "the Host header is malformed", status=400)
        if not self._any_name and not exposure.is_own_name(host, self._names):
            raise RequestError(
                codes.DENIED, f"this server is not {name}; start it with --name {name} if it should be", status=403
            )
        if request.method in _READING:
            return
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise RequestError(codes.DENIED, "a page of another site may not change anything here")
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise RequestError(codes.DENIED, "a page of another site may not change anything here")

    def _refused(self, request: web.Request, refusal: AccessRefusal) -> RequestError:
        if refusal.status == 401:
            return self._unauthorized(request, "", refusal.reason)
        code = codes.TOOMANYREQUESTS if refusal.status == 429 else codes.UNKNOWN
        return RequestError(code, refusal.reason, status=refusal.status, headers={"Retry-After": _RETRY})

    def _unauthorized(self, request: web.Request, scope: str, reason: str) -> RequestError:
        assert self.access is not None
        challenge = self.access.challenge(base_url(request), scope)
        return RequestError(codes.UNAUTHORIZED, reason, headers={"WWW-Authenticate": challenge})


def action_of(method: str, route: Route) -> Action:
    """What a request does with a repository. A method that no endpoint has counts as writing."""
    if route.kind in ("upload", "uploads"):
        return "push"
    if method in _READING:
        return "pull"
    return "delete" if method == "DELETE" else "push"


def base_url(request: web.Request) -> str:
    """The server's URL as the client has it. A proxy in front of the server says whether it speaks TLS: a client that
    says so itself is only sent to another place by its own words.
    """
    forwarded = request.headers.get("X-Forwarded-Proto", "").strip().lower()
    scheme = forwarded if forwarded in _SCHEMES else request.scheme
    return f"{scheme}://{host_of(request)}"


def host_of(request: web.Request) -> str:
    """The Host header; without one, as in old health checks, the address that was connected to. Versions of aiohttp
    before 3.14 ask the resolver, and hold up all other requests meanwhile.
    """
    host = request.headers.get("Host")
    if host is not None or request.transport is None:
        return host or ""
    name, port = request.transport.get_extra_info("sockname")[:2]
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def checking(guard: Guard, refuse: Callable[[RequestError], web.Response]) -> Middleware:
    """The middleware that checks from where a request comes. `refuse` makes the response of an error."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            guard.check_origin(request)
        except RequestError as error:
            return refuse(error)
        return await handler(request)

    return checked


def watching(watch: "ConnectionWatch") -> Middleware:
    """The middleware that tells the watch of connections which requests have a body."""

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.body_exists:
            return await handler(request)
        with watch.body(request):
            return await handler(request)

    return watched


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For the signal `on_response_prepare`."""
    headers.add(response.headers)
