"""The API: "Determining Support", "Error Codes", "Warnings", algorithms, and what was added after 1.1."""

import re

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls, Checked, with_query
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import Document, digest_of

support = Section("Determining support")
codes = Section("Error codes")
warnings = Section("Warnings")
algorithms = Section("Digests")
later = Section("Tags of a push by digest, algorithms, proxies (after 1.1)")

# All codes of the table, with those of docker that it names as optional.
CODES = frozenset(
    "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID"
    " MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS"
    " TAG_INVALID MANIFEST_UNVERIFIED".split()
)
LONGEST_WARNINGS = 4096


@support.must("GET /v2/ says that the API is there: 200.")
def root(calls: Calls) -> None:
    calls.ask("GET", "/v2/").expect(200)


@support.asks("GET /v2 leads there: 200, or a redirect to /v2/.")
def root_without_slash(calls: Calls) -> None:
    answer = calls.ask("GET", "/v2").expect(200, 301, 302, 307, 308)
    answer.require(answer.status == 200 or answer.location() == "/v2/", "it leads elsewhere")


def _errors(calls: Calls) -> list[Checked]:
    """Answers of all kinds that are errors."""
    calls.push("1")
    unknown = digest_of(b"never pushed")
    upload = calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")
    answers = [
        calls.get_manifest("2"),
        calls.get_manifest(unknown),
        calls.get_blob(unknown),
        calls.get_blob("sha256:baddigeststring"),
        calls.ask("GET", "/v2/spec/no/such/repository/tags/list"),
        calls.ask("GET", "/v2/Not/A/Name/tags/list"),
        calls.ask("GET", upload),
        calls.patch(upload, b"x", 0),
        calls.close(upload, unknown, b"x"),
        calls.close(calls.start().location(), unknown, b"x"),
        calls.close(calls.start().location(), "sha256:baddigeststring", b"x"),
        calls.ask("PUT", calls.start().location(), b"x", content_type=OCTETS),
        calls.patch(calls.start().location(), b"x", 7),
        calls.patch(calls.start().location(), b"x", content_range="a-b"),
        calls.put_only("2", Document(media_types.OCI_MANIFEST, b"{")),
        calls.put_only("2", content.image("never pushed")),
        calls.put_only("-", content.image("never pushed")),
        calls.put_only(unknown, content.index([])),
        calls.ask("DELETE", calls.path("manifests", "2")),
        calls.ask("DELETE", calls.path("manifests", unknown)),
        calls.ask("DELETE", calls.path("blobs", unknown)),
        calls.referrers("sha256:baddigeststring"),
        calls.ask("POST", "/v2/"),
        calls.ask("PATCH", calls.path("manifests", "1"), b"x"),
        calls.tags("?n=x"),
    ]
    return [answer for answer in answers if answer.status >= 400]


def _entries(answer: Checked) -> list[object]:
    """What a JSON body lists as its errors; nothing of another body."""
    if "json" not in (answer.header("Content-Type") or ""):
        return []
    entries = answer.listed("errors")
    answer.require(bool(entries), "errors is empty")
    return entries


@codes.must('A JSON body of an error is `{"errors": […]}`, of objects with `code`.')
def format_of_errors(calls: Calls) -> None:
    for answer in _errors(calls):
        for entry in _entries(answer):
            answer.require(isinstance(entry, dict) and isinstance(entry.get("code"), str), "an error has no code")


@codes.must("A code has only capital letters and underscores.")
def letters_of_codes(calls: Calls) -> None:
    for answer in _errors(calls):
        _entries(answer)
        for code in answer.codes():
            answer.require(bool(re.fullmatch("[A-Z_]+", code)), f"code {code}")


@codes.must("A code is one of the table.")
def codes_of_the_table(calls: Calls) -> None:
    for answer in _errors(calls):
        _entries(answer)
        for code in answer.codes():
            answer.require(code in CODES, f"code {code}")


@codes.should("`message`, if it is there, is text; `detail` may be any JSON.")
def messages(calls: Calls) -> None:
    for answer in _errors(calls):
        for entry in _entries(answer):
            message = entry.get("message", "") if isinstance(entry, dict) else None
            answer.require(isinstance(message, str), "message is not text")


