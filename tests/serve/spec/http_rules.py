"""The rules of HTTP that a registry and its clients depend on (RFC 9110)."""

import gzip
import re
from urllib.parse import quote

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls, with_query
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import Document, digest_of
from tests.serve.spec.wire import Request

http = Section("HTTP")


@http.asks("HEAD has the headers that GET has: of blobs and manifests.")
def head_is_get(calls: Calls) -> None:
    document = calls.push("1")
    names = ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag", "Accept-Ranges", "Cache-Control")
    for path in (calls.path("manifests", "1"), calls.path("blobs", digest_of(document.blobs[0]))):
        got = calls.ask("GET", path, accept=document.media_type).expect(200)
        head = calls.ask("HEAD", path, accept=document.media_type).expect(200, body=b"")
        for name in names:
            head.require(head.header(name) == got.header(name), f"{name} is not that of GET")


@http.asks("Content-Length is the length of the body, whatever the answer.")
def content_length(calls: Calls) -> None:
    document = calls.push("1")
    for answer in (calls.get_manifest("1"), calls.get_manifest("2"), calls.get_blob(digest_of(document.blobs[0]))):
        answer.expect(200, 404, content_length=str(len(answer.body)))


@http.asks("A method that an address does not have: 405, with Allow.")
def method_not_allowed(calls: Calls) -> None:
    document = calls.push("1")
    blob = digest_of(document.blobs[0])
    asked = [
        ("POST", "/v2/"),
        ("PATCH", calls.path("manifests", "1")),
        ("POST", calls.path("manifests", "1")),
        ("PUT", calls.path("blobs", blob)),
        ("POST", calls.path("blobs", blob)),
        ("DELETE", calls.path("tags", "list")),
        ("POST", calls.path("referrers", document.digest)),
        ("PUT", calls.path("blobs", "uploads", "")),
    ]
    for method, path in asked:
        answer = calls.ask(method, path).expect(405)
        answer.require(bool(answer.header("Allow")), "without Allow")
        answer.require(method not in re.split(", *", answer.header("Allow") or ""), "Allow names it")


@http.asks("An address below /v2/ that is none: 404.")
def no_such_address(calls: Calls) -> None:
    calls.push("1")
    for path in ("/v2/spec", "/v2/spec/manifests", calls.path("others", "1"), calls.path("tags"), "/v2//"):
        calls.ask("GET", path).expect(404, 400, 301, 308)


@http.asks("A manifest and a blob have an ETag, and If-None-Match with it gives 304.")
def conditional_get(calls: Calls) -> None:
    document = calls.push("1")
    for path in (calls.path("manifests", "1"), calls.path("blobs", digest_of(document.blobs[0]))):
        answer = calls.ask("GET", path, accept=document.media_type).expect(200)
        tag = answer.header("ETag")
        answer.require(bool(tag), "ETag is absent")
        for value in (tag or "", f'"other", {tag}', f"W/{tag}", "*"):
            calls.ask("GET", path, accept=document.media_type, if_none_match=value).expect(304, body=b"")
        calls.ask("GET", path, accept=document.media_type, if_none_match='"other"').expect(200, body=answer.body)
        calls.ask("HEAD", path, accept=document.media_type, if_none_match=tag or "").expect(304)


@http.asks("A tag that moved has another ETag: If-None-Match with the old one gives 200.")
def conditional_get_of_a_tag(calls: Calls) -> None:
    calls.push("1")
    answer = calls.get_manifest("1").expect(200)
    tag = answer.header("ETag") or ""
    answer.require(bool(tag), "ETag is absent")
    document = calls.push("1", content.image(f"{calls.name} again"))
    changed = calls.get_manifest("1", if_none_match=tag).expect(200, body=document.body)
    changed.require(bool(changed.header("ETag")) and changed.header("ETag") != tag, "ETag is the same")


@http.asks("PUT of a tag with If-Match: only if it is still the manifest of the ETag, else 412, and it stays.")
def conditional_put(calls: Calls) -> None:
    first = calls.push("1")
    answer = calls.get_manifest("1").expect(200)
    tag = answer.header("ETag") or ""
    answer.require(bool(tag), "ETag is absent")
    second = content.image(f"{calls.name} second")
    calls.put_manifest("1", second, if_match='"other"').expect(412)
    calls.get_manifest("1").expect(200, body=first.body)
    calls.put_only("1", second, if_match=tag).expect(201)
    calls.put_only("1", first, if_match=tag).expect(412)
    calls.put_only("absent", first, if_match="*").expect(412)
    calls.get_manifest("1").expect(200, body=second.body)


@http.asks("PUT of a tag with `If-None-Match: *`: only if there is none yet, else 412, and it stays.")
def conditional_first_put(calls: Calls) -> None:
    first = content.image(calls.name)
    calls.put_manifest("1", first, if_none_match="*").expect(201)
    calls.put_manifest("1", content.image(f"{calls.name} second"), if_none_match="*").expect(412)
    calls.get_manifest("1").expect(200, body=first.body)


