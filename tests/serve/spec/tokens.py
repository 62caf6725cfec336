"""A registry whose tokens have rights, which differ by repository (docker's "Token Authentication Specification")."""

import re
from urllib.parse import urlencode, urlsplit

from tests.serve import logins
from tests.serve.logins import credentials
from tests.serve.spec import content
from tests.serve.spec.calls import Calls, Checked
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

tokens = Section("A registry with tokens", "token")

_WRITER, _READER, _DRAFTER = (f"a-secret-for-this-test-{number}" for number in "123")
# The writer may do all in each repository, but not by one rule for all: so a blob of one is not one of another.
TOKENS = (
    logins.token("writer", _WRITER, {pattern: ["pull", "push", "delete"] for pattern in ("*", "*/**")})
    + logins.token("reader", _READER, {"spec/**": ["pull"]})
    + logins.token("drafter", _DRAFTER, {"drafts/**": ["pull", "push"]})
)
WRITER = credentials("writer", _WRITER)
READER = credentials("reader", _READER)
DRAFTER = credentials("drafter", _DRAFTER)


def _challenge(answer: Checked) -> dict[str, str]:
    """The parameters of `Bearer realm="…",…`."""
    said = answer.expect(401).header("WWW-Authenticate") or ""
    answer.require(said.lower().startswith("bearer "), "the challenge is not Bearer")
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', said))


def _token(calls: Calls, answer: Checked, login: str) -> str:
    """Log in as an answer says: an Authorization header."""
    told = _challenge(answer)
    realm = urlsplit(told["realm"])
    query = urlencode({key: told[key] for key in ("service", "scope") if key in told})
    given = calls.ask("GET", f"{realm.path}?{query}", authorization=login).expect(200)
    token = given.fields().get("token") or given.fields().get("access_token")
    given.require(isinstance(token, str), "without a token")
    return f"Bearer {token}"


@tokens.asks("GET /v2/ without credentials: 401 with `Bearer realm=URL,service=NAME`, and the code UNAUTHORIZED.")
def bearer_challenge(calls: Calls) -> None:
    answer = calls.ask("GET", "/v2/").expect(401, code="UNAUTHORIZED")
    told = _challenge(answer)
    answer.require(urlsplit(told.get("realm", "")).scheme in ("http", "https"), "realm is not a URL")
    answer.require(bool(told.get("service")), "without service")


@tokens.asks("The challenge says what is needed: `repository:NAME:pull`, and `pull,push` for a push.")
def scope_of_a_challenge(calls: Calls) -> None:
    pulled, pushed = calls.get_manifest("1"), calls.ask("POST", calls.path("blobs", "uploads", ""))
    scope = _challenge(pulled).get("scope")
    pulled.require(scope == f"repository:{calls.repository}:pull", "scope is another")
    scope = _challenge(pushed).get("scope") or ""
    pushed.require(
        scope.removeprefix(f"repository:{calls.repository}:") in ("pull,push", "push,pull"), "scope is another"
    )


@tokens.asks("A client that logs in as the challenge says may do what it asked for.")
def login_by_a_challenge(calls: Calls) -> None:
    token = _token(calls, calls.ask("POST", calls.path("blobs", "uploads", "")), WRITER)
    calls.ask("POST", calls.path("blobs", "uploads", ""), authorization=token).expect(202)
    calls.get_manifest("1", authorization=token).expect(404)


@tokens.asks("The token is for the repository of its scope: for another it is 401 with a new challenge.")
def scope_of_a_token(calls: Calls) -> None:
    token = _token(calls, calls.get_manifest("1"), WRITER)
    calls.get_manifest("1", authorization=token).expect(404)
    answer = calls.get_manifest("1", calls.other, authorization=token)
    answer.require(_challenge(answer).get("scope") == f"repository:{calls.other}:pull", "scope is another")


@tokens.asks("A login by OAuth2's form (POST, `grant_type=password`) gives `access_token` (docker, containerd).")
def login_by_a_form(calls: Calls) -> None:
    told = _challenge(calls.get_manifest("1"))
    form = {"grant_type": "password", "username": "writer", "password": _WRITER, "client_id": "a client"}
    form |= {"service": told["service"], "scope": told["scope"]}
    kind = "application/x-www-form-urlencoded"
    given = calls.ask("POST", urlsplit(told["realm"]).path, urlencode(form).encode(), content_type=kind).expect(200)
    token = given.fields().get("access_token")
    calls.get_manifest("1", authorization=f"Bearer {token}").expect(404)


@tokens.asks("A wrong login gives no token: 401. A token that is made up is none: 401.")
def wrong_token(calls: Calls) -> None:
    realm = urlsplit(_challenge(calls.get_manifest("1"))["realm"]).path
    calls.ask("GET", realm, authorization=credentials("writer", "another")).expect(401)
    calls.get_manifest("1", authorization="Bearer abc.def.ghi").expect(401)


@tokens.asks("Code DENIED: a client that may pull and not push is refused, with 403.")
def denied(calls: Calls) -> None:
    answer = calls.ask("POST", calls.path("blobs", "uploads", ""), authorization=READER)
    answer.expect(403, code="DENIED")
    calls.ask("DELETE", calls.path("manifests", digest_of(b"x")), authorization=READER).expect(403, code="DENIED")
    calls.get_manifest("1", authorization=READER).expect(404)


@tokens.asks(
    "A repository that a client may not read is refused whether it is there or not, and is not in its catalog."
)
def hidden_repository(calls: Calls) -> None:
    calls.repository = "hidden/" + calls.name
    start = calls.path("blobs", "uploads", "")
    document = content.image(calls.name)
    for blob in document.blobs:
        location = calls.ask("POST", start, authorization=WRITER).expect(202).location()
        calls.close(location, digest_of(blob), blob, authorization=WRITER).expect(201)
    calls.put_only("1", document, authorization=WRITER).expect(201)
    there, absent = (calls.get_manifest(tag, authorization=READER).expect(403) for tag in ("1", "2"))
    absent.require(there.codes() == absent.codes(), "the codes differ")
    answer = calls.ask("GET", "/v2/_catalog", authorization=READER).expect(200)
    answer.require(calls.repository not in answer.listed("repositories"), "it is in the catalog")


@tokens.asks("A blob cannot be mounted from a repository that the client may not read: 202.")
def mount_from_a_hidden_repository(calls: Calls) -> None:
    calls.repository, blob = "hidden/" + calls.name, calls.bytes()
    location = calls.ask("POST", calls.path("blobs", "uploads", ""), authorization=WRITER).expect(202).location()
    calls.close(location, digest_of(blob), blob, authorization=WRITER).expect(201)
    target = calls.path("blobs", "uploads", "", repository="drafts/" + calls.name)
    query = f"?mount={digest_of(blob)}&from={calls.repository}"
    calls.ask("POST", target + query, authorization=DRAFTER).expect(202)
    calls.get_blob(digest_of(blob), "drafts/" + calls.name, authorization=DRAFTER).expect(404)
    calls.ask("POST", target + query, authorization=WRITER).expect(201)
