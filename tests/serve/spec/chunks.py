"""Push of blobs: "Pushing a blob in chunks" and "Cancel a blob upload"."""

import re

from tests.serve.spec import content
from tests.serve.spec.calls import Calls
from tests.serve.spec.clauses import Section
from tests.serve.spec.wire import Request

_ATTEMPTS = 10

chunks = Section("Pushing a blob in chunks")
cancel = Section("Canceling an upload (after 1.1)")


def _three(calls: Calls) -> tuple[bytes, bytes, bytes]:
    blob = calls.bytes(size=3000)
    return blob[:1000], blob[1000:2000], blob[2000:]


@chunks.should("If OCI-Chunk-Min-Length is in the answer to POST, it is a number.")
def shortest_chunk(calls: Calls) -> None:
    answer = calls.start()
    answer.require(bool(re.fullmatch("[0-9]+", answer.header("OCI-Chunk-Min-Length") or "1")), "it is not a number")


@chunks.must("A chunk that is accepted: 202, with Location.")
def chunk_is_accepted(calls: Calls) -> None:
    calls.patch(calls.start().location(), calls.bytes(), 0).expect(202).location()


@chunks.must("The answer to a chunk has `Range: 0-LAST`, the last byte of all so far.")
def range_of_chunks(calls: Calls) -> None:
    one, two, _ = _three(calls)
    answer = calls.patch(calls.start().location(), one, 0).expect(202, range="0-999")
    calls.patch(answer.location(), two, 1000).expect(202, range="0-1999")


@chunks.must("PUT with the digest of the whole blob closes it: 201, with Location, where it can be pulled.")
def chunks_become_a_blob(calls: Calls) -> None:
    location = calls.start().location()
    for place, chunk in enumerate(_three(calls)):
        location = calls.patch(location, chunk, place * 1000).expect(202).location()
    blob = b"".join(_three(calls))
    location = calls.close(location, content.digest_of(blob)).expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)


@chunks.may("The last chunk may be in the PUT.")
def last_chunk_in_the_put(calls: Calls) -> None:
    one, two, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    location = calls.patch(location, two, 1000).expect(202).location()
    blob = one + two + three
    location = calls.close(location, content.digest_of(blob), three, content_range="2000-2999").expect(201).location()
    calls.ask("GET", location).expect(200, body=blob)


@chunks.asks("The last chunk in the PUT needs no Content-Range.")
def last_chunk_without_a_range(calls: Calls) -> None:
    one, two, _ = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.close(location, content.digest_of(one + two), two).expect(201)
    calls.get_blob(content.digest_of(one + two)).expect(200, body=one + two)


@chunks.may("The last chunk, and any chunk where no shortest one is said, may be of any length.")
def chunks_of_one_byte(calls: Calls) -> None:
    answer = calls.start()
    least = int(answer.header("OCI-Chunk-Min-Length") or 1)
    first, last = calls.bytes(size=least), b"x"
    location = calls.patch(answer.location(), first, 0).expect(202).location()
    location = calls.patch(location, last, least).expect(202).location()
    calls.close(location, content.digest_of(first + last)).expect(201)


@chunks.must("The session has to be closed: until then there is no blob.")
def no_blob_before_the_put(calls: Calls) -> None:
    blob = calls.bytes()
    calls.patch(calls.start().location(), blob, 0).expect(202)
    calls.head_blob(content.digest_of(blob)).expect(404)


@chunks.must("The digest is of the whole blob, not of the last chunk: 400 with DIGEST_INVALID.")
def digest_of_the_last_chunk(calls: Calls) -> None:
    one, two, _ = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.close(location, content.digest_of(two), two).expect(400, code="DIGEST_INVALID")
    calls.head_blob(content.digest_of(two)).expect(404)


@chunks.must("The first chunk has to begin with 0: 416.")
def first_chunk_not_at_0(calls: Calls) -> None:
    calls.patch(calls.start().location(), calls.bytes(), 3).expect(416)


@chunks.must("A chunk with a gap before it: 416.")
def chunk_after_a_gap(calls: Calls) -> None:
    one, _, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.patch(location, three, 2000).expect(416)


@chunks.must("A chunk that is sent again: 416.")
def chunk_again(calls: Calls) -> None:
    one, _, _ = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.patch(location, one, 0).expect(416)


@chunks.must("The last chunk in the PUT out of order: 416 (after 1.1).")
def last_chunk_out_of_order(calls: Calls) -> None:
    one, two, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    digest = content.digest_of(one + two + three)
    calls.close(location, digest, three, content_range="2000-2999").expect(416)


@chunks.asks("After 416 the upload goes on from where it was: GET says where, and the right chunk is accepted.")
def upload_goes_on_after_416(calls: Calls) -> None:
    one, two, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.patch(location, three, 2000).expect(416)
    status = calls.ask("GET", location).expect(204, range="0-999")
    location = calls.patch(status.location(), two, 1000).expect(202).location()
    calls.close(location, content.digest_of(one + two)).expect(201)


