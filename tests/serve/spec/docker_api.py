"""Docker's API, which the specification comes from: what clients use and the specification does not have."""

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of

docker = Section("Docker's API")


@docker.asks("Every answer has `Docker-Distribution-Api-Version: registry/2.0`.")
def version_of_the_api(calls: Calls) -> None:
    calls.push("1")
    for answer in (calls.ask("GET", "/v2/"), calls.get_manifest("1"), calls.get_manifest("2"), calls.start()):
        answer.expect(docker_distribution_api_version="registry/2.0")


@docker.asks("The catalog lists the repositories, in order.")
def catalog(calls: Calls) -> None:
    calls.push("1")
    calls.repository = calls.other
    calls.push("1")
    pages = calls.walk("/v2/_catalog?n=1000", "repositories")
    found = [name for page in pages for name in page]
    answer = calls.ask("GET", "/v2/_catalog").expect(200)
    answer.require({calls.repository, f"spec/{calls.name}"} <= set(found), "one is missing")
    answer.require(found == sorted(found), "they are in another order")


@docker.asks("The catalog goes by `n`, `last` and Link as the tags do.")
def pages_of_the_catalog(calls: Calls) -> None:
    names = [f"spec/catalog/{letter}" for letter in "abc"]
    for name in names:
        calls.repository = name
        calls.push("1")
    answer = calls.ask("GET", "/v2/_catalog?n=2&last=spec/catalog").expect(200)
    answer.require(answer.listed("repositories") == names[:2], "other repositories than those after `last`")
    answer.require(bool(answer.next_page()), "without Link")
    after = calls.ask("GET", answer.next_page() or "").expect(200)
    after.require(after.listed("repositories")[0] == names[2], "the Link leads elsewhere")


@docker.asks("The answers of an upload have Docker-Upload-UUID, one for all of a session.")
def uuid_of_an_upload(calls: Calls) -> None:
    first = calls.start()
    second = calls.patch(first.location(), calls.bytes(), 0).expect(202)
    third = calls.ask("GET", second.location()).expect(204)
    found = [answer.header("Docker-Upload-UUID") for answer in (first, second, third)]
    first.require(bool(found[0]) and len(set(found)) == 1, "Docker-Upload-UUID is absent or another")


@docker.asks("A session to which nothing was sent has `Range: 0-0`.")
def range_of_no_bytes(calls: Calls) -> None:
    answer = calls.start().expect(range="0-0")
    calls.ask("GET", answer.location()).expect(204, range="0-0")


@docker.asks("PATCH without Content-Range appends what it brings, of known length or in HTTP chunks.")
def streamed_upload(calls: Calls) -> None:
    blob = calls.bytes(size=150_000)
    answer = calls.patch(calls.start().location(), blob[:1000]).expect(202, range="0-999")
    request = calls.ask("PATCH", answer.location(), blob[1000:], chunked=True, content_type=OCTETS)
    location = request.expect(202, range="0-149999").location()
    calls.close(location, digest_of(blob)).expect(201)
    calls.get_blob(digest_of(blob)).expect(200, body=blob)


@docker.asks("A schema 2 image can be pushed and pulled, under its own type.")
def docker_image(calls: Calls) -> None:
    document = calls.push("1", content.image(calls.name, docker=True))
    calls.get_manifest("1").expect(200, body=document.body, content_type=media_types.DOCKER_MANIFEST)


@docker.asks("A manifest list can be pushed and pulled, under its own type.")
def docker_manifest_list(calls: Calls) -> None:
    image = calls.push_untagged(content.image(calls.name, docker=True))
    document = calls.push("1", content.index([image], docker=True))
    calls.get_manifest("1").expect(200, body=document.body, content_type=media_types.DOCKER_INDEX)


@docker.asks("An index may list images of docker's types, and a manifest list those of OCI's.")
def mixed_types(calls: Calls) -> None:
    old = calls.push_untagged(content.image(f"{calls.name} old", docker=True))
    new = calls.push_untagged(content.image(f"{calls.name} new"))
    for tag, document in {"1": content.index([old, new]), "2": content.index([old, new], docker=True)}.items():
        calls.push(tag, document)
        calls.get_manifest(tag).expect(200, body=document.body)