@http.asks("If-Range with the ETag gives the range, with another the whole blob.")
def conditional_range(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob)
    answer = calls.get_blob(digest).expect(200)
    tag = answer.header("ETag")
    answer.require(bool(tag), "ETag is absent")
    calls.get_blob(digest, range="bytes=0-9", if_range=tag or "").expect(206, body=blob[:10])
    calls.get_blob(digest, range="bytes=0-9", if_range='"other"').expect(200, body=blob)


@http.asks("`Expect: 100-continue` is answered: by 100 and, after the body, the answer; or by the answer at once.")
def expect_continue(calls: Calls) -> None:
    blob = calls.bytes(size=100_000)
    path = with_query(calls.start().location(), f"digest={quote(digest_of(blob))}")
    request = Request("PUT", path, (("Content-Type", OCTETS),), blob)
    last = calls.transport.send_expecting(request)[-1]
    calls.get_blob(digest_of(blob)).require(last.status == 201, f"the PUT before has status {last.status}")
    calls.get_blob(digest_of(blob)).expect(200, body=blob)


@http.asks("An upload that is refused before its body: the answer comes without 100.")
def expect_refused(calls: Calls) -> None:
    calls.push("1")
    path = calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")
    request = Request("PUT", with_query(path, f"digest={digest_of(b'x')}"), (("Content-Type", OCTETS),), b"x")
    answers = calls.transport.send_expecting(request)
    calls.get_manifest("1").require(
        [answer.status for answer in answers] == [404], "a PUT of an unknown session before it was asked for its body"
    )


@http.asks("A digest in a path or a query may have its colon as it is or as %3A.")
def encoded_digests(calls: Calls) -> None:
    document = calls.push("1")
    digest = digest_of(document.blobs[0])
    for path in (calls.path("blobs", digest.replace(":", "%3A")), calls.path("blobs", digest.replace(":", "%3a"))):
        calls.ask("GET", path).expect(200, body=document.blobs[0])
    calls.get_manifest(document.digest.replace(":", "%3A")).expect(200, body=document.body)
    blob = calls.bytes("encoded")
    for value in (digest_of(blob), quote(digest_of(blob))):
        path = with_query(calls.start().location(), f"digest={value}")
        calls.ask("PUT", path, blob, content_type=OCTETS).expect(201)


@http.asks("A connection stays open after an error, and after a refused body its next answer is the right one.")
def connection_after_an_error(calls: Calls) -> None:
    document = calls.push("1")
    answer = calls.get_manifest("2").expect(404)
    answer.require((answer.header("Connection") or "").lower() != "close", "the connection is closed")
    calls.put_only("2", Document(media_types.OCI_MANIFEST, b"x" * 3000)).expect(400)
    calls.get_manifest("1").expect(200, body=document.body)


@http.asks("Nothing is compressed, so that digest, length and ranges are right, whatever Accept-Encoding says.")
def no_encoding(calls: Calls) -> None:
    blob = b"compressible " * 5000
    digest = calls.push_blob(blob)
    answer = calls.get_blob(digest, accept_encoding="gzip, br, zstd").expect(200, body=blob)
    answer.require(answer.header("Content-Encoding") in (None, "identity"), "Content-Encoding")
    document = calls.push("1")
    calls.get_manifest("1", accept_encoding="gzip").expect(200, body=document.body)


@http.asks("An upload with Content-Encoding is kept as it was sent, or refused with 415 (RFC 9110, 15.5.16).")
def encoded_upload(calls: Calls) -> None:
    blob = gzip.compress(calls.bytes(), mtime=0)
    digest = digest_of(blob)
    answer = calls.close(calls.start().location(), digest, blob, content_encoding="gzip").expect(201, 415)
    if answer.status == 201:
        calls.get_blob(digest).expect(200, body=blob)


@http.asks("Location is relative, or on the host and port of the request's Host.")
def host_of_a_location(calls: Calls) -> None:
    path = calls.path("blobs", "uploads", "")
    answer = calls.ask("POST", path, host="registry.example.org:1234").expect(202)
    said = answer.header("Location") or ""
    answer.require(said.startswith(("/", "http://registry.example.org:1234/")), "Location is on another host or port")


@http.asks("Paths that leave the API are refused: `..`, an encoded slash or backslash, NUL.")
def strange_paths(calls: Calls) -> None:
    calls.push("1")
    for name in ("..%2F..%2Fetc", "../../etc/passwd", "..", "a%00b", "a%5Cb", "%2e%2e%2fx", "a%0d%0ab"):
        calls.ask("GET", calls.path("blobs", name)).expect(400, 404, 301, 308)
        calls.ask("GET", calls.path("manifests", name)).expect(400, 404, 301, 308)
        calls.ask("GET", f"/v2/{name}/tags/list").expect(400, 404, 301, 308)
