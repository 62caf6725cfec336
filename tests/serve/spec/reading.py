"""A registry that may only be read: what the specification says where an API is disabled."""

from tests.serve.spec import content
from tests.serve.spec.calls import Calls
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

reading = Section("A registry that may only be read", "read-only")


@reading.must("Pulling works: GET /v2/ is 200, and what is not there is 404.")
def pull_where_only_reading_is_allowed(calls: Calls) -> None:
    calls.ask("GET", "/v2/").expect(200)
    calls.get_manifest("1").expect(404)
    calls.get_blob(digest_of(b"never pushed")).expect(404)


@reading.must("Deleting a tag, where it is disabled: 400 or 405.")
def delete_a_tag_where_it_is_disabled(calls: Calls) -> None:
    calls.ask("DELETE", calls.path("manifests", "1")).expect(400, 405)


@reading.must("Deleting a manifest, where it is disabled: 400 or 405.")
def delete_a_manifest_where_it_is_disabled(calls: Calls) -> None:
    calls.ask("DELETE", calls.path("manifests", digest_of(b"never pushed"))).expect(400, 405)


@reading.must("Deleting a blob, where it is disabled: 400 or 405.")
def delete_a_blob_where_it_is_disabled(calls: Calls) -> None:
    calls.ask("DELETE", calls.path("blobs", digest_of(b"never pushed"))).expect(400, 405)


@reading.asks("Pushing, where it is disabled: 405 with UNSUPPORTED, before anything is sent.")
def push_where_it_is_disabled(calls: Calls) -> None:
    calls.ask("POST", calls.path("blobs", "uploads", "")).expect(405, code="UNSUPPORTED")
    calls.put_only("1", content.image(calls.name)).expect(405, code="UNSUPPORTED")


@reading.asks("Each 405 has Allow, with the methods for reading.")
def allowed_where_only_reading_is(calls: Calls) -> None:
    for answer in (
        calls.put_only("1", content.image(calls.name)),
        calls.ask("DELETE", calls.path("manifests", digest_of(b"never pushed"))),
        calls.ask("DELETE", calls.path("blobs", digest_of(b"never pushed"))),
    ):
        answer.expect(405, allow="GET, HEAD")
