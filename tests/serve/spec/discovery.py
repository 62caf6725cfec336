"""Content discovery: "Listing Tags" and "Listing Referrers", and what enabling the latter asks for."""

from typing import Any
from urllib.parse import quote

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import Calls, Checked
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import Document, digest_of

tags = Section("Listing tags")
referrers = Section("Listing referrers")
enabling = Section("Enabling the referrers API")

SBOM, SIGNATURE = "application/vnd.example.sbom.v1+json", "application/vnd.example.signature"


@tags.must("The tags of a repository that is there: 200.")
def tags_of_a_repository(calls: Calls) -> None:
    calls.push("1")
    calls.tags().expect(200)


@tags.must("The body is JSON with `name` and `tags`.")
def body_of_tags(calls: Calls) -> None:
    calls.push_tags("1", "2")
    answer = calls.tags().expect(200)
    answer.require(answer.fields().get("name") == calls.repository, "name is another")
    answer.require(sorted(answer.listed("tags")) == ["1", "2"], "tags are others")
    kind = (answer.header("Content-Type") or "").partition(";")[0]
    answer.require(kind == "application/json", "Content-Type is not application/json")


@tags.may("The list may be empty: `[]`, for a repository of which all tags are gone or none was made.")
def no_tags(calls: Calls) -> None:
    calls.push_untagged(content.image(calls.name))
    answer = calls.tags().expect(200)
    answer.require(answer.listed("tags") == [], "there are tags")


@tags.must("The tags are in alphanumeric order, with or without regard to case.")
def order_of_tags(calls: Calls) -> None:
    names = ["b", "a", "B", "A", "1.10", "1.9", "_x", "a-b", "a.b", "aa"]
    calls.push_tags(*names)
    answer = calls.tags().expect(200)
    found = answer.listed("tags")
    answer.require(sorted(found) == sorted(names), "not all the tags, or others")
    alphabetical = sorted(names, key=str.lower)
    folded = [name.lower() for name in found] == [name.lower() for name in alphabetical]
    answer.require(found == sorted(names) or folded, "they are in another order")


@tags.must("`n` tags are the answer to `n`, if there are so many; fewer only if the next page is linked.")
def n_tags(calls: Calls) -> None:
    calls.push_tags("1", "2", "3")
    answer = calls.tags("?n=2").expect(200)
    found = answer.listed("tags")
    answer.require(
        found == ["1", "2"] or bool(found and len(found) < 2 and answer.next_page()), f"{len(found)} tags for n=2"
    )


@tags.asks("`n` larger than the number of tags: all, and no Link.")
def n_of_more_than_there_are(calls: Calls) -> None:
    calls.push_tags("1", "2")
    answer = calls.tags("?n=100").expect(200)
    answer.require(sorted(answer.listed("tags")) == ["1", "2"], "not all the tags")
    answer.require(answer.next_page() is None, "Link")


@tags.must("`n=0`: an empty list, and no Link.")
def n_of_0(calls: Calls) -> None:
    calls.push_tags("1", "2")
    answer = calls.tags("?n=0").expect(200)
    answer.require(answer.listed("tags") == [], "there are tags").require(answer.next_page() is None, "Link")


@tags.must('A Link, if there are more tags, is `<URL>; rel="next"`, and leads to the next tags.')
def link_to_more_tags(calls: Calls) -> None:
    calls.push_tags("1", "2", "3")
    answer = calls.tags("?n=2").expect(200)
    following = answer.next_page()
    answer.require(following is not None, "without Link")
    after = calls.ask("GET", following or "").expect(200)
    after.require(after.listed("tags") == ["3"], "it leads to other tags")


@tags.asks("The links lead through all tags, each once, and end.")
def links_through_all_tags(calls: Calls) -> None:
    names = [f"v{number}" for number in range(7)]
    calls.push_tags(*names)
    pages = calls.walk(calls.path("tags", "list") + "?n=3", "tags")
    calls.tags().require([name for page in pages for name in page] == names, "some are missing or come twice")


