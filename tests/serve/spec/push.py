"""Push of manifests: "Push", "Pushing Manifests" and "Pushing Manifests with Subject"."""

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import Calls, Checked
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import Document, digest_of
from tests.serve.spec.wire import Request

push = Section("Push")
manifests = Section("Pushing manifests")
subjects = Section("Pushing manifests with a subject")


@push.must("A manifest whose `subject` is not there is accepted.")
def subject_that_is_not_there(calls: Calls) -> None:
    absent = content.image("never pushed")
    document = content.artifact(calls.name, subject=absent.descriptor())
    calls.put_manifest("1", document).expect(201)
    calls.get_manifest("1").expect(200, body=document.body)


def _accepted_or_refused(answer: Checked) -> None:
    """Refused is MANIFEST_BLOB_UNKNOWN and nothing else."""
    if answer.status != 201:
        answer.expect(400, 404, code="MANIFEST_BLOB_UNKNOWN")


@push.must("A manifest that is refused because a layer is absent: MANIFEST_BLOB_UNKNOWN.")
def layer_that_is_not_there(calls: Calls) -> None:
    document = content.image(calls.name, layers=2)
    calls.push_blobs(*document.blobs[:2])
    _accepted_or_refused(calls.put_only("1", document))


@push.must("A manifest that is refused because its config is absent: MANIFEST_BLOB_UNKNOWN.")
def config_that_is_not_there(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.push_blobs(*document.blobs[1:])
    _accepted_or_refused(calls.put_only("1", document))


@push.must("An index that is refused because a manifest is absent: MANIFEST_BLOB_UNKNOWN.")
def member_that_is_not_there(calls: Calls) -> None:
    image = calls.push("1")
    _accepted_or_refused(calls.put_only("2", content.index([image, content.image("never pushed")])))


@push.asks("A refused manifest is not there afterwards, and its tag neither.")
def refused_manifest_is_not_there(calls: Calls) -> None:
    calls.push("1")
    document = content.image(f"{calls.name} whose layer is absent")
    if calls.put_only("2", document).status == 201:
        calls.get_manifest("2").expect(200, body=document.body)
        return
    calls.get_manifest("2").expect(404)
    calls.get_manifest(document.digest).expect(404)


@push.asks("A layer that is elsewhere (`urls`, nondistributable) need not be there.")
def foreign_layer(calls: Calls) -> None:
    layer = content.descriptor(
        b"elsewhere", media_types.OCI_FOREIGN_LAYER_GZIP, urls=["https://registry.example.org/layer"]
    )
    document = content.image(calls.name, more_layers=[layer])
    calls.put_manifest("1", document).expect(201)
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.must("The bytes are stored as they came: white space, order and unknown fields.")
def exact_bytes(calls: Calls) -> None:
    image = content.image(calls.name)
    body = (
        image.body.replace(b'{"schemaVersion":2,', b'{ "x.unknown" : [1.0, "\\u00e9"],\r\n\t"schemaVersion":2,')
        + b"\n \n"
    )
    document = Document(image.media_type, body, image.blobs)
    calls.put_manifest("1", document).expect(201)
    calls.get_manifest("1").expect(200, body=body)
    calls.get_manifest(document.digest).expect(200, body=body)


@manifests.must("A manifest that was accepted: 201, with Location.")
def manifest_is_accepted(calls: Calls) -> None:
    calls.put_manifest("1", content.image(calls.name)).expect(201).location()


@manifests.must("Location is where the manifest can be pulled.")
def location_of_a_manifest(calls: Calls) -> None:
    document = content.image(calls.name)
    location = calls.put_manifest("1", document).expect(201).location()
    calls.ask("GET", location, accept=document.media_type).expect(200, body=document.body)


@manifests.must("Docker-Content-Digest of the answer is the digest under which it was pushed.")
def digest_of_a_pushed_manifest(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.put_manifest(document.digest, document).expect(201).expect_digest(document.digest)
    calls.put_manifest("1", document).expect(201).expect_digest(document.digest)


@manifests.must("A manifest can be pushed by digest alone.")
def push_by_digest(calls: Calls) -> None:
    document = calls.push_untagged(content.image(calls.name))
    calls.get_manifest(document.digest).expect(200, body=document.body, content_type=document.media_type)


@manifests.must("A manifest of other bytes than the digest: 400, with the code DIGEST_INVALID.")
def push_under_a_wrong_digest(calls: Calls) -> None:
    document, other = content.image(calls.name), content.image(f"{calls.name} other")
    calls.put_manifest(other.digest, document).expect(400, code="DIGEST_INVALID")
    calls.get_manifest(other.digest).expect(404)


@manifests.must("A reference that is neither a tag nor a digest is refused.")
def push_under_a_malformed_digest(calls: Calls) -> None:
    document = content.image(calls.name)
    for reference in ("sha256:baddigeststring", document.digest.upper(), document.digest[:-1]):
        calls.put_manifest(reference, document).expect(400, 404)


@manifests.should("Parameters of Content-Type are ignored.")
def parameters_of_a_type(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.put_manifest("1", document, content_type=f"{document.media_type};charset=UTF-8").expect(201)
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.asks("A manifest that names another `mediaType` than Content-Type is refused.")
def another_type_than_the_field(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.put_manifest("1", document, content_type=media_types.OCI_INDEX).expect(400, 415)
    calls.put_manifest("1", document, content_type=media_types.DOCKER_MANIFEST).expect(400, 415)
    calls.get_manifest("1").expect(404)


@manifests.asks("A body that is not a manifest: 400, with the code MANIFEST_INVALID.")
def not_a_manifest(calls: Calls) -> None:
    for body in (b"", b"{", b"[]", b'"text"', b"null", b'{"schemaVersion":2,"config":[],"layers":{}}', b"\xff\xfe"):
        document = Document(media_types.OCI_MANIFEST, body)
        calls.put_only("1", document).expect(400, code="MANIFEST_INVALID")
    calls.get_manifest("1").expect(404)


@manifests.asks("A body that is an image and an index at the same time is refused (image-spec, CVE-2021-41190).")
def image_and_index_at_once(calls: Calls) -> None:
    image = calls.push("1")
    both = content.image(f"{calls.name} 2", manifests=[image.descriptor()], mediaType=None)
    calls.put_manifest("2", both).expect(400, code="MANIFEST_INVALID")


@manifests.asks(
    "A manifest of a type that the registry does not know is refused or kept as it is; docker's schema 1 too."
)
def unknown_types(calls: Calls) -> None:
    schema1 = (
        b'{"schemaVersion":1,"name":"x","tag":"1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}'
    )
    artifact = "application/vnd.oci.artifact.manifest.v1+json"
    for document in (
        Document("application/vnd.docker.distribution.manifest.v1+prettyjws", schema1),
        Document(artifact, content.encode({"mediaType": artifact, "artifactType": content.EXAMPLE, "blobs": []})),
        Document("application/vnd.example+json", content.encode({"schemaVersion": 2})),
        Document("text/plain", b"a text"),
    ):
        answer = calls.put_only("1", document).expect(201, 400, 415)
        if answer.status == 201:
            calls.get_manifest("1").expect(200, body=document.body, content_type=document.media_type)
        else:
            answer.expect(400, 415, code="MANIFEST_INVALID")


@manifests.may("The list of layers may be empty.")
def no_layers(calls: Calls) -> None:
    document = calls.push("1", content.image(calls.name, layers=0))
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.asks("An index, one of no manifests, and an index of indexes can be pushed and pulled.")
def indexes(calls: Calls) -> None:
    images = [calls.push_untagged(content.image(f"{calls.name} {number}")) for number in range(2)]
    inner = calls.push_untagged(content.index(images))
    for tag, document in {"index": inner, "empty": content.index([]), "nested": content.index([inner, inner])}.items():
        calls.push(tag, document)
        calls.get_manifest(tag).expect(200, body=document.body, content_type=media_types.OCI_INDEX)


@manifests.asks("An artifact, one of only the empty blob, and an index with an artifact type can be pushed and pulled.")
def artifacts(calls: Calls) -> None:
    empty = content.descriptor(b"{}", media_types.OCI_EMPTY)
    artifact = content.artifact(calls.name)
    calls.push("artifact", artifact)
    calls.push("empty", content.artifact(f"{calls.name} empty", layers=[empty]))
    whole = calls.push("index", content.index([artifact], artifactType=content.EXAMPLE))
    calls.get_manifest("index").expect(200, body=whole.body)


@manifests.asks("Fields that no specification has, `data` in a descriptor and annotations are kept.")
def unknown_fields(calls: Calls) -> None:
    config = {**content.descriptor(b"{}", media_types.OCI_EMPTY), "data": "e30=", "org.example": {"x": [None, 1e3]}}
    document = content.artifact(calls.name, config=config, annotations={"org.example.key": "värde"}, other=[{}])
    calls.push("1", document)
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.must("A repository that does not exist: 404.")
def no_such_repository(calls: Calls) -> None:
    calls.get_manifest("1").expect(404)
    calls.get_manifest(digest_of(b"never pushed")).expect(404)
    calls.get_blob(digest_of(b"never pushed")).expect(404)


def _of_size(calls: Calls, size: int) -> Document:
    """An image whose manifest has a number of bytes, most of them annotations."""
    empty = content.image(calls.name, annotations={"org.example": ""})
    return content.image(calls.name, annotations={"org.example": "x" * (size - len(empty.body))})


@manifests.should("Manifests of at least 4 megabytes are accepted.")
def manifest_of_4_megabytes(calls: Calls) -> None:
    document = _of_size(calls, 4_000_000)
    calls.put_manifest("1", document).expect(201)
    calls.get_manifest("1").expect(200, body=document.body)


@manifests.should("Manifests beyond some limit are refused: 413.")
def manifest_beyond_the_limit(calls: Calls) -> None:
    document = _of_size(calls, 20_000_000)
    path = calls.path("manifests", "1")
    request = Request("PUT", path, (("Content-Type", document.media_type),), document.body)
    # Without Expect the answer may be lost: a server that does not read all of a body closes the connection.
    last = calls.transport.send_expecting(request)[-1]
    calls.get_manifest("1").expect(404).require(last.status == 413, "the PUT before is not 413")


@manifests.asks("A tag that is pushed again is moved, and the earlier manifest stays under its digest.")
def tag_that_moves(calls: Calls) -> None:
    first = calls.push("1")
    second = calls.push("1", content.image(f"{calls.name} again"))
    calls.get_manifest("1").expect(200, body=second.body)
    calls.get_manifest(first.digest).expect(200, body=first.body)


@manifests.asks("The same manifest can be pushed again: 201.")
def same_manifest_again(calls: Calls) -> None:
    document = calls.push("1")
    calls.put_only("1", document).expect(201)
    calls.put_only(document.digest, document).expect(201)


@subjects.must("The answer to a manifest with a subject has `OCI-Subject: DIGEST`.")
def oci_subject_of_an_image(calls: Calls) -> None:
    subject = calls.push("1")
    document = content.artifact(calls.name, subject=subject.descriptor())
    calls.put_manifest(document.digest, document).expect(201, oci_subject=subject.digest)
    calls.put_only("tagged", document).expect(201, oci_subject=subject.digest)


@subjects.must("So has the answer when the subject is not there.")
def oci_subject_of_what_is_not_there(calls: Calls) -> None:
    absent = content.image("never pushed")
    document = content.artifact(calls.name, subject=absent.descriptor())
    calls.put_manifest("1", document).expect(201, oci_subject=absent.digest)


@subjects.asks("So has the answer to an index with a subject.")
def oci_subject_of_an_index(calls: Calls) -> None:
    subject = calls.push("1")
    document = content.index([subject], subject=subject.descriptor())
    calls.put_manifest("2", document).expect(201, oci_subject=subject.digest)


@subjects.asks("A manifest without a subject has no OCI-Subject.")
def no_oci_subject(calls: Calls) -> None:
    answer = calls.put_manifest("1", content.image(calls.name)).expect(201)
    answer.require(answer.header("OCI-Subject") is None, "OCI-Subject is there")