@codes.asks("Every error has a JSON body (but the answer to HEAD, which has none).")
def every_error_has_a_body(calls: Calls) -> None:
    for answer in _errors(calls):
        answer.require(bool(_entries(answer)), f"status {answer.status} without errors")


@codes.asks("BLOB_UNKNOWN: a blob that is not there.")
def blob_unknown(calls: Calls) -> None:
    calls.push("1")
    calls.get_blob(digest_of(b"never pushed")).expect(404, code="BLOB_UNKNOWN")


@codes.asks("BLOB_UPLOAD_UNKNOWN: an upload that is not open.")
def blob_upload_unknown(calls: Calls) -> None:
    calls.push("1")
    upload = calls.path("blobs", "uploads", "00000000-0000-4000-8000-000000000000")
    calls.ask("GET", upload).expect(404, code="BLOB_UPLOAD_UNKNOWN")


@codes.asks("MANIFEST_BLOB_UNKNOWN: a manifest that names what is not there.")
def manifest_blob_unknown(calls: Calls) -> None:
    calls.put_only("1", content.image("never pushed")).expect(400, 404, code="MANIFEST_BLOB_UNKNOWN")


@codes.asks("MANIFEST_INVALID: a body that is not a manifest.")
def manifest_invalid(calls: Calls) -> None:
    calls.put_only("1", Document(media_types.OCI_MANIFEST, b"{")).expect(400, code="MANIFEST_INVALID")


@codes.asks("MANIFEST_UNKNOWN: a tag that is not there.")
def manifest_unknown(calls: Calls) -> None:
    calls.push("1")
    calls.get_manifest("2").expect(404, code="MANIFEST_UNKNOWN")


@codes.asks("NAME_UNKNOWN: a repository that is not there.")
def name_unknown(calls: Calls) -> None:
    calls.tags().expect(404, code="NAME_UNKNOWN")


@codes.asks("BLOB_UPLOAD_INVALID: a chunk that does not fit, or whose range is malformed.")
def blob_upload_invalid(calls: Calls) -> None:
    calls.patch(calls.start().location(), b"x", 7).expect(416, code="BLOB_UPLOAD_INVALID")
    calls.patch(calls.start().location(), b"x", content_range="a-b").expect(416, 400, code="BLOB_UPLOAD_INVALID")


@codes.asks("SIZE_INVALID: a chunk of another length than its range.")
def size_invalid(calls: Calls) -> None:
    calls.patch(calls.start().location(), b"x", content_range="0-9").expect(400, 416, code="SIZE_INVALID")


@codes.asks("DIGEST_INVALID: a digest that is malformed, or not that of the bytes.")
def digest_invalid(calls: Calls) -> None:
    calls.close(calls.start().location(), digest_of(b"y"), b"x").expect(400, code="DIGEST_INVALID")
    calls.close(calls.start().location(), "sha256:baddigeststring", b"x").expect(400, code="DIGEST_INVALID")


@codes.asks("NAME_INVALID: a name that is not of the legal form.")
def name_invalid(calls: Calls) -> None:
    calls.ask("GET", "/v2/Not/A/Name/tags/list").expect(400, code="NAME_INVALID")


@codes.asks("UNSUPPORTED: a method that an address does not have.")
def unsupported(calls: Calls) -> None:
    calls.push("1")
    calls.ask("PATCH", calls.path("manifests", "1"), b"x").expect(405, code="UNSUPPORTED")


@warnings.must('A `Warning`, if there is one, is `299 - "text"` without a date.')
def form_of_warnings(calls: Calls) -> None:
    document = calls.push("1")
    for answer in (calls.get_manifest("1"), calls.head_manifest("1"), calls.tags(), calls.put_only("1", document)):
        for value in answer.expect(200, 201).answer.all("Warning"):
            answer.require(bool(re.fullmatch(r'299 - "[^"]*"', value)), "Warning is of another form")