@chunks.asks("After 416 for the PUT the upload goes on as well, and holds none of the refused bytes.")
def upload_goes_on_after_416_of_the_put(calls: Calls) -> None:
    one, two, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    digest = content.digest_of(one + two)
    calls.close(location, digest, three, content_range="2000-2999").expect(416)
    status = calls.ask("GET", location).expect(204, range="0-999")
    calls.close(status.location(), digest, two, content_range="1000-1999").expect(201)
    calls.get_blob(digest).expect(200, body=one + two)


@chunks.asks("The answer 416 has Location and Range, so that no GET is needed (docker's API).")
def range_of_a_416(calls: Calls) -> None:
    one, _, three = _three(calls)
    location = calls.patch(calls.start().location(), one, 0).expect(202).location()
    calls.patch(location, three, 2000).expect(416, range="0-999").location()


@chunks.must("Content-Range has to be FIRST-LAST: anything else is 416 or 400, and nothing is stored.")
def malformed_range(calls: Calls) -> None:
    for value in ("0", "a-b", "-5", "511-0", "0-511-512"):
        location = calls.start().location()
        calls.patch(location, calls.bytes(), content_range=value).expect(416, 400)
        calls.ask("GET", location).expect(204, range="0-0")


@chunks.asks("Content-Range that is of another length than the body: 416 or 400.")
def range_of_another_length(calls: Calls) -> None:
    calls.patch(calls.start().location(), calls.bytes(), content_range="0-1000").expect(416, 400)


@chunks.must("GET of a session: 204, with Location.")
def status_of_a_session(calls: Calls) -> None:
    location = calls.patch(calls.start().location(), calls.bytes(), 0).expect(202).location()
    calls.ask("GET", location).expect(204, body=b"").location()


@chunks.must("GET of a session: `Range: 0-LAST`.")
def range_of_a_session(calls: Calls) -> None:
    location = calls.patch(calls.start().location(), calls.bytes(), 0).expect(202).location()
    calls.ask("GET", location).expect(204, range="0-511")


@chunks.asks("GET of a session works at the Location of any earlier answer of it.")
def status_at_an_earlier_location(calls: Calls) -> None:
    one, two, _ = _three(calls)
    first = calls.start().location()
    second = calls.patch(first, one, 0).expect(202).location()
    calls.patch(second, two, 1000).expect(202)
    calls.ask("GET", first).expect(204, range="0-1999")
    calls.ask("GET", second).expect(204, range="0-1999")


@chunks.asks("GET of an unknown session: 404, with the code BLOB_UPLOAD_UNKNOWN.")
def status_of_an_unknown_session(calls: Calls) -> None:
    calls.push("1")
    unknown = calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")
    calls.ask("GET", unknown).expect(404, code="BLOB_UPLOAD_UNKNOWN")


@chunks.asks("PATCH of an unknown session: 404, with the code BLOB_UPLOAD_UNKNOWN.")
def chunk_of_an_unknown_session(calls: Calls) -> None:
    calls.push("1")
    unknown = calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")
    calls.patch(unknown, calls.bytes(), 0).expect(404, code="BLOB_UPLOAD_UNKNOWN")


@chunks.asks("An upload whose connection breaks can be resumed at the byte that GET says.")
def broken_upload_is_resumed(calls: Calls) -> None:
    blob = calls.bytes(size=200_000)
    location = calls.start().location()
    calls.transport.abandon(Request("PATCH", location, (), blob), 100_000)
    # The server may see the end of the connection after the first question, and 416 says so.
    for _ in range(_ATTEMPTS):
        answer = calls.ask("GET", location).expect(204)
        last = re.fullmatch("0-([0-9]+)", answer.header("Range") or "")
        answer.require(last is not None and int(last[1]) < 100_000, "Range is absent, or more than was sent")
        got = int(last[1]) + 1 if last and last[1] != "0" else 0
        sent = calls.patch(answer.location(), blob[got:], got).expect(202, 416)
        if sent.status == 202:
            break
    calls.close(sent.expect(202).location(), content.digest_of(blob)).expect(201)
    calls.get_blob(content.digest_of(blob)).expect(200, body=blob)


@cancel.should("DELETE of a session: 204.")
def cancel_a_session(calls: Calls) -> None:
    location = calls.patch(calls.start().location(), calls.bytes(), 0).expect(202).location()
    calls.ask("DELETE", location).expect(204)


@cancel.asks("A canceled session is gone: 404, and so is what was sent.")
def canceled_session(calls: Calls) -> None:
    blob = calls.bytes()
    location = calls.patch(calls.start().location(), blob, 0).expect(202).location()
    calls.ask("DELETE", location).expect(204)
    calls.ask("GET", location).expect(404)
    calls.close(location, content.digest_of(blob)).expect(404)
    calls.head_blob(content.digest_of(blob)).expect(404)


@cancel.asks("DELETE of an unknown session: 404.")
def cancel_an_unknown_session(calls: Calls) -> None:
    calls.push("1")
    calls.ask("DELETE", calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")).expect(404)
