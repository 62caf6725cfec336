"""One repository as a sender of authorised requests, to its mirrors and to its registry.

blobs, manifests, tags and uploads say what they want: an operation of the protocol and its values. This module decides
which host is asked, with which credentials, and what an unexpected response means.
"""

from collections.abc import Iterable
from threading import Lock

from polyarch.distribution import endpoints
from polyarch.distribution.auth import Scope, repository_scope
from polyarch.distribution.endpoints import Operation
from polyarch.errors import NotFoundError, PolyarchError, RegistryError
from polyarch.oci import retry as retries
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.oci.retry import Retry
from polyarch.registry import failures
from polyarch.registry.auth import Authorizer
from polyarch.registry.hosts import Endpoint, Hosts
from polyarch.registry.http import Body, Headers, Transport, joined, origin_differs
from polyarch.registry.response import Response

# 404 says no. The others come from registries and proxies that do not allow HEAD: GET, or PUT, decides.
NO_HEAD = (400, 403, 404, 405, 501)


class ClientSession:
    """What the repositories of one command share: the transport, the tokens, and which scheme a host speaks."""

    def __init__(self, hosts: Hosts, transport: Transport, authorizer: Authorizer) -> None:
        self.transport = transport
        # Mirrors that could not be reached, or whose bytes were wrong. They are not asked again.
        self.dead: set[str] = set()
        # Hosts that cannot list referrers. They are not asked for a list again.
        self.listless: set[str] = set()
        self._hosts = hosts
        self._authorizer = authorizer
        self._bases: dict[str, str] = {}
        self._lock = Lock()

    @property
    def retry(self) -> Retry:
        """How one request, a download that is resumed, and an upload that begins again are retried."""
        return self.transport.retry

    def endpoint(self, reference: Reference) -> Endpoint:
        """Where a repository is written. Raises RegistryError if it is blocked."""
        return self._hosts.endpoints(reference)[-1]

    def base(self, endpoint: Endpoint) -> str:
        """The URL that an endpoint's paths begin with, such as `https://host:port`.

        A host that may speak either scheme is asked once. Go's servers answer a plain request on a TLS port with
        status 400, others close the connection. Raises RegistryError.
        """
        with self._lock:
            if endpoint.host in self._bases:
                return self._bases[endpoint.host]
        first, *others = (f"{scheme}://{endpoint.host}" for scheme in self._hosts.schemes(endpoint.host))
        base = first
        if others:
            (second,) = others
            try:
                with self._ping(first) as response:
                    if response.status == 400 and first.startswith("http:"):
                        base = second
            except RegistryError as error:
                if failures.is_unreachable(error):
                    # If it is reached in another way, by another port or proxy. If not, the request itself will meet
                    # the error, and retry: a registry that is down is not spoken to without TLS when it is up again.
                    if self.transport.reaches_alike(first, second) or not self._answers(second):
                        return first
                elif second.startswith("https:"):
                    self._confirm(second, error)
                base = second
        with self._lock:
            return self._bases.setdefault(endpoint.host, base)

    def _answers(self, base: str) -> bool:
        try:
            with self._ping(base) as response:
                # A proxy says so where it cannot reach the host.
                return response.status < 500
        except RegistryError:
            return False

    def _ping(self, base: str) -> Response:
        return self.transport.send("GET", f"{base}{endpoints.PING.target()}", retry=retries.ONCE)

    def _confirm(self, base: str, failure: RegistryError) -> None:
        """Raise `failure`, the error of plain HTTP, if the host speaks no TLS either: it is the one to report."""
        try:
            self._ping(base).close()
        except RegistryError as error:
            if failures.speaks_no_tls(error):
                raise failure from error

    def request(
        self,
        endpoint: Endpoint,
        operation: Operation,
        target: str,
        *,
        scope: Scope,
        what: str,
        also_ok: Iterable[int] = (),
        headers: Headers | None = None,
        body: Body | None = None,
        retry: Retry | None = None,
    ) -> Response:
        """The response to a request whose status is one of `operation.ok` or `also_ok`.

        `target` is a path, or a URL that the registry gave. A token that has expired meanwhile is renewed once. Raises
        NotFoundError, RegistryError; `what` says in the message what was wanted.
        """
        base = self.base(endpoint)
        url = joined(base, target)
        foreign = origin_differs(base, url)
        if foreign and base.startswith("https:"):
            self.transport.require_private(url, endpoint.host)
        authorization = None if foreign else self._authorizer.header(base, endpoint, scope)
        response = self._send(operation.method, url, headers, body, authorization, retry)
        # The challenge of a host that was only redirected to is not answered: it would choose who gets the password.
        if response.status == 401 and not origin_differs(base, response.url):
            named = self._authorizer.challenged(base, endpoint, response, authorization)
            response.body()
            response.close()
            fresh = self._authorizer.header(base, endpoint, scope | named)
            if fresh is None or fresh == authorization:
                raise self._refused(response, endpoint, operation, what)
            if body is not None and not body.rewind():
                raise RegistryError(f"{what}: the token expired while sending", "try again", status=401, retryable=True)
            response = self._send(operation.method, url, headers, body, fresh, retry)
        if response.status not in operation.ok and response.status not in also_ok:
            raise self._refused(response, endpoint, operation, what)
        return response

    def _refused(self, response: Response, endpoint: Endpoint, operation: Operation, what: str) -> PolyarchError:
        with response:
            return failures.refusal(
                response.status,
                response.body(),
                what,
                endpoint.host,
                known=self._authorizer.knows(endpoint),
                writing=operation.is_writing,
                exhausted=response.exhausted,
            )

    def _send(
        self,
        method: str,
        url: str,
        headers: Headers | None,
        body: Body | None,
        authorization: str | None,
        retry: Retry | None,
    ) -> Response:
        sent = dict(headers or {})
        if authorization is not None:
            sent["Authorization"] = authorization
        return self.transport.send(method, url, sent, body, retry=retry)


