"""Images as no builder should make them: each has a page, and the page says what is wrong."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import Store
from tests.images import elves
from tests.images.layered import entry, image, index, program
from tests.page import samples
from tests.page.conftest import Get
from tests.page.test_site import outline

SECTIONS = ("", "/-/check", "/-/drift", "/-/packages", "/-/diff")


def put(store: Store, document: dict[str, Any], name: str) -> Descriptor:
    """Write a document as it is, under a name."""
    raw = json.dumps(document).encode()
    descriptor = Descriptor(document["mediaType"], digests.of(raw), len(raw))
    store.put_bytes(descriptor.media_type, raw)
    store.tag(name, descriptor)
    return descriptor


def index_of(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": list(entries), **more}


def listed(descriptor: Descriptor, **more: Any) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size, **more}


def all_pages(get: Get, name: str) -> str:
    """The text of the page of an image; all its other pages and links are looked at, too."""
    text = ""
    for section in SECTIONS:
        answer = get(f"/{name}{section}")
        assert answer.status in (200, 400, 404, 500), section
        shown = outline(answer)
        text = text or shown.text
        for link in shown.links():
            if link.startswith(f"/{name}/") and "lang=" not in link and "/-/" not in link:
                assert get(link).status == 200, link
    return text


def made(store: Store, **config: Any) -> Descriptor:
    return image(store, "linux/amd64", [program("app", elves.elf(kind=2))], config=config, Entrypoint=["/app"])


def test_two_images_for_one_platform(store: Store, get: Get) -> None:
    first, second = made(store), made(store, author="b")
    index(store, "localhost/odd:1", entry(first, "linux/amd64"), entry(second, "linux/amd64"))
    assert "Something is wrong with linux/amd64" in all_pages(get, "odd:1")
    links = outline(get("/odd:1")).links()
    assert {"/odd:1/linux/amd64", f"/odd@{second.digest}"} <= set(links)


@pytest.mark.parametrize(
    "platform",
    [
        {"os": "<script>alert(1)</script>", "architecture": "amd64"},
        {"os": "linux", "architecture": "../../etc/passwd"},
        {"os": "linux", "architecture": "amd64", "variant": "a/b/c?d#e"},
        {"os": "windows", "architecture": "amd64", "os.version": "10.0.17763.1"},
        {"os": "windows", "architecture": "amd64", "os.features": ["win32k", '"><b>']},
        {"os": "-", "architecture": "check"},
        {"os": "linux", "architecture": "\u202egnp"},
        {"os": "linux", "architecture": "index.html"},
    ],
)
def test_a_platform_with_any_name_has_a_page(store: Store, get: Get, platform: dict[str, Any]) -> None:
    put(store, index_of(listed(made(store), platform=platform), listed(made(store, author="x"))), "localhost/odd:1")
    all_pages(get, "odd:1")
    body = get("/odd:1").body.decode()
    assert "<script>alert" not in body
    assert '"><b>' not in body.replace('class="sizes"><b>', "")


def test_nested_indexes_empty_ones_and_entries_of_other_kinds(store: Store, get: Get) -> None:
    inner = index(store, "localhost/inner:1", entry(made(store), "linux/amd64"))
    artifact = samples.artifact(store)
    put(
        store,
        index_of(listed(inner), listed(artifact), {"mediaType": "text/x", "digest": DIGEST, "size": 1}),
        "localhost/odd:1",
    )
    assert "linux/amd64" in all_pages(get, "odd:1")
    put(store, index_of(), "localhost/odd:2")
    assert "This index has no image" in all_pages(get, "odd:2")
    put(
        store,
        index_of({"digest": 7}, listed(made(store), platform={"os": "linux", "architecture": "amd64"})),
        "localhost/odd:3",
    )
    assert "Something is wrong with the index" in all_pages(get, "odd:3")


DIGEST = "sha256:" + "12" * 32


@pytest.mark.parametrize(
    "config",
    [
        {"history": []},
        {"history": [{"created_by": "x"}] * 5},
        {"history": [{"created_by": None, "comment": None}]},
        {"rootfs": {"type": "layers", "diff_ids": []}},
        {"architecture": "", "os": ""},
        {"architecture": "arm64"},
        {"created": "99999-01-01T00:00:00Z"},
        {"config": None},
        {"config": {"Env": ["NOVALUE", "=x", ""], "Labels": {"a": None}, "ExposedPorts": [], "Healthcheck": []}},
        {"config": {"Cmd": {"a": [1, {}]}, "User": 7, "WorkingDir": ["x"], "Volumes": "v"}},
    ],
)
def test_configs_that_contradict_their_image(store: Store, get: Get, config: dict[str, Any]) -> None:
    one = made(store, **config)
    index(store, "localhost/odd:1", entry(one, "linux/amd64"))
    store.tag("localhost/odd:alone", one)
    all_pages(get, "odd:1")
    all_pages(get, "odd:alone")
    assert get("/odd:alone/linux/amd64").status in (200, 404)


def test_parts_that_are_missing_or_damaged(store: Store, get: Get) -> None:
    one = made(store)
    index(store, "localhost/odd:1", entry(one, "linux/amd64"))
    manifest = store.peek(one)
    layer = manifest.layers[0]  # type: ignore[union-attr]
    store.blob_path(layer.digest).unlink()
    assert "Something is wrong with linux/amd64" in all_pages(get, "odd:1")
    store.blob_path(manifest.config.digest).write_bytes(b"{")  # type: ignore[union-attr]
    assert "1 platform is not here" in all_pages(get, "odd:1")
    store.tag("localhost/odd:alone", one)
    all_pages(get, "odd:alone")


def test_an_index_of_very_many_entries_is_shown_in_part_and_soon(store: Store, get: Get) -> None:
    absent = [
        {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": f"sha256:{number:064x}",
            "size": 500,
            "platform": {"os": "linux", "architecture": "amd64", "variant": f"v{number}"},
        }
        for number in range(10_000)
    ]
    put(store, index_of(*absent), "localhost/odd:1")
    begun = time.monotonic()
    answer = get("/odd:1")
    assert time.monotonic() - begun < 5
    assert "The index has 9,800 more entries that are not shown." in outline(answer).text
    assert len(answer.body) < 1_000_000


def test_what_another_repository_has_about_the_same_image_is_not_shown(store: Store) -> None:
    from polyarch.page.site import Site
    from tests.page.serving import NamedImages

    class Separate(NamedImages):
        def referrers(self, repository: str, subject: Digest) -> tuple[Descriptor, ...]:
            return tuple(super().referrers(repository, subject)) if repository == "private/app" else ()

    samples.attested(store, "localhost/private/app:1")
    store.tag("localhost/team/app:1", store.resolve("localhost/private/app:1"))
    site = Site(store, Separate(store), clock=lambda: samples.NOW)
    signature = b"application/vnd.dev.sigstore.bundle"
    for path in ("", "/linux/amd64", "/-/check"):
        assert signature not in site.respond(f"/team/app:1{path}", {}, "en").body
    assert signature in site.respond("/private/app:1", {}, "en").body
    site.respond("/private/app:1/-/check", {}, "en")
    assert signature not in site.respond("/team/app:1", {}, "en").body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1 << 40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["history", "config", "rootfs", "created", "os", "architecture", "author", "variant"]), json_values
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_in_a_config_gives_a_page(store: Store, get: Get, field: str, value: Any) -> None:
    one = made(store, **{field: value})
    index(store, "localhost/odd:1", entry(one, "linux/amd64"))
    for path in ("/odd:1", "/odd:1/linux/amd64", "/odd"):
        answer = get(path)
        assert answer.status == 200
        outline(answer)


@given(json_values)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_in_a_provenance_or_sbom_gives_a_page(store: Store, get: Get, value: Any) -> None:
    from polyarch.oci import attestation

    one = made(store)
    bill = samples.statement(store, one, samples.SPDX, value)
    claim = samples.statement(store, one, attestation.PROVENANCE_V1, {"buildDefinition": value, "runDetails": value})
    about = [attestation.entry(manifest, one.digest) for manifest in (bill, claim)]
    index(store, "localhost/odd:1", entry(one, "linux/amd64"), *about)
    for path in ("/odd:1", "/odd:1/-/packages"):
        answer = get(path)
        assert answer.status == 200
        outline(answer)
