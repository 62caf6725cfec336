"""A registry that asks for a name and a password (RFC 9110, section 11; RFC 7617; docker's API)."""

from base64 import b64encode

from tests.serve.logins import credentials
from tests.serve.spec import content
from tests.serve.spec.calls import Calls, Checked
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

passwords = Section("A registry with passwords", "password")

NAME, PASSWORD = "someone", "a pass:word"
RIGHT = credentials(NAME, PASSWORD)


def _all(calls: Calls, **headers: str) -> list[Checked]:
    """A request of each kind."""
    digest = digest_of(b"never pushed")
    document = content.image(calls.name)
    return [
        calls.ask("GET", "/v2/", **headers),
        calls.get_manifest("1", **headers),
        calls.head_manifest("1", **headers),
        calls.get_blob(digest, **headers),
        calls.ask("GET", calls.path("tags", "list"), **headers),
        calls.ask("GET", "/v2/_catalog", **headers),
        calls.ask("POST", calls.path("blobs", "uploads", ""), **headers),
        calls.put_only("1", document, **headers),
        calls.ask("DELETE", calls.path("manifests", digest), **headers),
        calls.ask("DELETE", calls.path("blobs", digest), **headers),
    ]


@passwords.asks("A request without credentials: 401 with WWW-Authenticate, whether what it asks for is there or not.")
def withoutcredentials(calls: Calls) -> None:
    for answer in _all(calls):
        answer.expect(401).require(bool(answer.header("WWW-Authenticate")), "without WWW-Authenticate")


@passwords.asks('The challenge is `Basic realm="…"`.')
def challenge(calls: Calls) -> None:
    answer = calls.ask("GET", "/v2/").expect(401)
    said = answer.header("WWW-Authenticate") or ""
    answer.require(said.startswith('Basic realm="'), "it is another")


@passwords.asks("Code UNAUTHORIZED: credentials are needed.")
def unauthorized(calls: Calls) -> None:
    calls.ask("GET", "/v2/").expect(401, code="UNAUTHORIZED")
    calls.get_manifest("1").expect(401, code="UNAUTHORIZED")


@passwords.asks("Wrong credentials, and any that are malformed: 401.")
def wrongcredentials(calls: Calls) -> None:
    wrong = [credentials(NAME, "another"), credentials("another", PASSWORD), credentials(NAME, ""), "Basic"]
    for value in (*wrong, "Basic ?", "Basic " + b64encode(NAME.encode()).decode(), "Bearer x", "x"):
        calls.ask("GET", "/v2/", authorization=value).expect(401)


@passwords.asks("Right credentials: what is asked for, in each request.")
def rightcredentials(calls: Calls) -> None:
    calls.ask("GET", "/v2/", authorization=RIGHT).expect(200)
    statuses = [answer.status for answer in _all(calls, authorization=RIGHT)]
    answer = calls.ask("GET", "/v2/", authorization=RIGHT)
    answer.require(401 not in statuses and 202 in statuses, "another request is refused all the same")


@passwords.asks("The answer 401 has Docker-Distribution-Api-Version, by which docker knows a registry.")
def version_of_a_401(calls: Calls) -> None:
    calls.ask("GET", "/v2/").expect(401, docker_distribution_api_version="registry/2.0")