class Wire:
    """One repository.

    `known` are digests that it has for certain, `uploads` those that were begun and not used, by digest.
    """

    def __init__(self, reference: Reference, endpoints: tuple[Endpoint, ...], session: ClientSession) -> None:
        self.reference = reference
        self.session = session
        self.own = endpoints[-1]
        self.known: set[Digest] = set()
        self.uploads: dict[Digest, list[str]] = {}
        self.lock = Lock()
        self._endpoints = endpoints

    def name(self, version: str) -> str:
        """How messages call a tag or digest of the repository."""
        return f"{self.reference}{'@' if ':' in version else ':'}{version}"

    def request(
        self,
        operation: Operation,
        location: str = "",
        *,
        what: str,
        also_ok: Iterable[int] = (),
        headers: Headers | None = None,
        body: Body | None = None,
        scope: Scope | None = None,
        retry: Retry | None = None,
        **values: str,
    ) -> Response:
        """A request to the registry itself, see `ClientSession.request`.

        It goes to `location`, a URL that the registry gave, or to the operation's own path with `values`. `scope` is
        what a token must allow besides the operation.
        """
        own = repository_scope(self.own.repository, *operation.actions)
        return self.session.request(
            self.own,
            operation,
            location or operation.target(self.own.repository, **values),
            scope=own if scope is None else own | scope,
            what=what,
            also_ok=also_ok,
            headers=headers,
            body=body,
            retry=retry,
        )

    def read(
        self,
        operation: Operation,
        version: str,
        *,
        what: str,
        also_ok: Iterable[int] = (),
        headers: Headers | None = None,
        **values: str,
    ) -> Response:
        """A request that mirrors may answer: each that serves `version` is asked in turn, then the registry."""
        for endpoint in self._endpoints:
            is_own = endpoint is self.own
            if not is_own and (not endpoint.serves(version) or endpoint.host in self.session.dead):
                continue
            try:
                response = self.session.request(
                    endpoint,
                    operation,
                    operation.target(endpoint.repository, **values),
                    scope=repository_scope(endpoint.repository, *operation.actions),
                    what=what,
                    also_ok=also_ok,
                    headers=headers,
                    retry=None if is_own else retries.MIRROR,
                )
            except (RegistryError, NotFoundError) as error:
                # Whatever is wrong with a mirror, the registry can still answer; the debug output has the error.
                if is_own:
                    raise
                if isinstance(error, RegistryError) and error.status == 0:
                    self.session.dead.add(endpoint.host)
            else:
                response.mirror = "" if is_own else endpoint.host
                return response
        raise AssertionError("the registry itself is the last endpoint")

    def distrust(self, mirror: str) -> bool:
        """Stop asking a mirror whose bytes were wrong. Returns whether it was one, so that asking again helps."""
        if mirror:
            self.session.dead.add(mirror)
        return bool(mirror)

    def remember(self, digest: Digest) -> None:
        """Note that the repository has this, so that it is not asked again."""
        with self.lock:
            self.known.add(digest)

    def is_known(self, digest: Digest) -> bool:
        """Whether the repository has this for certain."""
        with self.lock:
            return digest in self.known

    def ping(self) -> None:
        """See `Repository.ping`."""
        ping(self.session, self.own)


def ping(session: ClientSession, endpoint: Endpoint) -> None:
    """Ask for /v2/. Raises RegistryError where that is refused, or the server is not a registry."""
    what = f"{endpoint.host} cannot be used as a registry"
    try:
        session.request(endpoint, endpoints.PING, endpoints.PING.target(), scope=Scope(), what=what).close()
    except NotFoundError as error:
        raise RegistryError(error.message, "the server does not speak the registry API", status=404) from error
