"""Push of blobs: "POST then PUT" and "Single POST", and mounts."""

import re
from urllib.parse import quote

from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls
from tests.serve.spec.clauses import Section

post_put = Section("POST then PUT")
single_post = Section("Single POST")
mounts = Section("Mounting a blob from another repository")

_SESSION = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)


@post_put.must("POST opens a session: 202, with Location.")
def post_opens_a_session(calls: Calls) -> None:
    calls.start().location()


@post_put.must("Location holds a UUID, another one for each session.")
def sessions_have_a_uuid(calls: Calls) -> None:
    first, second = calls.start(), calls.start()
    found = [_SESSION.findall(answer.location()) for answer in (first, second)]
    first.require(all(found), "Location holds no UUID")
    second.require(found[0] != found[1], "two sessions have one UUID")


@post_put.must("PUT with the digest closes it: 201, with Location.")
def put_closes_a_session(calls: Calls) -> None:
    blob = calls.bytes()
    calls.close(calls.start().location(), content.digest_of(blob), blob).expect(201).location()


@post_put.must("Location of the closed session is where the blob can be pulled.")
def pushed_blob_can_be_pulled(calls: Calls) -> None:
    blob = calls.bytes()
    location = calls.close(calls.start().location(), content.digest_of(blob), blob).expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)


@post_put.asks("The answer to the PUT has Docker-Content-Digest.")
def digest_of_an_upload(calls: Calls) -> None:
    blob = calls.bytes()
    digest = content.digest_of(blob)
    calls.close(calls.start().location(), digest, blob).expect(201).expect_digest(digest)


@post_put.asks("A blob of other bytes than its digest: 400 with DIGEST_INVALID, and there is no such blob.")
def wrong_digest(calls: Calls) -> None:
    digest = content.digest_of(b"other bytes " + calls.bytes())
    calls.close(calls.start().location(), digest, calls.bytes()).expect(400, code="DIGEST_INVALID")
    calls.head_blob(digest).expect(404)
    calls.head_blob(content.digest_of(calls.bytes())).expect(404)


@post_put.asks("So it is after a chunk, and after a stream of unknown length.")
def wrong_digest_of_chunks(calls: Calls) -> None:
    digest = content.digest_of(b"other bytes " + calls.bytes())
    for first in (0, None):
        location = (
            calls.patch(calls.start().location(), calls.bytes(), first, chunked=first is None).expect(202).location()
        )
        calls.close(location, digest).expect(400, code="DIGEST_INVALID")
        calls.head_blob(digest).expect(404)


@post_put.asks("PUT without a digest: 400.")
def no_digest(calls: Calls) -> None:
    calls.ask("PUT", calls.start().location(), calls.bytes(), content_type=OCTETS).expect(400)


@post_put.should("A digest that is malformed or of an unknown algorithm: 400 (after 1.1).")
def malformed_digest(calls: Calls) -> None:
    blob = calls.bytes()
    right = content.digest_of(blob)
    for digest in ("sha256:0", right[:-1], right.upper(), right[7:], f"md4:{'0' * 32}", "sha256:baddigeststring", ""):
        calls.close(calls.start().location(), digest, blob).expect(400)


@post_put.asks("An unknown session: 404, with the code BLOB_UPLOAD_UNKNOWN.")
def unknown_session(calls: Calls) -> None:
    calls.push("1")
    location = calls.start().location().partition("?")[0]
    unknown = _SESSION.sub("00000000-0000-4000-8000-000000000000", location)
    blob = calls.bytes()
    calls.close(unknown, content.digest_of(blob), blob).expect(404, code="BLOB_UPLOAD_UNKNOWN")


@post_put.asks("A closed session is gone: 404.")
def closed_session(calls: Calls) -> None:
    blob = calls.bytes()
    location = calls.start().location()
    calls.close(location, content.digest_of(blob), blob).expect(201)
    calls.ask("GET", location).expect(404)
    calls.close(location, content.digest_of(blob), blob).expect(404)


@post_put.asks("A session belongs to its repository: under another name it is unknown.")
def session_of_another_repository(calls: Calls) -> None:
    blob = calls.bytes()
    location = calls.start().location()
    moved = location.replace(f"/{calls.repository}/", f"/{calls.other}/")
    calls.close(moved, content.digest_of(blob), blob).expect(404)


@post_put.asks("A blob of 0 bytes can be pushed and pulled.")
def empty_blob(calls: Calls) -> None:
    digest = content.digest_of(b"")
    calls.close(calls.start().location(), digest, b"").expect(201)
    calls.get_blob(digest).expect(200, body=b"", content_length="0")
    calls.head_blob(digest).expect(200, content_length="0")


@post_put.asks("A blob that is there already can be pushed again.")
def same_blob_again(calls: Calls) -> None:
    blob = calls.bytes()
    for _ in range(2):
        calls.push_blob(blob)
    calls.get_blob(content.digest_of(blob)).expect(200, body=blob)


@post_put.asks("Two sessions may push the same blob at the same time, and both succeed.")
def same_blob_at_the_same_time(calls: Calls) -> None:
    blob = calls.bytes()
    first, second = calls.start().location(), calls.start().location()
    first = calls.patch(first, blob).expect(202).location()
    second = calls.patch(second, blob).expect(202).location()
    calls.close(first, content.digest_of(blob)).expect(201)
    calls.close(second, content.digest_of(blob)).expect(201)
    calls.get_blob(content.digest_of(blob)).expect(200, body=blob)


