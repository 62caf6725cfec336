"""The wire: one repository as a sender of authorised requests to its mirrors and to its registry.

blobs, manifests and tags say what they want (method, path, what is a good answer); here is who is asked, who is
shown to ask, and what an answer that is not good means.
"""

from collections.abc import Iterable
from threading import Lock

from polyarch.errors import NotFoundError, RegistryError
from polyarch.oci.digest import Digest
from polyarch.oci.reference import Reference
from polyarch.registry import auth, errors, failures
from polyarch.registry.auth import Authorizer, Scope
from polyarch.registry.hosts import Endpoint, Hosts
from polyarch.registry.http import ATTEMPTS, Body, Headers, Transport, joined, origin_differs
from polyarch.registry.response import Response

# A mirror is a convenience: what it does not give soon is got from the registry.
_MIRROR_ATTEMPTS = 2
_WRITING = frozenset({"PUT", "POST", "PATCH"})


class Session:
    """What the repositories of one command share: the transport, the tokens, and which scheme a host speaks."""

    def __init__(self, hosts: Hosts, transport: Transport, authorizer: Authorizer) -> None:
        self.transport = transport
        self.dead: set[str] = set()  # mirrors that could not be reached, or lied: they are not asked again
        self._hosts = hosts
        self._authorizer = authorizer
        self._bases: dict[str, str] = {}
        self._lock = Lock()

    def place(self, reference: Reference) -> Endpoint:
        """Where a repository is written. Raises RegistryError if it is blocked."""
        return self._hosts.endpoints(reference)[-1]

    def base(self, endpoint: Endpoint) -> str:
        """The URL that an endpoint's paths begin with, as `https://host:port`.

        A host that may speak either scheme is asked once. Go's servers answer a plain request on a TLS port with
        status 400, others cut it. Raises RegistryError.
        """
        with self._lock:
            if endpoint.host in self._bases:
                return self._bases[endpoint.host]
        schemes = self._hosts.schemes(endpoint.host)
        failure: RegistryError | None = None
        for scheme in schemes[:-1]:
            base = f"{scheme}://{endpoint.host}"
            try:
                with self.transport.send("GET", f"{base}/v2/", attempts=1) as response:
                    speaks = not (scheme == "http" and response.status == 400)
            except RegistryError as error:
                if failures.nobody_listens(error):
                    return base  # for another scheme as well; whoever asks meets it with its own patience
                speaks, failure = False, error
            if speaks:
                break
        else:
            base = f"{schemes[-1]}://{endpoint.host}"
            if failure is not None and schemes[-1] == "https":
                self._confirm(base, failure)
        with self._lock:
            return self._bases.setdefault(endpoint.host, base)

    def _confirm(self, base: str, failure: RegistryError) -> None:
        """Raises `failure`, which plain HTTP ended with, where TLS is not spoken either: it is the one to be told."""
        try:
            self.transport.send("GET", f"{base}/v2/", attempts=1).close()
        except RegistryError as error:
            if failures.speaks_no_tls(error):
                raise failure from error

    def request(
        self,
        endpoint: Endpoint,
        method: str,
        target: str,
        *,
        scope: Scope,
        what: str,
        ok: Iterable[int] = (200,),
        headers: Headers | None = None,
        body: Body | None = None,
        attempts: int = ATTEMPTS,
    ) -> Response:
        """The answer to a request whose status is one of `ok`. `target` is a path, or a URL that the registry gave.

        A token that has expired on the way is renewed once. Raises NotFoundError, RegistryError; `what` says in
        the message what was wanted.
        """
        base = self.base(endpoint)
        url = joined(base, target)
        foreign = origin_differs(base, url)
        if foreign and base.startswith("https:"):
            self.transport.require_private(url, endpoint.host)
        authorization = None if foreign else self._authorizer.header(base, endpoint, scope)
        response = self._send(method, url, headers, body, authorization, attempts)
        # The challenge of a host that was only redirected to is not answered: it would choose who gets the password.
        if response.status == 401 and not origin_differs(base, response.url):
            named = self._authorizer.challenged(base, endpoint, response, authorization)
            said = response.body()
            response.close()
            fresh = self._authorizer.header(base, endpoint, scope | named)
            if fresh is None or fresh == authorization:
                known = self._authorizer.knows(endpoint)
                raise errors.refusal(401, said, what, endpoint.host, known=known)
            if body is not None and not body.rewind():
                raise RegistryError(f"{what}: the token expired while sending", "try again", status=401, retryable=True)
            response = self._send(method, url, headers, body, fresh, attempts)
        if response.status not in ok:
            with response:
                known = self._authorizer.knows(endpoint)
                raise errors.refusal(
                    response.status, response.body(), what, endpoint.host, known=known, writing=method in _WRITING
                )
        return response

    def _send(
        self,
        method: str,
        url: str,
        headers: Headers | None,
        body: Body | None,
        authorization: str | None,
        attempts: int,
    ) -> Response:
        sent = dict(headers or {})
        if authorization is not None:
            sent["Authorization"] = authorization
        return self.transport.send(method, url, sent, body, attempts=attempts)


