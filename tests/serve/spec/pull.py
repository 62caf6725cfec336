"""Pull: "Pulling manifests", "Pulling blobs" and "Checking if content exists in the registry"."""

import re

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import Calls
from tests.serve.spec.clauses import Section

manifests = Section("Pulling manifests")
blobs = Section("Pulling blobs")
existence = Section("Checking if content exists")


@manifests.must("The reference may be a digest: 200, and the manifest byte for byte.")
def manifest_by_digest(calls: Calls) -> None:
    document = calls.push("1")
    calls.get_manifest(document.digest).expect(200, body=document.body)


@manifests.must("The reference may be a tag: 200, and the manifest byte for byte.")
def manifest_by_tag(calls: Calls) -> None:
    document = calls.push("1")
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.must_not("A reference in any other form names no manifest: 404 or 400.")
def manifest_by_neither(calls: Calls) -> None:
    calls.push("1")
    for reference in ("-1", ".1", "1+1", "1:1", "a" * 129, "sha256:baddigeststring", "sha256:" + "A" * 64):
        calls.get_manifest(reference).expect(404, 400)


@manifests.must("Names of every legal form can be pushed to and pulled from.")
def legal_names(calls: Calls) -> None:
    document = content.image(calls.name)
    for name in ("legal", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "0a/b-c/d.e_f__g", "deep/" * 20 + "er"):
        calls.repository = name
        calls.put_manifest("1", document).expect(201)
        calls.get_manifest("1").expect(200, body=document.body)


@manifests.must("A name in any other form is refused: 400 with NAME_INVALID, or 404.")
def illegal_names(calls: Calls) -> None:
    for name in ("Upper", "a..b", "a._b", "a___b", "-a", "a-", "_a", "a.", "a/-b", "a/b_", "a//b", "a%20b", "ä"):
        calls.repository = name.replace("ä", "%C3%A4")
        for answer in (calls.get_manifest("1"), calls.tags(), calls.ask("POST", calls.path("blobs", "uploads", ""))):
            if answer.expect(400, 404, 301, 308).status == 400:
                answer.expect(400, code="NAME_INVALID")


@manifests.asks("A name of 229 characters works: what is left of 255 after a host and a port.")
def long_name(calls: Calls) -> None:
    calls.repository = "long/" + "a" * 224
    document = calls.push("1")
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.must("Tags of every legal form can be pushed and pulled, up to 128 characters.")
def legal_tags(calls: Calls) -> None:
    document = calls.push("latest")
    for tag in ("_", "A", "0", "a.b-c_d", "a..b", "a--", "V1.0.0_rc-1", "x" * 128):
        calls.put_only(tag, document).expect(201)
        calls.get_manifest(tag).expect(200, body=document.body)


@manifests.must("A tag in any other form, or longer, cannot be pushed.")
def illegal_tags(calls: Calls) -> None:
    document = calls.push("1")
    for tag in ("-a", ".a", "a+b", "a%20b", "a%2Fb", "x" * 129, "%C3%A4"):
        calls.put_only(tag, document).expect(400, 404)
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == ["1"], "an illegal tag is in the list")


@manifests.asks("Content-Type is the type of the manifest.")
def type_of_a_manifest(calls: Calls) -> None:
    image = calls.push("image")
    calls.get_manifest("image").expect(200, content_type=media_types.OCI_MANIFEST)
    calls.push("index", content.index([image]))
    calls.get_manifest("index").expect(200, content_type=media_types.OCI_INDEX)


