"""Content management: "Deleting tags", "Deleting Manifests" and "Deleting Blobs"."""

from tests.serve.spec import content
from tests.serve.spec.calls import ACCEPT, Calls, Checked
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

tags = Section("Deleting tags")
manifests = Section("Deleting manifests")
blobs = Section("Deleting blobs")


def _delete_manifest(calls: Calls, reference: str, repository: str | None = None) -> Checked:
    return calls.ask("DELETE", calls.path("manifests", reference, repository=repository))


def _delete_blob(calls: Calls, digest: str, repository: str | None = None) -> Checked:
    return calls.ask("DELETE", calls.path("blobs", digest, repository=repository))


@tags.must("A tag is deleted: 202. Where that is not supported: 400 or 405.")
def delete_a_tag(calls: Calls) -> None:
    calls.push_tags("1", "2")
    _delete_manifest(calls, "1").expect(202, 400, 405)


@tags.may("Deleting tags is supported: 202.")
def delete_a_tag_is_supported(calls: Calls) -> None:
    calls.push_tags("1", "2")
    _delete_manifest(calls, "1").expect(202)


@tags.asks("A deleted tag is gone, from the list too; its manifest and the other tags are not.")
def deleted_tag(calls: Calls) -> None:
    document = calls.push_tags("1", "2")
    _delete_manifest(calls, "1").expect(202)
    calls.get_manifest("1").expect(404)
    calls.get_manifest("2").expect(200, body=document.body)
    calls.get_manifest(document.digest).expect(200, body=document.body)
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == ["2"], "the tag is still listed, or another is not")


@tags.asks("The last tag can be deleted: then the list is empty, and the manifest still there by its digest.")
def delete_the_last_tag(calls: Calls) -> None:
    document = calls.push("1")
    _delete_manifest(calls, "1").expect(202)
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == [], "there are tags")
    calls.get_manifest(document.digest).expect(200, body=document.body)


@tags.asks("A tag that is not there: 404, with the code MANIFEST_UNKNOWN.")
def delete_no_tag(calls: Calls) -> None:
    calls.push("1")
    _delete_manifest(calls, "2").expect(404, code="MANIFEST_UNKNOWN")


@manifests.must("A manifest is deleted: 202. Where that is not supported: 400 or 405.")
def delete_a_manifest(calls: Calls) -> None:
    document = calls.push("1")
    _delete_manifest(calls, document.digest).expect(202, 400, 405)


@manifests.may("Deleting manifests is supported: 202.")
def delete_a_manifest_is_supported(calls: Calls) -> None:
    document = calls.push("1")
    _delete_manifest(calls, document.digest).expect(202)


@manifests.must("A repository that does not exist: 404.")
def delete_in_no_repository(calls: Calls) -> None:
    _delete_manifest(calls, digest_of(b"never pushed"), "spec/no/such/repository").expect(404)


@manifests.asks("A manifest that is not there: 404, with the code MANIFEST_UNKNOWN.")
def delete_no_manifest(calls: Calls) -> None:
    calls.push("1")
    _delete_manifest(calls, digest_of(b"never pushed")).expect(404, code="MANIFEST_UNKNOWN")


@manifests.asks("A deleted manifest is gone, and so is every tag of it, from the list too.")
def deleted_manifest(calls: Calls) -> None:
    document = calls.push_tags("1", "2")
    other = calls.push("3", content.image(f"{calls.name} other"))
    _delete_manifest(calls, document.digest).expect(202)
    for reference in (document.digest, "1", "2"):
        calls.get_manifest(reference).expect(404)
        calls.head_manifest(reference).expect(404)
    calls.get_manifest("3").expect(200, body=other.body)
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == ["3"], "a tag of it is still listed, or another is not")


@manifests.asks("A manifest that an index lists can be deleted, and the index is still there.")
def delete_a_member(calls: Calls) -> None:
    image = calls.push_untagged(content.image(calls.name))
    whole = calls.push("1", content.index([image]))
    answer = _delete_manifest(calls, image.digest).expect(202, 400, 405)
    if answer.status == 202:
        calls.get_manifest(image.digest).expect(404)
    calls.get_manifest("1").expect(200, body=whole.body)