class Wire:
    """One repository. `known` are digests that it is known to have, `sessions` uploads begun and not used."""

    def __init__(self, reference: Reference, endpoints: tuple[Endpoint, ...], session: Session) -> None:
        self.reference = reference
        self.session = session
        self.own = endpoints[-1]
        self.known: set[Digest] = set()
        self.sessions: dict[Digest, list[str]] = {}
        self.lock = Lock()
        self._endpoints = endpoints

    def name(self, version: str) -> str:
        """How a tag or digest of the repository is written in messages."""
        return f"{self.reference}{'@' if ':' in version else ':'}{version}"

    def path(self, tail: str, endpoint: Endpoint | None = None) -> str:
        """The path of something in the repository."""
        return f"/v2/{(endpoint or self.own).repository}/{tail}"

    def request(
        self,
        method: str,
        target: str,
        *,
        what: str,
        ok: Iterable[int] = (200,),
        headers: Headers | None = None,
        body: Body | None = None,
        push: bool = False,
        delete: bool = False,
        beside: str = "",
        attempts: int = ATTEMPTS,
    ) -> Response:
        """A request to the registry itself, as `Session.request`. `beside` is a repository that is read from, too."""
        actions = ("pull", *(("push",) if push else ()), *(("delete",) if delete else ()))
        scope = auth.repository(self.own.repository, *actions)
        if beside:
            scope |= auth.repository(beside, "pull")
        return self.session.request(
            self.own, method, target, scope=scope, what=what, ok=ok, headers=headers, body=body, attempts=attempts
        )

    def read(
        self,
        method: str,
        tail: str,
        version: str,
        *,
        what: str,
        headers: Headers | None = None,
        ok: Iterable[int] = (200,),
    ) -> Response:
        """A request that mirrors may answer: each that serves `version` is asked in turn, then the registry."""

        for endpoint in self._endpoints:
            own = endpoint is self.own
            if not own and (not endpoint.serves(version) or endpoint.host in self.session.dead):
                continue
            try:
                response = self.session.request(
                    endpoint,
                    method,
                    self.path(tail, endpoint),
                    scope=auth.repository(endpoint.repository, "pull"),
                    what=what,
                    ok=ok,
                    headers=headers,
                    attempts=ATTEMPTS if own else _MIRROR_ATTEMPTS,
                )
            except (RegistryError, NotFoundError) as error:
                # Whatever ails a mirror, the registry itself can still answer; the debug output has shown it.
                if own:
                    raise
                if isinstance(error, RegistryError) and error.status == 0:
                    self.session.dead.add(endpoint.host)
            else:
                response.mirror = "" if own else endpoint.host
                return response
        raise AssertionError("the registry itself is the last endpoint")

    def distrust(self, mirror: str) -> bool:
        """Do not ask a mirror again whose bytes were not what they claim; whether it was one, so that asking helps."""
        if mirror:
            self.session.dead.add(mirror)
        return bool(mirror)

    def remember(self, digest: Digest) -> None:
        """The repository has this: it need not be asked again."""
        with self.lock:
            self.known.add(digest)

    def ping(self) -> None:
        """As of Repository."""
        ping(self.session, self.own)


def ping(session: Session, endpoint: Endpoint) -> None:
    """Ask for /v2/. Raises RegistryError where that is refused, or answered by something that is no registry."""
    what = f"{endpoint.host} cannot be used as a registry"
    try:
        session.request(endpoint, "GET", "/v2/", scope=Scope(), what=what).close()
    except NotFoundError as error:
        raise RegistryError(error.message, "the server does not speak the registry API", status=404) from error
