"""The categories of APIs ("Requirements"): each endpoint of a category is there, with its statuses ("Endpoints")."""

from urllib.parse import quote

from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

categories = Section("Categories of APIs")
_ABSENT = digest_of(b"never pushed")


@categories.must("Pull is supported: end-1, end-2 and end-3, with 200 for what is there and 404 for what is not.")
def pull(calls: Calls) -> None:
    document = calls.push("1")
    calls.ask("GET", "/v2/").expect(200)
    for method in ("GET", "HEAD"):
        for path in (("blobs", digest_of(document.blobs[0])), ("manifests", "1"), ("manifests", document.digest)):
            calls.ask(method, calls.path(*path), accept=document.media_type).expect(200)
        for path in (("blobs", _ABSENT), ("manifests", "2"), ("manifests", _ABSENT)):
            calls.ask(method, calls.path(*path)).expect(404)


@categories.should("Push is supported: end-4a to end-7, end-11 and end-13, with 201, 202 and 204.")
def push(calls: Calls) -> None:
    blob = calls.bytes()
    digest = quote(digest_of(blob))
    start = calls.path("blobs", "uploads", "")
    location = calls.ask("POST", start).expect(202).location()
    calls.ask("POST", f"{start}?digest={digest}", blob, content_type=OCTETS).expect(201, 202)
    location = calls.patch(location, blob, 0).expect(202).location()
    location = calls.ask("GET", location).expect(204).location()
    calls.close(location, digest_of(blob)).expect(201)
    other = calls.path("blobs", "uploads", "", repository=calls.other)
    calls.ask("POST", f"{other}?mount={digest}&from={quote(calls.repository, safe='')}").expect(201, 202)
    document = content.image(calls.name)
    calls.put_manifest(document.digest, document).expect(201)
    calls.put_manifest("1", document).expect(201)


@categories.should("Content discovery is supported: end-8 and end-12, with 200.")
def content_discovery(calls: Calls) -> None:
    document = calls.push("1")
    for query in ("", "?n=1", "?n=1&last=1", "?last=1"):
        calls.tags(query).expect(200)
    for query in ("", "?artifactType=application%2Fvnd.example"):
        calls.referrers(document.digest, query).expect(200)


@categories.should(
    "Content management is supported: end-9 and end-10, with 202 for what is there, 404 for what is not."
)
def content_management(calls: Calls) -> None:
    document = calls.push_tags("1", "2")
    blob = calls.push_blob(calls.bytes())
    for path in (("manifests", "1"), ("manifests", document.digest), ("blobs", blob)):
        calls.ask("DELETE", calls.path(*path)).expect(202)
        calls.ask("DELETE", calls.path(*path)).expect(404)
