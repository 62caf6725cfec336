"""What only GitHub's cache service and S3 can do to a cache."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from polyarch.buildcache import actions, documents
from polyarch.buildcache.actions import ActionsCarrier
from polyarch.buildcache.actions_service import VERSION
from polyarch.buildcache.actions_token import ActionsScope
from polyarch.buildcache.carrier import Around
from polyarch.buildcache.s3 import S3Carrier
from polyarch.buildcache.s3_client import S3Client
from polyarch.buildcache.values import PlatformCache, merged
from polyarch.errors import ConflictError, CorruptError, NotFoundError, UnsupportedError, UsageError
from polyarch.store import Store
from tests.buildcache.actions_server import FORK, MAIN, NOW, PULL, ActionsServer, actions_server, token
from tests.buildcache.buckets import S3Server, s3_server
from tests.buildcache.making import AMD64, ARM64, cache, client, descriptor, key, layer, put, steps


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    with Store.open(tmp_path / "store") as store, client() as registry:
        yield Around(store=store, registry=registry, now=NOW)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ActionsServer]:
    monkeypatch.setattr(actions, "_PAUSE", 0.01)
    monkeypatch.setattr(actions, "_PATIENCE", 0.03)
    with actions_server() as running:
        yield running


def job(server: ActionsServer, around: Around, text: str = MAIN, scope: str = "buildkit") -> ActionsCarrier:
    return ActionsCarrier({"url_v2": server.url, "token": text, "scope": scope}, around)


MAIN_REF = "refs/heads/main"


def key_of(server: ActionsServer, part: str) -> str:
    """The newest key with this in it."""
    return [name for name in server.keys(MAIN_REF) if part in name][-1]


# ── GitHub's cache service


def test_a_pull_request_reads_its_own_cache_and_that_of_its_target(server: ActionsServer, around: Around) -> None:
    put(job(server, around), AMD64, "main")
    put(job(server, around, PULL), AMD64, "pull")
    assert steps(job(server, around, PULL), AMD64) == {"main", "pull"}
    assert steps(job(server, around, FORK), AMD64) == {"main"}
    assert steps(job(server, around), AMD64) == {"main"}


def test_scopes_whose_names_begin_alike_are_different_caches(server: ActionsServer, around: Around) -> None:
    put(job(server, around, scope="app"), AMD64, "one")
    put(job(server, around, scope="app2"), AMD64, "two")
    put(job(server, around, scope="app-linux"), AMD64, "three")
    assert steps(job(server, around, scope="app"), AMD64) == {"one"}
    with pytest.raises(NotFoundError):
        job(server, around, scope="ap").read(AMD64)


def test_small_blobs_are_one_entry_and_are_read_from_its_middle(server: ActionsServer, around: Around) -> None:
    put(job(server, around), AMD64, *(f"step {number}" for number in range(20)))
    assert sum("pack" in name for name in server.keys(MAIN_REF)) == 1
    assert server.methods().count("CreateCacheEntry") == 3
    carrier = job(server, around)
    assert len(steps(carrier, AMD64)) == 20
    found = carrier.read(AMD64)
    assert found is not None
    blob = found.blobs[descriptor(layer("step 7")).digest]
    assert carrier.read_range(blob, 2, 5) == layer("step 7")[2:7]
    assert carrier.read_range(blob, blob.size - 3, 50) == layer("step 7")[-3:]


def test_a_large_blob_has_an_entry_of_its_own_which_is_not_written_twice(
    server: ActionsServer, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_SMALL", 10)
    put(job(server, around), AMD64, "one")
    put(job(server, around), ARM64, "one", "two")
    assert sum("blob" in name for name in server.keys(MAIN_REF)) == 2
    assert steps(job(server, around), ARM64) == {"one", "two"}


def test_a_key_whose_upload_died_is_passed_over(
    server: ActionsServer, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_SMALL", 10)
    carrier = job(server, around)
    service, _ = carrier._service()
    blob = descriptor(layer("one"))
    service._reserve(actions._blob_keys(blob.digest)[0])
    service._reserve(carrier._name("linux-amd64", "refs/heads/main") + "1")
    put(carrier, AMD64, "one")
    assert steps(job(server, around), AMD64) == {"one"}
    assert key_of(server, "linux-amd64").endswith("#2")
    assert key_of(server, "blob").endswith("-2")


def test_a_writer_that_was_taken_for_dead_loses_nothing_and_overwrites_nothing(
    server: ActionsServer, around: Around
) -> None:
    slow = job(server, around)
    service, _ = slow._service()
    name = slow._name("linux-amd64", "refs/heads/main")
    put(job(server, around), AMD64, "first")
    url = service._reserve(f"{name}2")
    put(job(server, around), AMD64, "second")
    assert key_of(server, "linux-amd64").endswith("#3")
    # Now the slow one finishes number 2, which so becomes the newest, and looks again as every writer does.
    old = merged(documents.from_json(server.content(f"{name}1")), cache("slow"))
    content = documents.to_json(old)
    service._put(url, content, "", {"x-ms-blob-type": "BlockBlob"})
    finished = {"key": f"{name}2", "version": VERSION, "size_bytes": str(len(content))}
    assert service._call("FinalizeCacheEntryUpload", finished, "")["ok"]
    server.touch(f"{name}2")
    put(slow, AMD64, "slow")
    assert steps(job(server, around), AMD64) == {"first", "second", "slow"}


def test_a_layer_that_the_service_removed_is_not_there(server: ActionsServer, around: Around) -> None:
    put(job(server, around), AMD64, "one")
    server.forget("pack")
    carrier = job(server, around)
    found = carrier.read(AMD64)
    assert found is not None
    blob = found.blobs[descriptor(layer("one")).digest]
    assert not carrier.has_blob(blob)
    with pytest.raises(NotFoundError, match="has no sha256"):
        carrier.open_blob(blob)
    assert not job(server, around).has_blob(descriptor(layer("one")))


@pytest.mark.parametrize("place", ["", "polyarch-1-pack-0 x", "polyarch-1-pack-0 -1", "other 0", "0", "a" * 600 + " 0"])
def test_a_cache_that_lies_about_a_place_is_corrupt(server: ActionsServer, around: Around, place: str) -> None:
    put(job(server, around), AMD64, "one")
    carrier = job(server, around)
    found = carrier.read(AMD64)
    assert found is not None
    blob = found.blobs[descriptor(layer("one")).digest]
    lying = msgspec.structs.replace(blob, annotations={actions.PLACE: place})
    for ask in (carrier.has_blob, carrier.open_blob):
        with pytest.raises(CorruptError, match="does not say where"):
            ask(lying)


def test_an_entry_that_is_shorter_or_other_than_the_cache_says_is_corrupt(
    server: ActionsServer, around: Around
) -> None:
    put(job(server, around), AMD64, "one", "two")
    found = job(server, around).read(AMD64)
    assert found is not None
    server.short = 5
    last = max(found.blobs.values(), key=lambda blob: int(blob.annotations[actions.PLACE].split()[1]))
    with job(server, around).open_blob(last) as reader, pytest.raises(CorruptError):
        reader.read()
    server.short = 0
    name = last.annotations[actions.PLACE].split()[0]
    moved = msgspec.structs.replace(last, annotations={actions.PLACE: f"{name} 1"})
    with job(server, around).open_blob(moved) as reader, pytest.raises(CorruptError):
        reader.read()


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"config":{"version":1}}' + b" " * 100, b'{"config":5}'])
def test_a_damaged_index_is_corrupt_or_empty_and_is_replaced(server: ActionsServer, around: Around, raw: bytes) -> None:
    carrier = job(server, around)
    service, _ = carrier._service()
    name = carrier._name("linux-amd64", "refs/heads/main")
    service.save(f"{name}1", io.BytesIO(raw), len(raw))
    if raw.startswith(b'{"config":{'):
        assert carrier.read(AMD64) == PlatformCache()
    else:
        with pytest.raises(CorruptError):
            carrier.read(AMD64)
    put(job(server, around), AMD64, "one")
    assert steps(job(server, around), AMD64) == {"one"}


def test_a_cache_of_a_newer_format_is_neither_used_nor_replaced(server: ActionsServer, around: Around) -> None:
    carrier = job(server, around)
    service, _ = carrier._service()
    raw = json.dumps({"config": {"version": 99}}).encode()
    service.save(f"{carrier._name('linux-amd64', 'refs/heads/main')}1", io.BytesIO(raw), len(raw))
    with pytest.raises(UnsupportedError):
        carrier.read(AMD64)
    with pytest.raises(ConflictError):
        put(job(server, around), AMD64, "one")


def test_a_token_that_has_expired_is_an_error_when_it_is_used(server: ActionsServer, around: Around) -> None:
    carrier = job(server, around, token(("refs/heads/main", 3), expires=NOW - 5))
    with pytest.raises(UsageError, match="expired at"):
        carrier.read(AMD64)
    assert ActionsScope("x", 1).is_readable


# ── S3


@pytest.fixture(scope="module")
def buckets() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def test_a_cache_of_buildkit_is_named_as_such_and_stays(buckets: S3Server, around: Around) -> None:
    attributes = buckets.attributes(buckets.bucket())
    buckets.write(attributes["bucket"], "manifests/buildkit", b'{"layers":[],"records":[]}')
    with pytest.raises(UnsupportedError, match="cache that BuildKit made"):
        S3Carrier(attributes, around).platforms()
    with pytest.raises(UnsupportedError, match="cache that BuildKit made"):
        S3Carrier(attributes, around).read(AMD64)
    put(S3Carrier(attributes, around), AMD64, "one")
    assert steps(S3Carrier(attributes, around), AMD64) == {"one"}
    assert "manifests/buildkit" in buckets.keys(attributes["bucket"])


def test_every_name_is_written_and_the_first_is_read(buckets: S3Server, around: Around) -> None:
    attributes = buckets.attributes(buckets.bucket())
    put(S3Carrier({**attributes, "name": "a;a/b"}, around), AMD64, "one")
    put(S3Carrier({**attributes, "name": "a"}, around), ARM64, "two")
    assert S3Carrier({**attributes, "name": "a/b;c"}, around).platforms() == (AMD64,)
    assert set(S3Carrier({**attributes, "name": "a"}, around).platforms()) == {AMD64, ARM64}
    with pytest.raises(NotFoundError):
        S3Carrier({**attributes, "name": "c"}, around).platforms()


def test_old_blobs_are_renewed_and_those_of_a_wrong_size_are_sent_again(buckets: S3Server, around: Around) -> None:
    attributes = buckets.attributes(buckets.bucket())
    put(S3Carrier(attributes, around), AMD64, "one")
    blob = descriptor(layer("one"))
    before = buckets.modified(attributes["bucket"], f"blobs/{blob.digest}")
    later = msgspec.structs.replace(around, now=before.timestamp() + 90_000)
    assert S3Carrier({**attributes, "touch_refresh": "48h"}, later).has_blob(blob)
    assert buckets.modified(attributes["bucket"], f"blobs/{blob.digest}") == before
    assert buckets.metadata(attributes["bucket"], f"blobs/{blob.digest}") == {}
    assert S3Carrier(attributes, later).has_blob(blob)
    assert "updated-at" in buckets.metadata(attributes["bucket"], f"blobs/{blob.digest}")
    buckets.write(attributes["bucket"], f"blobs/{blob.digest}", b"cut off")
    assert not S3Carrier(attributes, around).has_blob(blob)


def test_a_bucket_that_has_something_else_in_it_is_corrupt(buckets: S3Server, around: Around) -> None:
    attributes = buckets.attributes(buckets.bucket())
    buckets.write(attributes["bucket"], "manifests/buildkit/linux-amd64", b"something else")
    buckets.write(attributes["bucket"], "manifests/buildkit/neither", b"")
    carrier = S3Carrier(attributes, around)
    assert carrier.platforms() == (AMD64,)
    with pytest.raises(CorruptError):
        carrier.read(AMD64)
    put(S3Carrier(attributes, around), AMD64, "one")
    assert S3Carrier(attributes, around).may_have(AMD64, key("one"))


@pytest.mark.parametrize("conditions", [True, False])
def test_writers_lose_nothing_whether_or_not_the_service_knows_conditional_writes(
    buckets: S3Server, around: Around, monkeypatch: pytest.MonkeyPatch, conditions: bool
) -> None:
    if not conditions:
        original = S3Client.put
        monkeypatch.setattr(S3Client, "put", lambda self, key, content, unless=None: original(self, key, content))
    attributes = buckets.attributes(buckets.bucket())
    names = [f"step {number}" for number in range(4)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: put(S3Carrier(attributes, around), AMD64, name), names))
    assert steps(S3Carrier(attributes, around), AMD64) == set(names)