def _post(calls: Calls, digest: str, blob: bytes) -> tuple[bool, str]:
    """A single POST; where it is not supported, the PUT that follows. Whether it was, and Location."""
    path = calls.path("blobs", "uploads", "") + f"?digest={quote(digest)}"
    answer = calls.ask("POST", path, blob, content_type=OCTETS).expect(201, 202)
    if answer.status == 201:
        return True, answer.location()
    return False, calls.close(answer.location(), digest, blob).expect(201).location()


@single_post.may("POST with a digest and the bytes: 201 with Location, where the blob can be pulled.")
def single_post_is_supported(calls: Calls) -> None:
    blob = calls.bytes()
    path = calls.path("blobs", "uploads", "") + f"?digest={quote(content.digest_of(blob))}"
    location = calls.ask("POST", path, blob, content_type=OCTETS).expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)


@single_post.should("Where that is not supported: 202 with Location, and a PUT there succeeds.")
def single_post_or_a_session(calls: Calls) -> None:
    blob = calls.bytes()
    _, location = _post(calls, content.digest_of(blob), blob)
    calls.ask("GET", location).expect(200, body=blob)


@single_post.must("The digest has to be that of the bytes: 400 with DIGEST_INVALID, and there is no such blob.")
def single_post_with_a_wrong_digest(calls: Calls) -> None:
    digest = content.digest_of(b"other bytes " + calls.bytes())
    path = calls.path("blobs", "uploads", "") + f"?digest={quote(digest)}"
    answer = calls.ask("POST", path, calls.bytes(), content_type=OCTETS).expect(400, 202)
    if answer.status == 202:
        answer = calls.close(answer.location(), digest, calls.bytes())
    answer.expect(400, code="DIGEST_INVALID")
    calls.head_blob(digest).expect(404)


def _mount(calls: Calls, digest: str, source: str | None) -> str:
    query = f"?mount={quote(digest)}" + (f"&from={quote(source, safe='')}" if source is not None else "")
    return calls.path("blobs", "uploads", "", repository=calls.other) + query


@mounts.must("A mount that succeeds: 201, with Location, where the blob can be pulled.")
def mount(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob)
    location = calls.ask("POST", _mount(calls, digest, calls.repository)).expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)
    calls.get_blob(digest, repository=calls.other).expect(200, body=blob)


@mounts.asks("Location of a mount is the blob in the repository that it was mounted into.")
def location_of_a_mount(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    answer = calls.ask("POST", _mount(calls, digest, calls.repository)).expect(201)
    answer.require(answer.location() == calls.path("blobs", digest, repository=calls.other), "Location is elsewhere")


@mounts.asks("The answer to a mount has Docker-Content-Digest.")
def digest_of_a_mount(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    calls.ask("POST", _mount(calls, digest, calls.repository)).expect(201).expect_digest(digest)


@mounts.may("Without `from` the blob may be taken from any repository: 201.")
def anonymous_mount(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob)
    location = calls.ask("POST", _mount(calls, digest, None)).expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)


def _falls_back(calls: Calls, digest: str, source: str | None) -> None:
    """A mount that cannot succeed opens a session, which works."""
    answer = calls.ask("POST", _mount(calls, digest, source)).expect(202)
    blob = calls.bytes("pushed instead")
    calls.close(answer.location(), content.digest_of(blob), blob).expect(201)


@mounts.should("A blob that is nowhere: 202, and the session works.")
def mount_of_nothing(calls: Calls) -> None:
    calls.push_blob(calls.bytes())
    _falls_back(calls, content.digest_of(b"never pushed"), calls.repository)


@mounts.should("A blob that is nowhere, without `from`: 202, and the session works.")
def anonymous_mount_of_nothing(calls: Calls) -> None:
    _falls_back(calls, content.digest_of(b"never pushed"), None)


@mounts.should("A blob that is nowhere, from a repository that does not exist: 202, and the session works.")
def mount_from_nowhere(calls: Calls) -> None:
    _falls_back(calls, content.digest_of(b"never pushed"), "no/such/repository")


@mounts.asks("A source that is not a name, or a digest that is none: a session (202) or 400, no error of the server.")
def mount_from_an_illegal_name(calls: Calls) -> None:
    digest = content.digest_of(b"never pushed")
    calls.ask("POST", _mount(calls, digest, "Not/A/Name")).expect(202, 400)
    calls.ask("POST", _mount(calls, digest, "../..")).expect(202, 400)
    calls.ask("POST", _mount(calls, "sha256:baddigeststring", calls.repository)).expect(202, 400)


@mounts.asks("A blob can be mounted where it already is: 201.")
def mount_again(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    calls.ask("POST", _mount(calls, digest, calls.repository)).expect(201)
    calls.ask("POST", _mount(calls, digest, calls.repository)).expect(201)


@mounts.asks("A manifest is accepted whose blobs were mounted.")
def manifest_of_mounted_blobs(calls: Calls) -> None:
    document = calls.push("1")
    for blob in document.blobs:
        calls.ask("POST", _mount(calls, content.digest_of(blob), calls.repository)).expect(201)
    calls.repository = calls.other
    calls.put_only("1", document).expect(201)