@tags.must("`last` leaves out all tags up to it, itself included.")
def last_tag(calls: Calls) -> None:
    calls.push_tags("a", "b", "c", "d")
    answer = calls.tags("?n=2&last=a").expect(200)
    answer.require(answer.listed("tags") == ["b", "c"], "other tags than those after it")


@tags.must_not("`last` is a tag, never a place in the list.")
def last_is_a_tag(calls: Calls) -> None:
    calls.push_tags("a", "b", "c")
    answer = calls.tags("?last=1").expect(200)
    answer.require(answer.listed("tags") == ["a", "b", "c"], "other tags than those after it")


@tags.must("`last` works without `n`.")
def last_tag_alone(calls: Calls) -> None:
    calls.push_tags("1", "2", "3")
    answer = calls.tags("?last=1").expect(200)
    answer.require(answer.listed("tags") == ["2", "3"], "other tags than those after it")


@tags.asks("`last` need not be there any more, so that a tag may be deleted between two pages.")
def last_tag_that_is_gone(calls: Calls) -> None:
    calls.push_tags("1", "3", "4")
    answer = calls.tags("?n=1&last=2").expect(200)
    answer.require(answer.listed("tags") == ["3"], "other tags than those after it")


@tags.asks("`last` after the last tag: an empty list, and no Link.")
def last_tag_after_all(calls: Calls) -> None:
    calls.push_tags("1", "2")
    answer = calls.tags("?last=2").expect(200)
    answer.require(answer.listed("tags") == [], "there are tags").require(answer.next_page() is None, "Link")


@tags.asks("`n` that is not a number: 400, or it is ignored.")
def n_that_is_not_a_number(calls: Calls) -> None:
    calls.push_tags("1", "2")
    for value in ("x", "-1", "1.5", "", "9" * 40):
        calls.tags(f"?n={value}").expect(200, 400)


@tags.asks("A repository that does not exist: 404, with the code NAME_UNKNOWN.")
def tags_of_no_repository(calls: Calls) -> None:
    calls.tags().expect(404, code="NAME_UNKNOWN")


def _index(answer: Checked) -> list[dict[str, Any]]:
    """The entries of a list of referrers, which is an index."""
    answer.expect(200, content_type=media_types.OCI_INDEX)
    fields = answer.fields()
    right = fields.get("schemaVersion") == 2 and fields.get("mediaType", media_types.OCI_INDEX) == media_types.OCI_INDEX
    answer.require(right, "the body is not an index")
    return answer.listed("manifests")


def _refer(calls: Calls, subject: Document, **fields: Any) -> Document:
    return calls.push_untagged(content.artifact(f"{calls.name} {fields}", subject=subject.descriptor(), **fields))


@referrers.must("The referrers of a manifest: 200, and an index of their descriptors.")
def referrers_of_a_manifest(calls: Calls) -> None:
    subject = calls.push("1")
    documents = [_refer(calls, subject, artifact_type=SBOM), _refer(calls, subject, artifact_type=SIGNATURE)]
    answer = calls.referrers(subject.digest)
    found = {(entry["mediaType"], entry["digest"], entry["size"]) for entry in _index(answer)}
    wanted = {(document.media_type, document.digest, len(document.body)) for document in documents}
    answer.require(found == wanted, "not its referrers, or others")


@referrers.must("Content-Type is that of an OCI index.")
def type_of_referrers(calls: Calls) -> None:
    subject = calls.push("1")
    calls.referrers(subject.digest).expect(200, content_type=media_types.OCI_INDEX)


@referrers.must("No referrers: 200, and an empty list.")
def no_referrers(calls: Calls) -> None:
    subject = calls.push("1")
    answer = calls.referrers(subject.digest)
    answer.require(_index(answer) == [], "the list is not empty")


