"""What no clause of the specification asks for: docker's API, the rules of HTTP, and what clients were seen to need."""

import re
from urllib.parse import quote

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls, with_query
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import Document, digest_of
from tests.serve.spec.wire import Request

docker = Section("Docker's API")
http = Section("HTTP")
clients = Section("What clients rely on")


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


@clients.asks('A repository without tags has `"tags": []`, not null, on which helm and scripts fail.')
def tags_are_never_null(calls: Calls) -> None:
    document = calls.push("1")
    calls.ask("DELETE", calls.path("manifests", document.digest)).expect(202)
    answer = calls.tags().expect(200, 404)
    if answer.status == 200:
        answer.require(answer.listed("tags") == [], "there are tags")


@clients.asks("HEAD of a manifest has Content-Type and a length above 0 (docker 20.10, containerd).")
def head_says_all(calls: Calls) -> None:
    document = calls.push("1")
    length = str(len(document.body))
    calls.head_manifest("1").expect(200, content_type=document.media_type, content_length=length)


@clients.asks("HEAD of a blob has a Content-Type, application/octet-stream (moby#28894).")
def type_of_a_blob(calls: Calls) -> None:
    digest = calls.push_blob(calls.bytes())
    calls.head_blob(digest).expect(200, content_type=OCTETS)


@clients.asks("A manifest without Accept is what was pushed, an index too: with `*/*` as with nothing (curl).")
def no_accept(calls: Calls) -> None:
    image = calls.push("1")
    whole = calls.push("2", content.index([image]))
    for headers in ({}, {"accept": "*/*"}):
        answer = calls.ask("GET", calls.path("manifests", "2"), **headers).expect(200, body=whole.body)
        answer.expect(content_type=media_types.OCI_INDEX)
        calls.ask("GET", calls.path("manifests", "1"), **headers).expect(200, body=image.body)


@clients.asks("A manifest list is never turned into an image for a client that does not accept it.")
def no_conversion(calls: Calls) -> None:
    image = calls.push_untagged(content.image(calls.name, docker=True))
    document = calls.push("1", content.index([image], docker=True))
    path = calls.path("manifests", "1")
    answer = calls.ask("GET", path, accept=media_types.DOCKER_MANIFEST).expect(200, 404, 406)
    answer.require(answer.status != 200 or answer.body == document.body, "another manifest than was pushed")


@clients.asks("Several Accept headers count as one list (docker sends one for each type).")
def several_accepts(calls: Calls) -> None:
    document = calls.push("1", content.index([]))
    request = Request(
        "GET",
        calls.path("manifests", "1"),
        (
            (
                "Accept",
                f"{media_types.DOCKER_MANIFEST}, {media_types.OCI_MANIFEST};q=0.5,{media_types.OCI_INDEX} ;q=0.9",
            ),
        ),
    )
    answer = calls.transport.send(request)
    calls.get_manifest("1").require(answer.body == document.body, "another body when the types have weights")


@clients.asks("A tag may move from an image to an index and back (zot and knative/func#2721).")
def tag_that_changes_its_type(calls: Calls) -> None:
    image = calls.push("1")
    for document in (content.index([image]), content.image(f"{calls.name} docker", docker=True), image):
        calls.push("1", document)
        calls.get_manifest("1").expect(200, body=document.body, content_type=document.media_type)


@clients.asks("A manifest without `mediaType` is accepted under its Content-Type (helm, buildah).")
def no_media_type(calls: Calls) -> None:
    document = calls.push("1", content.artifact(calls.name, mediaType=None))
    calls.get_manifest("1").expect(200, body=document.body, content_type=media_types.OCI_MANIFEST)


@clients.asks("A manifest with `mediaType` is accepted without a Content-Type, or with one that says nothing (curl).")
def manifest_without_a_content_type(calls: Calls) -> None:
    document = content.image(calls.name)
    calls.push_blobs(*document.blobs)
    path = calls.path("manifests", "1")
    calls.ask("PUT", path, document.body).expect(201)
    calls.ask("PUT", path, document.body, content_type="application/x-www-form-urlencoded").expect(201)
    calls.get_manifest("1").expect(200, body=document.body, content_type=document.media_type)