@warnings.must_not("All warnings of an answer together are not longer than 4096 bytes.")
def length_of_warnings(calls: Calls) -> None:
    document = calls.push("1")
    for answer in (calls.get_manifest("1"), calls.tags(), calls.put_only("1", document)):
        length = sum(map(len, answer.expect(200, 201).answer.all("Warning")))
        answer.require(length <= LONGEST_WARNINGS, "the warnings are longer")


@algorithms.asks("A blob can be pushed and pulled by its sha512.")
def blob_by_sha512(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob, algorithm="sha512")
    calls.get_blob(digest).expect(200, body=blob).expect_digest(digest)
    calls.head_blob(digest).expect(200, content_length="512").expect_digest(digest)


@algorithms.asks("A blob can be pushed in chunks by its sha512.")
def chunks_by_sha512(calls: Calls) -> None:
    blob = calls.bytes(size=2000)
    digest = digest_of(blob, "sha512")
    location = calls.patch(calls.start().location(), blob[:1000], 0).expect(202).location()
    location = calls.patch(location, blob[1000:], 1000).expect(202).location()
    calls.close(location, digest).expect(201)
    calls.get_blob(digest).expect(200, body=blob)


@algorithms.asks("A wrong sha512: 400 with DIGEST_INVALID, and there is no such blob.")
def wrong_sha512(calls: Calls) -> None:
    digest = digest_of(b"other bytes", "sha512")
    calls.close(calls.start().location(), digest, calls.bytes()).expect(400, code="DIGEST_INVALID")
    calls.head_blob(digest).expect(404)


@algorithms.asks("A blob can be mounted by its sha512.")
def mount_by_sha512(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob, algorithm="sha512")
    path = calls.path("blobs", "uploads", "", repository=calls.other) + f"?mount={digest}&from={calls.repository}"
    calls.ask("POST", path).expect(201)
    calls.get_blob(digest, repository=calls.other).expect(200, body=blob)


@algorithms.asks(
    "A manifest whose config and layers are named by sha512 can be pushed and pulled, by sha512 and by tag."
)
def manifest_by_sha512(calls: Calls) -> None:
    document = content.image(calls.name, algorithm="sha512")
    digest = calls.push_hashed("sha512", document)
    calls.get_manifest(digest).expect(200, body=document.body).expect_digest(digest)
    calls.put_only("1", document).expect(201)
    calls.get_manifest("1").expect(200, body=document.body)


@algorithms.asks("So can an index of images named by sha512; each is deleted by it.")
def index_by_sha512(calls: Calls) -> None:
    image = content.image(calls.name, algorithm="sha512")
    member = calls.push_hashed("sha512", image)
    entry = {**image.descriptor(), "digest": member}
    whole = content.index([], manifests=[entry])
    digest = calls.push_hashed("sha512", whole)
    calls.get_manifest(digest).expect(200, body=whole.body, content_type=media_types.OCI_INDEX)
    calls.head_manifest(member).expect(200, content_length=str(len(image.body))).expect_digest(member)
    calls.ask("DELETE", calls.path("manifests", digest)).expect(202)
    calls.get_manifest(digest).expect(404)
    # What an index lists may go with it.
    calls.ask("DELETE", calls.path("manifests", member)).expect(202, 404)
    calls.get_manifest(member).expect(404)


@algorithms.asks("A manifest of other bytes than its sha512: 400, with the code DIGEST_INVALID.")
def manifest_of_a_wrong_sha512(calls: Calls) -> None:
    digest = digest_of(b"other bytes", "sha512")
    calls.put_manifest(digest, content.image(calls.name)).expect(400, code="DIGEST_INVALID")
    calls.get_manifest(digest).expect(404)


@algorithms.asks("A subject named by sha512 has its referrers.")
def referrers_by_sha512(calls: Calls) -> None:
    subject = content.image(calls.name)
    named = {**subject.descriptor(), "digest": digest_of(subject.body, "sha512")}
    document = content.artifact(calls.name, subject=named)
    calls.put_manifest(document.digest, document).expect(201, oci_subject=named["digest"])
    answer = calls.referrers(named["digest"]).expect(200)
    answer.require(
        [entry["digest"] for entry in answer.listed("manifests")] == [document.digest], "they are not listed"
    )