@referrers.must_not("The answer is never 404: not for a digest that is not there, nor a repository that is not.")
def referrers_of_what_is_not_there(calls: Calls) -> None:
    answer = calls.referrers(digest_of(b"never pushed"), repository=calls.other)
    answer.require(_index(answer) == [], "the list is not empty")
    calls.push("1")
    answer = calls.referrers(digest_of(b"never pushed"))
    answer.require(_index(answer) == [], "the list is not empty")


@referrers.must("A digest that is malformed: 400.")
def referrers_of_a_malformed_digest(calls: Calls) -> None:
    calls.push("1")
    for digest in ("sha256:0", "1", "sha256:" + "A" * 64, "baddigest"):
        calls.referrers(digest).expect(400)


@referrers.asks("The referrers of a manifest that is not there (yet) are listed.")
def referrers_of_an_absent_manifest(calls: Calls) -> None:
    subject = content.image(f"{calls.name} absent")
    document = _refer(calls, subject)
    answer = calls.referrers(subject.digest)
    answer.require([entry["digest"] for entry in _index(answer)] == [document.digest], "they are not")


@referrers.must("An entry has the artifactType of the manifest.")
def artifact_type_of_a_manifest(calls: Calls) -> None:
    subject = calls.push("1")
    _refer(calls, subject, artifact_type=SBOM)
    answer = calls.referrers(subject.digest)
    answer.require(
        [entry.get("artifactType") for entry in _index(answer)] == [SBOM], "artifactType is another or absent"
    )


@referrers.must("Without one, an entry has the type of the config as its artifactType.")
def artifact_type_from_the_config(calls: Calls) -> None:
    subject = calls.push("1")
    _refer(calls, subject, artifact_type=None, config_type=SIGNATURE)
    answer = calls.referrers(subject.digest)
    found = [entry.get("artifactType") for entry in _index(answer)]
    answer.require(found == [SIGNATURE], "artifactType is another or absent")


@referrers.must("An index without artifactType has an entry without artifactType.")
def artifact_type_of_an_index(calls: Calls) -> None:
    subject = calls.push("1")
    plain = calls.push_untagged(content.index([subject], subject=subject.descriptor()))
    typed = calls.push_untagged(content.index([], subject=subject.descriptor(), artifactType=SBOM))
    answer = calls.referrers(subject.digest)
    found = {entry["digest"]: entry.get("artifactType") for entry in _index(answer)}
    answer.require(found == {plain.digest: None, typed.digest: SBOM}, "artifactType is another")
    answer.require(
        all(entry.get("artifactType", SBOM) for entry in _index(answer)), "artifactType is empty, not absent"
    )


@referrers.must("An entry has the annotations of the manifest or index.")
def annotations_of_referrers(calls: Calls) -> None:
    subject = calls.push("1")
    notes = {"org.example.key": "a value", "org.opencontainers.image.created": "2024-01-01T00:00:00Z"}
    _refer(calls, subject, annotations=notes)
    calls.push_untagged(content.index([], subject=subject.descriptor(), annotations=notes))
    answer = calls.referrers(subject.digest)
    answer.require([entry.get("annotations") for entry in _index(answer)] == [notes, notes], "annotations are others")


@referrers.asks("Only manifests of the same repository are listed.")
def referrers_of_another_repository(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject)
    calls.repository = calls.other
    calls.push("1")
    answer = calls.referrers(subject.digest)
    answer.require(document.digest not in [entry["digest"] for entry in _index(answer)], "another's are listed as well")


@referrers.asks("A referrer that is deleted is no longer listed.")
def deleted_referrer(calls: Calls) -> None:
    subject = calls.push("1")
    first, second = _refer(calls, subject, artifact_type=SBOM), _refer(calls, subject, artifact_type=SIGNATURE)
    calls.ask("DELETE", calls.path("manifests", first.digest)).expect(202)
    answer = calls.referrers(subject.digest)
    answer.require([entry["digest"] for entry in _index(answer)] == [second.digest], "it is still listed")