@clients.asks("BuildKit's cache, an index that lists layers and a configuration of its own, can be pushed and pulled.")
def buildkit_cache(calls: Calls) -> None:
    config, layer = content.encode({"layers": [], "name": calls.name}), calls.bytes()
    calls.push_blobs(config, layer)
    entries = [
        content.descriptor(
            layer, media_types.OCI_LAYER_GZIP, annotations={"buildkit/createdat": "2024-01-01T00:00:00Z"}
        ),
        content.descriptor(config, "application/vnd.buildkit.cacheconfig.v0"),
    ]
    whole = calls.push("1", content.index([], manifests=entries))
    calls.get_manifest("1").expect(200, body=whole.body, content_type=media_types.OCI_INDEX)
    calls.get_blob(digest_of(layer)).expect(200, body=layer)


@clients.asks("An empty chunk is accepted: 202, and nothing changes.")
def empty_chunk(calls: Calls) -> None:
    location = calls.patch(calls.start().location(), calls.bytes()).expect(202).location()
    location = calls.patch(location, b"").expect(202, range="0-511").location()
    calls.close(location, digest_of(calls.bytes())).expect(201)


@clients.asks("An upload without a Content-Type is accepted, in PATCH and in PUT (moby#46006).")
def no_content_type(calls: Calls) -> None:
    blob = calls.bytes()
    answer = calls.ask("PATCH", calls.start().location(), blob[:100]).expect(202)
    path = with_query(answer.location(), f"digest={quote(digest_of(blob))}")
    calls.ask("PUT", path, blob[100:]).expect(201)


@clients.asks("GET and HEAD agree whether a manifest is a blob too (containerd asks both; #7390).")
def manifest_as_a_blob(calls: Calls) -> None:
    document = calls.push("1")
    head = calls.head_blob(document.digest).expect(200, 404)
    got = calls.get_blob(document.digest).expect(head.status)
    got.require(head.status == 404 or got.body == document.body, "another body")


@clients.asks("Tags of cosign and of the fallback of referrers are tags like others.")
def tags_with_digests(calls: Calls) -> None:
    document = calls.push("1")
    name = document.digest.replace(":", "-")
    for tag in (name, f"{name}.sig", f"{name}.att"):
        calls.put_only(tag, document).expect(201)
        calls.get_manifest(tag).expect(200, body=document.body)


@clients.asks("An index with attestations of BuildKit (platform unknown/unknown) is taken as it is.")
def buildkit_attestations(calls: Calls) -> None:
    image = content.image(calls.name)
    statement = content.artifact(f"{calls.name} statement", artifact_type=None, config_type=media_types.OCI_CONFIG)
    entry = statement.descriptor(
        platform={"os": "unknown", "architecture": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest},
    )
    for document in (image, statement):
        calls.push_untagged(document)
    whole = calls.push("1", content.index([image], manifests=[image.descriptor(), entry]))
    calls.get_manifest("1").expect(200, body=whole.body)


@clients.asks("Tags that differ only in case are two.")
def tags_that_differ_in_case(calls: Calls) -> None:
    first = calls.push("v1")
    second = calls.push("V1", content.image(f"{calls.name} other"))
    calls.get_manifest("v1").expect(200, body=first.body)
    calls.get_manifest("V1").expect(200, body=second.body)


@clients.asks("A `+` in the value of a filter means itself where a client did not encode it.")
def plus_in_a_filter(calls: Calls) -> None:
    subject = calls.push("1")
    kind = "application/vnd.example.sbom+json"
    document = calls.push_untagged(content.artifact(calls.name, artifact_type=kind, subject=subject.descriptor()))
    for value in (quote(kind, safe=""), quote(kind, safe="/+")):
        answer = calls.referrers(subject.digest, f"?artifactType={value}").expect(200)
        found = [entry["digest"] for entry in answer.listed("manifests")]
        answer.require(found == [document.digest], "it is not found")


@clients.asks("Names with the words of the API in them are names: `a/manifests`, `a/blobs/uploads`, `a/tags/list`.")
def names_with_words_of_the_api(calls: Calls) -> None:
    for name in ("spec/manifests", "spec/blobs/uploads", "spec/tags/list", "spec/referrers", "manifests", "spec/v2"):
        calls.repository = name
        document = calls.push("1", content.image(f"{calls.name} {name}"))
        calls.get_manifest("1").expect(200, body=document.body)
        answer = calls.tags().expect(200)
        answer.require(answer.listed("tags") == ["1"], "its tags are others")
