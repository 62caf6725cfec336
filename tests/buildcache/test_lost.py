"""A layer that a cache named, and lost before a step of the build read it: with every type of cache."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch import progress
from polyarch.buildcache.carrier import Around
from polyarch.buildcache.wanted import CachePlace, CacheSource
from polyarch.builder.cache.lost import LostLayers, attempt
from polyarch.builder.cache.remote import RemoteResults
from polyarch.builder.cache.results import LocalResults
from polyarch.errors import NotFoundError
from polyarch.layers.compression import Compression
from polyarch.oci import digest as digests
from polyarch.secret import Variables
from polyarch.store import Store
from polyarch.transfer.read_through import ReadThroughSource
from scripts.local_registry import LocalRegistry
from tests.buildcache.actions_server import MAIN, ActionsServer, actions_server
from tests.buildcache.buckets import S3Server
from tests.buildcache.making import AMD64, client, key, layer, opened, put

KINDS = ("registry", "local", "gha", "s3")


@pytest.fixture
def actions() -> Iterator[ActionsServer]:
    with actions_server() as one:
        yield one


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_lost_after_the_hit_is_a_miss_of_the_next_attempt(
    kind: str, server: LocalRegistry, buckets: S3Server, actions: ActionsServer, tmp_path: Path
) -> None:
    digest = digests.of(layer("one"))
    bucket = buckets.bucket()
    kinds: dict[str, tuple[dict[str, str], Callable[[], object]]] = {
        "registry": ({"ref": f"{server.address}/lost:cache"}, lambda: server.blob_path(digest).unlink()),
        "local": (
            {"dest": str(tmp_path / "cache"), "src": str(tmp_path / "cache")},
            lambda: (tmp_path / "cache" / "blobs" / digest.replace(":", "/")).unlink(),
        ),
        "gha": ({"url_v2": actions.url, "token": MAIN}, lambda: actions.forget("pack")),
        "s3": (buckets.attributes(bucket), lambda: buckets.remove(bucket, f"blobs/{digest}")),
    }
    place, lose = kinds[kind]
    warnings: list[str] = []

    def emit(event: progress.Event) -> None:
        if isinstance(event, progress.Warned):
            warnings.append(event.message)

    with Store.open(tmp_path / "store") as store, client() as registry:
        carrier = opened(kind, place, store, registry)
        put(carrier, AMD64, "one")
        carrier.close()
        around = Around(store=store, registry=registry, now=0.0, emit=emit)
        losing = [lose]
        misses: list[tuple[str, ...]] = []

        def once(lost: LostLayers) -> str:
            source = ReadThroughSource(store, registry, missing=lost.missing)
            wanted = CacheSource(place=CachePlace(kind, Variables(place)))
            results = RemoteResults(LocalResults(store), [wanted], around, source, (AMD64,), None, lost)
            try:
                found = results.find(key("one"), Compression())
                misses.append(results.misses(key("one")))
                if found is None:
                    return "done"
                assert found.blob is not None
                if losing:
                    losing.pop()()
                source.fetch(found.blob)
                return "found"
            finally:
                results.close()

        assert attempt(once, lambda _: (), emit) == "done"
        assert misses[0] == ()
        # What a directory has is seen when it is read.
        assert misses[1][0].endswith("has no result of it" if kind == "local" else "or lost its layer")
    (warning,) = warnings
    assert digest in warning
    assert "has lost the layer" in warning


def test_what_is_missing_and_came_from_no_cache_is_an_error() -> None:
    def once(lost: LostLayers) -> str:
        lost.missing.add(digests.of(b"a layer of a base"))
        raise NotFoundError("a base is gone")

    with pytest.raises(NotFoundError, match="a base is gone"):
        attempt(once, lambda _: (), progress.ignore)


def test_a_result_with_failures_is_tried_again_if_layers_were_lost() -> None:
    digest = digests.of(b"lost")
    attempts: list[bool] = []

    def once(lost: LostLayers) -> str:
        attempts.append(digest in lost)
        if not attempts[-1]:
            lost.hits[digest] = "the cache"
            lost.missing.add(digest)
            return "one platform failed"
        return ""

    assert attempt(once, lambda result: result, progress.ignore) == ""
    assert attempts == [False, True]