@referrers.asks("A referrer that is tagged is listed once.")
def tagged_referrer(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject)
    for tag in ("2", "3"):
        calls.put_only(tag, document).expect(201)
    answer = calls.referrers(subject.digest)
    answer.require([entry["digest"] for entry in _index(answer)] == [document.digest], "it is not")


@referrers.must("A list that is too long for one answer goes on at a Link.")
def long_list_of_referrers(calls: Calls) -> None:
    subject = calls.push("1")
    text = "x" * 900_000
    documents = [
        calls.push_untagged(
            content.artifact(
                f"{calls.name} {number}", subject=subject.descriptor(), annotations={"x": text, "n": str(number)}
            )
        )
        for number in range(6)
    ]
    pages = calls.walk(calls.path("referrers", subject.digest), "manifests")
    found = sorted(entry["digest"] for page in pages for entry in page)
    calls.referrers(subject.digest).require(
        found == sorted(document.digest for document in documents), "not all are listed"
    )


@referrers.should("`artifactType` filters the list.")
def filtered_referrers(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject, artifact_type=SBOM)
    _refer(calls, subject, artifact_type=SIGNATURE)
    answer = calls.referrers(subject.digest, f"?artifactType={quote(SBOM)}")
    answer.require([entry["digest"] for entry in _index(answer)] == [document.digest], "the list is not filtered")


@referrers.must("A list that was filtered says so: `OCI-Filters-Applied: artifactType`, also when it is empty.")
def filter_is_said(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject, artifact_type=SBOM)
    for value, wanted in ((SBOM, [document.digest]), ("application/vnd.example.none", [])):
        answer = calls.referrers(subject.digest, f"?artifactType={quote(value)}")
        answer.expect(200, oci_filters_applied="artifactType")
        answer.require([entry["digest"] for entry in _index(answer)] == wanted, "the list is not filtered")


@referrers.asks("A list that was not filtered does not say that it was.")
def no_filter_is_said(calls: Calls) -> None:
    subject = calls.push("1")
    answer = calls.referrers(subject.digest)
    answer.require(_index(answer) == [], "the list is not empty")
    answer.require(answer.header("OCI-Filters-Applied") is None, "OCI-Filters-Applied is there")


@referrers.asks("The filter also finds the type of a config that stands for the artifactType.")
def filter_by_the_config(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject, artifact_type=None, config_type=SIGNATURE)
    answer = calls.referrers(subject.digest, f"?artifactType={quote(SIGNATURE)}")
    answer.require([entry["digest"] for entry in _index(answer)] == [document.digest], "it is not listed")


@enabling.must("A manifest that a client listed under the tag of the fallback is listed, once.")
def referrers_under_the_fallback_tag(calls: Calls) -> None:
    subject = calls.push("1")
    document = _refer(calls, subject)
    entry = document.descriptor(artifactType=content.EXAMPLE)
    calls.push(subject.digest.replace(":", "-"), content.index([], manifests=[entry]))
    answer = calls.referrers(subject.digest)
    answer.require([entry["digest"] for entry in _index(answer)] == [document.digest], "it is not")


@enabling.must("A manifest under that tag that is about another one, or about none, is not listed.")
def others_under_the_fallback_tag(calls: Calls) -> None:
    subject, other = calls.push("1"), calls.push("2", content.image(f"{calls.name} other"))
    document = _refer(calls, other)
    calls.referrers(other.digest).expect(200)
    calls.push(subject.digest.replace(":", "-"), content.index([document, other]))
    answer = calls.referrers(subject.digest)
    answer.require(_index(answer) == [], "the list is not empty")


@enabling.must("Each manifest with a subject that is pushed from now on is listed.")
def every_new_referrer(calls: Calls) -> None:
    subject = calls.push("1")
    image = content.image(f"{calls.name} image", subject=subject.descriptor())
    calls.push("by-tag", image)
    artifact = _refer(calls, subject)
    answer = calls.referrers(subject.digest)
    answer.require({entry["digest"] for entry in _index(answer)} == {image.digest, artifact.digest}, "not all are")