@later.should("POST takes `digest-algorithm`, and the blob can be pushed by it.")
def digest_algorithm(calls: Calls) -> None:
    blob = calls.bytes()
    digest = digest_of(blob, "sha512")
    location = calls.start("?digest-algorithm=sha512").location()
    calls.close(calls.patch(location, blob, 0).expect(202).location(), digest).expect(201)
    calls.get_blob(digest).expect(200, body=blob)


@later.should("POST with a `digest-algorithm` that is unknown: 400.")
def unknown_digest_algorithm(calls: Calls) -> None:
    path = calls.path("blobs", "uploads", "") + "?digest-algorithm=md4"
    calls.ask("POST", path).expect(400, code="DIGEST_INVALID")


@later.may("A push by digest with `tag` parameters makes these tags, at least 10, and names each in OCI-Tag.")
def tags_of_a_push(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.push_blobs(*document.blobs)
    names = [f"v{number}" for number in range(10)]
    path = with_query(calls.path("manifests", document.digest), "&".join(f"tag={name}" for name in names))
    answer = calls.ask("PUT", path, document.body, content_type=document.media_type).expect(201)
    said = [name.strip() for value in answer.answer.all("OCI-Tag") for name in value.split(",")]
    answer.require(sorted(said) == names, "OCI-Tag is absent or names others")
    for name in names:
        calls.get_manifest(name).expect(200, body=document.body)


@later.asks("So does a push by sha512, and its tags give this digest.")
def tags_of_a_push_by_sha512(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.push_blobs(*document.blobs)
    digest = digest_of(document.body, "sha512")
    path = with_query(calls.path("manifests", digest), "tag=v1")
    answer = calls.ask("PUT", path, document.body, content_type=document.media_type).expect(201)
    answer.expect_header("OCI-Tag", "v1")
    calls.get_manifest("v1").expect(200, body=document.body).expect_digest(digest)


@later.must_not("A `tag` that is not of the legal form is refused, and none is made.")
def illegal_tags_of_a_push(calls: Calls) -> None:
    document = calls.push("1")
    path = with_query(calls.path("manifests", document.digest), "tag=good&tag=-bad")
    calls.ask("PUT", path, document.body, content_type=document.media_type).expect(400)
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == ["1"], "a tag was made")


@later.may("The parameter `ns` of a pull may be ignored, or choose the repository of that name in another registry.")
def namespace_of_a_pull(calls: Calls) -> None:
    own, others = _under_a_namespace(calls)
    answer = calls.ask("GET", with_query(calls.path("manifests", "1"), f"ns={_NAMESPACE}"), accept=own.media_type)
    answer.expect(200).require(answer.body in (own.body, others.body), "another manifest")
    blob = digest_of((own if answer.body == own.body else others).blobs[0])
    calls.ask("GET", with_query(calls.path("blobs", blob), f"ns={_NAMESPACE}")).expect(200)
    calls.ask("GET", with_query(calls.path("manifests", "1"), "ns=x/../y"), accept=own.media_type).expect(200, 404)


@later.should("Where `ns` chooses the repository, the answer has it as OCI-Namespace; where not, it has none.")
def namespace_in_the_answer(calls: Calls) -> None:
    own, others = _under_a_namespace(calls)
    answer = calls.ask("GET", with_query(calls.path("manifests", "1"), f"ns={_NAMESPACE}"), accept=own.media_type)
    answer.expect(200).require(answer.body in (own.body, others.body), "another manifest")
    wanted = None if answer.body == own.body else _NAMESPACE
    answer.require(answer.header("OCI-Namespace") == wanted, "OCI-Namespace is another or absent")


_NAMESPACE = "upstream.example.org"


def _under_a_namespace(calls: Calls) -> tuple[Document, Document]:
    """An image of a repository, and one that is there under the name of another registry."""
    own = calls.push("1")
    calls.repository = f"{_NAMESPACE}/{calls.repository}"
    others = calls.push("1", content.image(f"{calls.name} upstream"))
    calls.repository = calls.repository.removeprefix(f"{_NAMESPACE}/")
    return own, others
