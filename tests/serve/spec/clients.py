"""What clients were seen to need, from reports about other registries."""

from urllib.parse import quote

from polyarch.oci import media_types
from tests.serve.spec import content
from tests.serve.spec.calls import OCTETS, Calls, Checked, with_query
from tests.serve.spec.clauses import Section
from tests.serve.spec.content import digest_of
from tests.serve.spec.wire import Request

clients = Section("What clients rely on")


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
            ("Accept", media_types.DOCKER_MANIFEST),
            ("Accept", f"{media_types.OCI_MANIFEST};q=0.5"),
            ("Accept", f"{media_types.OCI_INDEX} ;q=0.9"),
        ),
    )
    Checked(request, calls.transport.send(request)).expect(200, body=document.body)


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