@manifests.should_not("Content-Type has no parameters, also for a manifest that was pushed with some.")
def type_without_parameters(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.put_manifest("1", document, content_type=document.media_type + "; charset=utf-8").expect(201)
    answer = calls.get_manifest("1").expect(200)
    answer.require(";" not in (answer.header("Content-Type") or ";"), "Content-Type has parameters, or is absent")


@manifests.should("Content-Type is that of the push, for a manifest without `mediaType` as well.")
def type_of_the_push(calls: Calls) -> None:
    document = calls.push("1", content.image(calls.name, mediaType=None))
    calls.get_manifest("1").expect(200, body=document.body, content_type=media_types.OCI_MANIFEST)
    other = calls.push("2", content.index([document], mediaType=None))
    calls.get_manifest("2").expect(200, body=other.body, content_type=media_types.OCI_INDEX)


@manifests.should("The answer has Docker-Content-Digest (a MUST after 1.1).")
def digest_of_a_manifest(calls: Calls) -> None:
    document = calls.push("1")
    calls.get_manifest("1").expect(200).expect_digest(document.digest)
    calls.get_manifest(document.digest).expect(200).expect_digest(document.digest)


@manifests.must("A manifest that is not there: 404, with the code MANIFEST_UNKNOWN.")
def no_such_manifest(calls: Calls) -> None:
    calls.push("1")
    calls.get_manifest("2").expect(404, code="MANIFEST_UNKNOWN")
    calls.get_manifest(content.digest_of(b"never pushed")).expect(404, code="MANIFEST_UNKNOWN")


@manifests.must("A manifest of another repository is not there.")
def manifest_of_another_repository(calls: Calls) -> None:
    document = calls.push("1")
    calls.repository = calls.other
    calls.push("2", content.image(calls.other))
    calls.get_manifest("1").expect(404)
    calls.get_manifest(document.digest).expect(404)


@blobs.must("A blob that is there: 200, and its bytes.")
def blob_by_digest(calls: Calls) -> None:
    blob = calls.bytes(size=100_000)
    calls.get_blob(calls.push_blob(blob)).expect(200, body=blob, content_length="100000")


@blobs.should("The answer has Docker-Content-Digest (a MUST after 1.1).")
def digest_of_a_blob(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    answer = calls.get_blob(digest).expect(200)
    answer.require(answer.header("Docker-Content-Digest") is not None, "Docker-Content-Digest is absent")


@blobs.must("Docker-Content-Digest, if it is there, is a digest of the body.")
def digest_of_the_body(calls: Calls) -> None:
    answer = calls.get_blob(calls.push_blob(calls.bytes())).expect(200)
    said = answer.header("Docker-Content-Digest")
    right = (None, content.digest_of(answer.body), content.digest_of(answer.body, "sha512"))
    answer.require(said in right, "Docker-Content-Digest is of other bytes")


@blobs.must("A blob that is not there: 404, with the code BLOB_UNKNOWN.")
def no_such_blob(calls: Calls) -> None:
    calls.push("1")
    calls.get_blob(content.digest_of(b"never pushed")).expect(404, code="BLOB_UNKNOWN")


RANGES = {
    "first and last byte": ("bytes=500-1499", 500, 1499),
    "from a byte on": ("bytes=500-", 500, 2047),
    "the last bytes": ("bytes=-500", 1548, 2047),
    "more than there is": ("bytes=2000-5000", 2000, 2047),
    "more last bytes than there are": ("bytes=-5000", 0, 2047),
    "one byte": ("bytes=0-0", 0, 0),
}


@blobs.should("`Range` gives 206, the part and Content-Range: first-last, first-, -count, and what goes past the end.")
def ranges(calls: Calls) -> None:
    blob = calls.bytes(size=2048)
    digest = calls.push_blob(blob)
    for value, first, last in RANGES.values():
        part = blob[first : last + 1]
        answer = calls.get_blob(digest, range=value).expect(206, body=part, content_length=str(len(part)))
        said = answer.header("Content-Range") or ""
        answer.require(said in (f"bytes {first}-{last}/2048", f"bytes {first}-{last}/*"), "Content-Range is another")


@blobs.should("A range that begins after the end, or the last none: 416.")
def range_after_the_end(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes(size=2048))
    calls.get_blob(digest, range="bytes=2048-").expect(416)
    calls.get_blob(digest, range="bytes=-0").expect(416)
    calls.get_blob(digest, range="bytes=5000-10000").expect(416)


@blobs.should("416 says how long the blob is: `Content-Range: bytes */LENGTH` (RFC 9110, 15.5.17).")
def length_of_a_416(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes(size=2048))
    calls.get_blob(digest, range="bytes=5000-10000").expect(416, content_range="bytes */2048")


@blobs.should("A range that ends before it begins: 416 (RFC 9110, 14.2 allows it, and the official tests expect it).")
def backward_range(calls: Calls) -> None:
    calls.get_blob(calls.push_blob(calls.bytes(size=2048)), range="bytes=500-0").expect(416)


@blobs.should("A range that is malformed is ignored or refused (RFC 9110, 14.2).")
def malformed_blob_range(calls: Calls) -> None:
    blob = calls.bytes(size=2048)
    digest = calls.push_blob(blob)
    for value in ("bytes=a-b", "bytes=", "bytes", "bytes=-", "bytes=--5", "bytes=1-2-3", "bytes=" + "9" * 400 + "-"):
        answer = calls.get_blob(digest, range=value).expect(200, 416)
        answer.require(answer.status == 416 or answer.body == blob, "200 without the whole blob")


@blobs.should("A range in an unknown unit is ignored: 200 and the whole blob (RFC 9110, 14.2).")
def unknown_unit(calls: Calls) -> None:
    blob = calls.bytes(size=2048)
    calls.get_blob(calls.push_blob(blob), range="lines=1-2").expect(200, body=blob)


@blobs.should("Several ranges: 206 with a part for each, or the whole blob with 200 (RFC 9110, 15.3.7).")
def several_ranges(calls: Calls) -> None:
    blob = calls.bytes(size=2048)
    answer = calls.get_blob(calls.push_blob(blob), range="bytes=0-9,100-109").expect(200, 206)
    if answer.status == 200:
        answer.expect(body=blob)
    else:
        kind = re.match("multipart/byteranges; *boundary=", answer.header("Content-Type") or "")
        answer.require(bool(kind) and blob[:10] in answer.body and blob[100:110] in answer.body, "not all the parts")


@blobs.should("An answer without `Range` says `Accept-Ranges: bytes` (RFC 9110, 14.3).")
def accepts_ranges(calls: Calls) -> None:
    calls.get_blob(calls.push_blob(calls.bytes())).expect(200, accept_ranges="bytes")


@existence.must("HEAD of a blob that is there: 200.")
def head_of_a_blob(calls: Calls) -> None:
    calls.head_blob(calls.push_blob(calls.bytes())).expect(200, body=b"")


@existence.must("HEAD of a manifest that is there, by tag and by digest: 200.")
def head_of_a_manifest(calls: Calls) -> None:
    document = calls.push("1")
    calls.head_manifest("1").expect(200, body=b"")
    calls.head_manifest(document.digest).expect(200, body=b"")


@existence.should("The answer has Docker-Content-Digest (a MUST after 1.1).")
def digest_of_a_head(calls: Calls) -> None:
    document = calls.push("1")
    calls.head_manifest("1").expect(200).expect_digest(document.digest)
    calls.head_manifest(document.digest).expect(200).expect_digest(document.digest)
    digest = content.digest_of(document.blobs[0])
    calls.head_blob(digest).expect(200).expect_digest(digest)


@existence.should("The answer has the size as Content-Length (a MUST after 1.1).")
def length_of_a_head(calls: Calls) -> None:
    document = calls.push("1")
    calls.head_manifest("1").expect(200, content_length=str(len(document.body)))
    calls.head_blob(content.digest_of(document.blobs[0])).expect(200, content_length=str(len(document.blobs[0])))


@existence.must("HEAD of what is not there: 404, and no body.")
def head_of_nothing(calls: Calls) -> None:
    calls.push("1")
    calls.head_manifest("2").expect(404, body=b"")
    calls.head_manifest(content.digest_of(b"never pushed")).expect(404, body=b"")
    calls.head_blob(content.digest_of(b"never pushed")).expect(404, body=b"")