@manifests.asks(
    "All of an index can be deleted from its tag down to its blobs: each 202, or 404 if it went before, then 404."
)
def delete_all_of_an_index(calls: Calls) -> None:
    images = [content.image(f"{calls.name} {number}") for number in range(2)]
    for image in images:
        calls.push_untagged(image)
    whole = calls.push("1", content.index(images))
    references = [("manifests", "1"), ("manifests", whole.digest)]
    references += [("manifests", image.digest) for image in images]
    references += [("blobs", digest_of(blob)) for image in images for blob in image.blobs]
    for reference in references:
        calls.ask("HEAD", calls.path(*reference), accept=ACCEPT).expect(200)
    for reference in references:
        calls.ask("DELETE", calls.path(*reference)).expect(202, 404)
        calls.ask("HEAD", calls.path(*reference), accept=ACCEPT).expect(404)


@manifests.asks("What is about a manifest can be deleted after it: 202, or 404 if it went with it, then 404.")
def delete_what_was_about_a_deleted_manifest(calls: Calls) -> None:
    document = calls.push("1")
    about = [content.artifact(f"{calls.name} {number}", subject=document.descriptor()) for number in range(2)]
    calls.push("2", about[0])
    calls.push_untagged(about[1])
    for one in (document, *about):
        _delete_manifest(calls, one.digest).expect(*((202,) if one is document else (202, 404)))
        calls.get_manifest(one.digest).expect(404)


@manifests.asks("A manifest that was deleted can be pushed again.")
def push_after_delete(calls: Calls) -> None:
    document = calls.push("1")
    _delete_manifest(calls, document.digest).expect(202)
    calls.put_manifest("1", document).expect(201)
    calls.get_manifest(document.digest).expect(200, body=document.body)


@manifests.asks("A manifest deleted in one repository stays in another.")
def delete_in_one_repository(calls: Calls) -> None:
    document = calls.push("1")
    first = calls.repository
    calls.repository = calls.other
    calls.push("1", document)
    _delete_manifest(calls, document.digest, first).expect(202)
    calls.get_manifest("1").expect(200, body=document.body)
    calls.get_manifest("1", first).expect(404)


@manifests.asks("A digest that is malformed: 400 or 404.")
def delete_a_malformed_digest(calls: Calls) -> None:
    calls.push("1")
    _delete_manifest(calls, "sha256:baddigeststring").expect(400, 404)


@blobs.must("A blob is deleted: 202. Where that is not supported: 400 or 405.")
def delete_a_blob(calls: Calls) -> None:
    _delete_blob(calls, calls.push_blob(calls.bytes())).expect(202, 400, 405)


@blobs.may("Deleting blobs is supported: 202.")
def delete_a_blob_is_supported(calls: Calls) -> None:
    _delete_blob(calls, calls.push_blob(calls.bytes())).expect(202)


@blobs.asks("A deleted blob is gone.")
def deleted_blob(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    _delete_blob(calls, digest).expect(202)
    calls.get_blob(digest).expect(404)
    calls.head_blob(digest).expect(404)


@blobs.must("A blob that is not there: 404, with the code BLOB_UNKNOWN.")
def delete_no_blob(calls: Calls) -> None:
    calls.push("1")
    _delete_blob(calls, digest_of(b"never pushed")).expect(404, code="BLOB_UNKNOWN")


@blobs.asks("A blob that was deleted can be pushed again.")
def push_blob_after_delete(calls: Calls) -> None:
    blob = calls.bytes()
    _delete_blob(calls, calls.push_blob(blob)).expect(202)
    calls.get_blob(calls.push_blob(blob)).expect(200, body=blob)


@blobs.asks("A blob that was mounted and deleted in one repository stays in the other.")
def delete_a_mounted_blob(calls: Calls) -> None:
    blob = calls.bytes()
    digest = calls.push_blob(blob)
    calls.push_blob(blob, repository=calls.other)
    document = content.image(f"{calls.name} keeps it", more_layers=[content.descriptor(blob, content.EXAMPLE)])
    first, calls.repository = calls.repository, calls.other
    calls.put_manifest("1", document).expect(201)
    if _delete_blob(calls, digest, first).expect(202, 405).status == 202:
        calls.get_blob(digest, first).expect(404)
    calls.get_blob(digest).expect(200, body=blob)


@blobs.asks("A blob that a manifest of the repository needs is deleted as asked, or kept whole and refused.")
def delete_a_blob_in_use(calls: Calls) -> None:
    document = calls.push("1")
    digest = digest_of(document.blobs[1])
    answer = _delete_blob(calls, digest).expect(202, 400, 405)
    if answer.status == 202:
        calls.get_blob(digest).expect(404)
    else:
        calls.get_blob(digest).expect(200, body=document.blobs[1])
