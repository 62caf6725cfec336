"""The store as repositories: names, manifests without tags, deletion, referrers, lists."""

from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.serve import pages, referring
from polyarch.store import Store
from tests.serve.requests import Requests
from tests.store.images import image

ABSENT = digests.of(b"absent")


def test_each_image_is_listed_under_its_shortest_path_that_means_no_other(ask: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        for name in (
            "docker.io/library/alpine:3",
            "docker.io/library/debian:13",
            "localhost/debian:mine",
            "docker.io/team/app:1",
            "ghcr.io/org/x:1",
            "localhost:5000/y:1",
        ):
            image(store, b"layer", name)
    listed = ["alpine", "debian", "ghcr.io/org/x", "library/debian", "localhost_5000/y", "team/app"]
    assert ask("GET", "/v2/_catalog").json() == {"repositories": listed}
    for repository in listed:
        assert ask("GET", f"/v2/{repository}/tags/list").status == 200
    assert ask("GET", "/v2/debian/tags/list").json()["tags"] == ["13", "mine"]


def test_the_name_by_which_an_image_was_pushed_is_not_one_more_repository(ask: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        for name in ("127.0.0.1:5000/team/app:1", "localhost/team/app:1"):
            image(store, b"layer", name)
    assert ask("GET", "/v2/_catalog").json() == {"repositories": ["team/app"]}
    assert ask("GET", "/v2/127.0.0.1_5000/team/app/tags/list").status == 200
    with Store.open(store_root) as store:
        image(store, b"newer, not pushed", "127.0.0.1:5000/team/app:1")
    assert ask("GET", "/v2/_catalog").json() == {"repositories": ["127.0.0.1_5000/team/app", "team/app"]}


def test_what_was_pushed_comes_before_another_image_of_the_same_path(ask: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        other = image(store, b"other", "docker.io/library/app:1")
    pushed = ask.image("app", "1")
    assert ask("GET", "/v2/app/manifests/1").headers["docker-content-digest"] == pushed
    assert ask("GET", "/v2/library/app/manifests/1").headers["docker-content-digest"] == other.digest


def test_a_tag_that_moves_leaves_its_manifest_in_the_repository(ask: Requests, store_root: Path) -> None:
    first, second = ask.image("x", "1", b"one"), ask.image("x", "1", b"two")
    assert ask("GET", "/v2/x/manifests/1").headers["docker-content-digest"] == second
    assert ask("GET", f"/v2/x/manifests/{first}").status == 200
    with Store.open(store_root) as store:
        assert [one.digest for one in store.kept()] == [first]
    assert ask.image("x", "0", b"one") == first
    with Store.open(store_root) as store:
        assert store.kept() == ()


def test_a_manifest_stays_in_each_repository_that_it_was_pushed_to(ask: Requests, store_root: Path) -> None:
    digest = ask.image("a", "")
    assert ask.image("b", "") == digest
    assert ask.image("c", "1") == digest
    assert all(ask("HEAD", f"/v2/{name}/manifests/{digest}").status == 200 for name in "abc")
    assert ask("DELETE", f"/v2/a/manifests/{digest}").status == 202
    assert [ask("HEAD", f"/v2/{name}/manifests/{digest}").status for name in "abc"] == [404, 200, 200]


def test_a_tag_is_deleted_and_its_manifest_stays(ask: Requests) -> None:
    digest = ask.image("x", "1")
    assert ask("DELETE", "/v2/x/manifests/1").status == 202
    assert ask("GET", "/v2/x/manifests/1").code == "MANIFEST_UNKNOWN"
    assert ask("GET", f"/v2/x/manifests/{digest}").status == 200
    assert ask("GET", "/v2/x/tags/list").json()["tags"] == []
    assert ask("DELETE", "/v2/x/manifests/1").status == 404
    assert ask("DELETE", "/v2/y/manifests/1").code == "NAME_UNKNOWN"


def test_a_manifest_is_deleted_with_its_tags(ask: Requests) -> None:
    digest = ask.image("x", "1")
    assert ask.image("x", "2") == digest
    other = ask.image("x", "3", b"other")
    assert ask("DELETE", f"/v2/x/manifests/{digest}").status == 202
    assert ask("GET", "/v2/x/manifests/2").status == 404
    assert ask("GET", f"/v2/x/manifests/{digest}").status == 404
    assert ask("GET", "/v2/x/manifests/3").headers["docker-content-digest"] == other


def test_a_manifest_that_an_index_names_is_not_deleted(ask: Requests) -> None:
    member = ask.image("x", "")
    index = ask.index("x", "1", [member]).headers["docker-content-digest"]
    refused = ask("DELETE", f"/v2/x/manifests/{member}")
    assert (refused.status, refused.code) == (405, "UNSUPPORTED")
    assert index in refused.json()["errors"][0]["message"]
    assert ask("DELETE", f"/v2/x/manifests/{index}").status == 202
    assert ask("GET", f"/v2/x/manifests/{member}").status == 404


def test_an_image_of_this_machine_is_not_deleted_by_a_client(ask: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        made = image(store, b"layer", "docker.io/library/alpine:3")
    for reference in ("3", made.digest):
        refused = ask("DELETE", f"/v2/alpine/manifests/{reference}")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
        assert "polyarch rmi docker.io/library/alpine:3" in refused.json()["errors"][0]["message"]


def test_a_blob_is_deleted_unless_a_manifest_names_it(ask: Requests) -> None:
    digest = ask.blob("x", b"blob")
    assert ask("DELETE", f"/v2/x/blobs/{digest}").status == 202
    assert ask("GET", f"/v2/x/blobs/{digest}").status == 404
    assert ask("DELETE", f"/v2/x/blobs/{digest}").status == 404
    ask.image("x", "1", b"blob")
    assert ask("GET", f"/v2/x/blobs/{digest}").status == 200
    assert ask("DELETE", f"/v2/x/blobs/{digest}").code == "UNSUPPORTED"


def test_a_blob_is_mounted_from_another_repository_or_from_anywhere(ask: Requests) -> None:
    digest = ask.blob("x", b"blob")
    for query in (f"mount={digest}&from=x", f"mount={digest}"):
        done = ask("POST", f"/v2/y/blobs/uploads/?{query}")
        assert (done.status, done.headers["location"]) == (201, f"/v2/y/blobs/{digest}")
    begun = ask("POST", f"/v2/y/blobs/uploads/?mount={ABSENT}&from=x")
    assert begun.status == 202
    assert ask("PUT", f"{begun.headers['location']}?digest={digest}", b"blob").status == 201


def about(ask: Requests, subject: str, kind: str, note: str = "", tag: str = "", repository: str = "x") -> str:
    """Push a manifest about another one."""
    there = {"mediaType": media_types.OCI_MANIFEST, "digest": subject, "size": 2}
    notes = {"note": note, "org.opencontainers.image.ref.name": "kept"}
    return ask.image(repository, tag, note.encode(), artifactType=kind, subject=there, annotations=notes)


def test_referrers(ask: Requests) -> None:
    subject = ask.image("x", "1")
    sbom, signature = about(ask, subject, "a/sbom", "one"), about(ask, subject, "a/signature", "two", tag="s")
    listed = ask("GET", f"/v2/x/referrers/{subject}")
    assert listed.headers["content-type"] == media_types.OCI_INDEX
    assert "oci-filters-applied" not in listed.headers
    found = {one["digest"]: one for one in listed.json()["manifests"]}
    assert {name: one["artifactType"] for name, one in found.items()} == {sbom: "a/sbom", signature: "a/signature"}
    assert found[sbom]["annotations"] == {"note": "one", "org.opencontainers.image.ref.name": "kept"}
    filtered = ask("GET", f"/v2/x/referrers/{subject}?artifactType=a/sbom")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [one["digest"] for one in filtered.json()["manifests"]] == [sbom]
    assert ask("GET", f"/v2/y/referrers/{subject}").json()["manifests"] == []
    assert ask("GET", "/v2/y/referrers/sha256:0").code == "DIGEST_INVALID"
    assert ask("DELETE", f"/v2/x/manifests/{sbom}").status == 202
    assert [one["digest"] for one in ask("GET", f"/v2/x/referrers/{subject}").json()["manifests"]] == [signature]


def test_a_referrer_may_come_before_its_subject(ask: Requests, store_root: Path) -> None:
    subject = digests.of(
        msgspec.json.encode(document := {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []})
    )
    sbom = about(ask, subject, "a/sbom")
    with Store.open(store_root) as store:
        assert [one.digest for one in store.kept()] == [sbom]
        assert [one["digest"] for one in ask("GET", f"/v2/x/referrers/{subject}").json()["manifests"]] == [sbom]
        assert ask.manifest("x", "1", document, media_types.OCI_INDEX).status == 201
        assert store.kept() == ()
        store.maintenance.gc()
    assert ask("GET", f"/v2/x/manifests/{sbom}").status == 200
    assert [one["digest"] for one in ask("GET", f"/v2/x/referrers/{subject}").json()["manifests"]] == [sbom]


def test_the_answer_to_a_push_names_its_subject_and_tags(ask: Requests) -> None:
    ask.blob("x", b"{}")
    config = {"mediaType": media_types.OCI_EMPTY, "digest": digests.of(b"{}"), "size": 2}
    subject = {"mediaType": media_types.OCI_MANIFEST, "digest": ABSENT, "size": 5}
    document = {"schemaVersion": 2, "config": config, "layers": [], "subject": subject}
    raw = msgspec.json.encode(document)
    path = f"/v2/x/manifests/{digests.of(raw)}?tag=a&tag=b"
    done = ask("PUT", path, raw, {"Content-Type": media_types.OCI_MANIFEST})
    assert (done.status, done.headers["oci-subject"], done.headers["oci-tag"]) == (201, ABSENT, "a, b")
    assert ask("GET", "/v2/x/tags/list").json()["tags"] == ["a", "b"]


def test_a_long_list_of_referrers_is_answered_in_pages(ask: Requests) -> None:
    subject = ask.image("x", "1")
    all_of_them = {about(ask, subject, "a/b", str(number)) for number in range(5)}
    listed = ask("GET", f"/v2/x/referrers/{subject}").json()["manifests"]
    assert {one["digest"] for one in listed} == all_of_them
    found = [descriptors.parse(one) for one in listed]
    seen, last = [], ""
    while True:
        part = referring.page(found, "", last, most=900)
        assert len(part.raw) <= 900
        seen += [one["digest"] for one in msgspec.json.decode(part.raw)["manifests"]]
        if not part.next:
            break
        (last,) = parse_qs(part.next)["last"]
    assert len(seen) == 5
    assert set(seen) == all_of_them


TAGS = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", fullmatch=True), unique=True).map(sorted)


@given(TAGS, st.integers(1, 7))
def test_the_pages_of_a_list_are_the_list(items: list[str], count: int) -> None:
    seen: list[str] = []
    query = {"n": str(count)}
    while True:
        part = pages.page(items, query)
        assert len(part.items) <= count
        seen += part.items
        if not part.next:
            break
        assert len(part.items) == count
        query = dict(parse_qsl(part.next))
    assert seen == items


def test_tags_in_pages(ask: Requests) -> None:
    for tag in ("b", "A", "1.10", "1.2", "_x"):
        ask.image("x", tag)
    listed = ["1.10", "1.2", "A", "_x", "b"]
    assert ask("GET", "/v2/x/tags/list").json()["tags"] == listed
    first = ask("GET", "/v2/x/tags/list?n=2")
    assert first.json()["tags"] == listed[:2]
    assert first.headers["link"] == '</v2/x/tags/list?n=2&last=1.2>; rel="next"'
    assert ask("GET", "/v2/x/tags/list?n=3&last=1.2").json()["tags"] == listed[2:]
    assert "link" not in ask("GET", "/v2/x/tags/list?n=3&last=1.2").headers
    assert ask("GET", "/v2/x/tags/list?last=B").json()["tags"] == listed[3:]
    none = ask("GET", "/v2/x/tags/list?n=0")
    assert (none.json()["tags"], "link" in none.headers) == ([], False)
    for wrong in ("-1", "x", "1" * 30, "²"):
        assert ask("GET", f"/v2/x/tags/list?n={quote(wrong)}").status == 400


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "MANIFEST_INVALID"),
        (b"[]", 400, "MANIFEST_INVALID"),
        (b'{"schemaVersion":1}', 400, "MANIFEST_INVALID"),
        (b"[" * 100_000, 400, "MANIFEST_INVALID"),
        (b" " * ((4 << 20) + 1), 413, "MANIFEST_INVALID"),
    ],
)
def test_what_is_no_manifest(ask: Requests, raw: bytes, status: int, code: str) -> None:
    refused = ask("PUT", "/v2/x/manifests/1", raw, {"Content-Type": media_types.OCI_MANIFEST})
    assert (refused.status, refused.code) == (status, code)
    assert ask("GET", "/v2/x/manifests/1").status == 404


def test_a_manifest_keeps_its_bytes_and_its_media_type(ask: Requests) -> None:
    raw = (
        b'{ "schemaVersion": 2,\n\t"mediaType": "%s", "manifests": null, "other": 1 }'
        % media_types.DOCKER_INDEX.encode()
    )
    headers = {"Content-Type": f"{media_types.DOCKER_INDEX}; charset=utf-8"}
    assert ask("PUT", "/v2/x/manifests/1", raw, headers).status == 201
    got = ask("GET", "/v2/x/manifests/1")
    assert (got.body, got.headers["content-type"]) == (raw, media_types.DOCKER_INDEX)
    fresh = {"If-None-Match": got.headers["etag"]}
    assert ask("GET", "/v2/x/manifests/1", headers=fresh).status == 304
