"""A cache as documents: the round trip, and documents that others may have written."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from polyarch.buildcache import documents
from polyarch.buildcache.values import (
    MOST_ENTRIES,
    CachedLayer,
    CachedMount,
    CachedVerdict,
    PlatformCache,
    merged,
    tidied,
    unused_since,
)
from polyarch.errors import CorruptError, PolyarchError, UnsupportedError
from polyarch.oci import digest as digests
from polyarch.oci import document as oci_documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from tests.buildcache.making import AMD64, ARM64, cache, descriptor, entry, key, layer

_NAMES = some.lists(some.text(min_size=1, max_size=4), unique=True, max_size=5)
_DAYS = some.dates().map(str)


def refuse(config: Descriptor) -> bytes:
    raise AssertionError(f"{config} is in the manifest")


def decoded(encoded: documents.Encoded) -> PlatformCache:
    return documents.decode(encoded.manifest, refuse)


def rewritten(change: Any) -> Manifest:
    """The manifest of a small cache, with a changed config in its place."""
    encoded = documents.encode(cache("one"))
    config = json.loads(encoded.content)
    changed = change(config)
    content = changed if isinstance(changed, bytes) else json.dumps(config if changed is None else changed).encode()
    document = encoded.manifest.decode()
    document["config"] = {
        "mediaType": documents.CONFIG,
        "digest": digests.of(content),
        "size": len(content),
        "data": base64.b64encode(content).decode(),
    }
    manifest = oci_documents.load(oci_documents.encode(document))
    assert isinstance(manifest, Manifest)
    return manifest


@given(_NAMES, some.datetimes(), _DAYS)
def test_a_cache_survives_its_documents(names: list[str], made: Any, day: str) -> None:
    created = made.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    small = cache(*names)
    entries = {
        name: msgspec.structs.replace(one, created=created, used=day, notes=(("Rule", "text"),))
        for name, one in small.entries.items()
    }
    mounts = {"go": CachedMount(blob=digests.of(b"m"), diff_id=digests.of(b"d"), created=created, used=day)}
    blobs = {**small.blobs, digests.of(b"m"): descriptor(b"m")}
    verdicts = {"f" * 64: CachedVerdict(content=b"good", used=day)}
    whole = tidied(PlatformCache(entries=entries, mounts=mounts, verdicts=verdicts, blobs=blobs))
    encoded = documents.encode(whole)
    assert decoded(encoded) == whole
    assert documents.encode(decoded(encoded)) == encoded
    assert documents.from_json(documents.to_json(whole)) == whole


@given(_NAMES, _NAMES)
def test_merging_loses_nothing_and_has_an_end(first: list[str], second: list[str]) -> None:
    one, two = cache(*first), cache(*second)
    both = merged(one, two)
    assert both.entries.keys() == one.entries.keys() | two.entries.keys()
    assert both.blobs.keys() == one.blobs.keys() | two.blobs.keys()
    assert merged(both, two) == both
    assert merged(both, one) == both


def test_the_newest_of_two_layers_is_kept_and_the_making_of_the_same() -> None:
    old = entry("x", "2026-01-01T00:00:00Z", "2026-01-01")
    again = entry("x", "2026-02-01T00:00:00Z", "2026-02-01")
    other = msgspec.structs.replace(again, blob=digests.of(layer("other")))
    blobs = {blob.digest: blob for blob in (descriptor(layer("x")), descriptor(layer("other")))}

    def of(one: CachedLayer) -> PlatformCache:
        return PlatformCache(entries={key("x"): one}, blobs=blobs)

    same = merged(of(old), of(again)).entries[key("x")]
    assert (same.created, same.used) == (old.created, again.used)
    assert merged(of(old), of(other)).entries[key("x")].blob == other.blob
    assert merged(of(other), of(old)).entries[key("x")].blob == other.blob
    assert list(merged(of(old), of(other)).blobs) == [other.blob]


def test_what_a_build_still_has_is_used_and_the_rest_ages() -> None:
    found = merged(cache("old", "needed"), PlatformCache(), {key("needed")}, "2027-01-01")
    assert found.entries[key("needed")].used == "2027-01-01"
    assert unused_since(found, "2026-12-31").entries.keys() == {key("needed")}
    assert unused_since(found, "").entries.keys() == {key("needed"), key("old")}


def test_the_least_recently_used_is_left_out() -> None:
    one = entry("x")
    entries = {
        key(str(n)): msgspec.structs.replace(one, used=f"2026-01-{n % 2 + 1:02}") for n in range(MOST_ENTRIES + 2)
    }
    kept = tidied(PlatformCache(entries=entries, blobs=cache("x").blobs)).entries
    assert len(kept) == MOST_ENTRIES
    assert sum(one.used == "2026-01-02" for one in kept.values()) == MOST_ENTRIES // 2 + 1


def test_an_index_says_which_keys_a_platform_may_have() -> None:
    small = cache("one", "two")
    found = documents.entry(documents.encode(small), small, AMD64)
    assert documents.may_have(found, key("one"))
    assert not documents.may_have(found, key("three"))
    assert documents.may_have(msgspec.structs.replace(found, annotations={documents.KEYS: "?"}), key("three"))
    index = documents.create_index([found, msgspec.structs.replace(found, platform=ARM64)])
    assert documents.kind_of(index) == "ours"
    assert list(documents.entries(index)) == [AMD64, ARM64]


HOSTILE: dict[str, Any] = {
    "a key is no digest": lambda config: config["entries"].update(nokey=config["entries"].pop(key("one"))),
    "a blob that the manifest does not name": lambda config: config["entries"][key("one")].update(
        blob=digests.of(b"elsewhere")
    ),
    "a diff id that is none": lambda config: config["entries"][key("one")].update(diffID="sha256:../../etc/passwd"),
    "a time that is none": lambda config: config["entries"][key("one")].update(created="yesterday\x1b[31m"),
    "a day that is none": lambda config: config["entries"][key("one")].update(used="9999"),
    "an endless step": lambda config: config["entries"][key("one")].update(step="x" * 100_000),
    "an entry of another type": lambda config: config["entries"].update({key("one"): [1]}),
    "no entries": lambda config: {"version": 1},
}


@pytest.mark.parametrize("change", HOSTILE)
def test_an_entry_that_cannot_be_used_does_not_exist(change: str) -> None:
    found = documents.decode(rewritten(HOSTILE[change]), refuse)
    assert found.entries == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"{", "malformed"),
        (lambda _: b"[]", "malformed"),
        (lambda _: {"version": 1, "entries": 3}, "malformed"),
        (lambda _: b'{"version": 1, "entries": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}", "nested"),
    ],
)
def test_a_damaged_config_is_an_error(change: Any, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        documents.decode(rewritten(change), refuse)


def test_a_newer_version_is_not_read() -> None:
    with pytest.raises(UnsupportedError, match="the format 2"):
        documents.decode(rewritten(lambda config: {**config, "version": 2}), refuse)


def test_a_config_that_lies_about_itself_is_an_error() -> None:
    document = documents.encode(cache("one")).manifest.decode()
    document["config"]["data"] = base64.b64encode(b"{}").decode()
    manifest = oci_documents.load(oci_documents.encode(document))
    assert isinstance(manifest, Manifest)
    with pytest.raises(CorruptError):
        documents.decode(manifest, refuse)
    document["config"] |= {"size": (64 << 20) + 1, "data": ""}
    huge = oci_documents.load(oci_documents.encode(document))
    assert isinstance(huge, Manifest)
    with pytest.raises(CorruptError, match="more than the allowed"):
        documents.decode(huge, refuse)


def test_a_large_config_is_a_blob_of_its_own() -> None:
    one = entry("x")
    entries = {key(str(n)): msgspec.structs.replace(one, step="y" * 200) for n in range(3_000)}
    whole = tidied(PlatformCache(entries=entries, blobs=cache("x").blobs))
    encoded = documents.encode(whole)
    assert len(encoded.manifest.raw) < 10_000
    assert documents.decode(encoded.manifest, lambda config: encoded.content) == whole


def test_descriptors_of_a_cache_lead_nowhere_else() -> None:
    document = documents.encode(cache("one")).manifest.decode()
    document["layers"][0] |= {
        "urls": ["http://169.254.169.254/"],
        "data": "eA==",
        "annotations": {"org.polyarch.layer.toc": "1 x", "org.polyarch.cache.part": "z", "evil": "\x1b"},
    }
    manifest = oci_documents.load(oci_documents.encode(document))
    assert isinstance(manifest, Manifest)
    (blob,) = documents.decode(manifest, refuse).blobs.values()
    assert (blob.urls, blob.data) == ((), "")
    assert documents.layer_descriptor(blob).annotations == {"org.polyarch.layer.toc": "1 x"}


BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"config": {"mediaType": BUILDKIT}, "layers": []}, "buildkit"),
        ({"manifests": [{"mediaType": media_types.OCI_LAYER_GZIP}, {"mediaType": BUILDKIT}]}, "buildkit"),
        ({"config": {"mediaType": media_types.OCI_CONFIG}, "layers": []}, "image"),
        ({"manifests": [{"mediaType": media_types.OCI_MANIFEST}]}, "image"),
        ({"config": {"mediaType": "application/vnd.oci.empty.v1+json"}, "layers": []}, "other"),
        ({"config": {"mediaType": "application/vnd.polyarch.cache.config.v2+json"}, "layers": []}, "newer"),
        ({"artifactType": "application/vnd.polyarch.cache.v7+json", "manifests": []}, "newer"),
    ],
)
def test_what_is_no_cache_of_ours_is_told_apart(document: dict[str, Any], kind: str) -> None:
    for part in (document.get("config"), *document.get("manifests", ())):
        if part is not None:
            part |= {"digest": digests.of(b"x"), "size": 1}
    read = oci_documents.load(json.dumps({"schemaVersion": 2, **document}).encode())
    assert documents.kind_of(read) == kind
    with pytest.raises(UnsupportedError):
        documents.require_ours(read, "it")


@given(some.binary(max_size=200))
def test_any_bytes_are_a_cache_or_an_error(raw: bytes) -> None:
    try:
        documents.from_json(raw)
    except PolyarchError:
        return
