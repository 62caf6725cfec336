"""What every carrier does: the registry and the directory here; a new type is one more parameter of `open_new`."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyarch.buildcache.carrier import Carrier
from polyarch.buildcache.values import PlatformCache, merged
from polyarch.errors import NotFoundError
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.store import Store
from scripts.local_registry import LocalRegistry
from tests.buildcache.actions_server import MAIN, ActionsServer, actions_server
from tests.buildcache.buckets import S3Server
from tests.buildcache.making import AMD64, ARM64, Open, cache, client, key, opened, put, steps


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> Iterator[ActionsServer]:
    monkeypatch.setattr("polyarch.buildcache.actions._PAUSE", 0.05)
    with actions_server() as one:
        yield one


@pytest.fixture(params=["registry", "local", "gha", "s3"])
def open_new(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: LocalRegistry,
    buckets: S3Server,
    actions: ActionsServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Open]:
    """Opens the same cache again and again, each time as another process would."""
    made: list[Carrier] = []
    registries = []
    place = {"ref": f"{server.address}/caches/{tmp_path_factory.mktemp('name').name}:cache"}
    if request.param == "local":
        place = {"dest": str(tmp_path / "cache"), "src": str(tmp_path / "cache")}
    elif request.param == "gha":
        place = {"url_v2": actions.url, "token": MAIN}
    elif request.param == "s3":
        place = buckets.attributes(buckets.bucket())
    with Store.open(tmp_path / "store") as store:

        def make() -> Carrier:
            registries.append(client())
            made.append(opened(request.param, place, store, registries[-1]))
            return made[-1]

        yield make
        for carrier in made:
            carrier.close()
        for registry in registries:
            registry.close()


def test_what_is_written_is_read(open_new: Open) -> None:
    put(open_new(), AMD64, "make", "test")
    carrier = open_new()
    assert carrier.platforms() == (AMD64,)
    assert steps(carrier, AMD64) == {"make", "test"}
    assert carrier.read(ARM64) is None
    assert carrier.may_have(AMD64, key("make"))
    assert not carrier.may_have(AMD64, key("other"))
    assert not carrier.may_have(ARM64, key("make"))


def test_a_cache_that_is_not_there_is_not_found(open_new: Open) -> None:
    carrier = open_new()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            carrier.platforms()
        with pytest.raises(NotFoundError):
            carrier.read(AMD64)
        with pytest.raises(NotFoundError):
            carrier.may_have(AMD64, key("make"))


def test_platforms_do_not_overwrite_each_other(open_new: Open) -> None:
    put(open_new(), AMD64, "one")
    put(open_new(), ARM64, "two")
    put(open_new(), AMD64, "three")
    carrier = open_new()
    assert set(carrier.platforms()) == {AMD64, ARM64}
    assert steps(carrier, AMD64) == {"one", "three"}
    assert steps(carrier, ARM64) == {"two"}


def test_a_carrier_reads_what_it_wrote(open_new: Open) -> None:
    carrier = open_new()
    put(carrier, AMD64, "one")
    assert steps(carrier, AMD64) == {"one"}
    put(carrier, AMD64, "two")
    assert steps(carrier, AMD64) == {"one", "two"}


def test_entries_can_be_removed(open_new: Open) -> None:
    put(open_new(), AMD64, "one", "two")

    def without(known: PlatformCache | None) -> PlatformCache:
        assert known is not None
        entries = {name: one for name, one in known.entries.items() if name != key("one")}
        return merged(None, PlatformCache(entries=entries, blobs=known.blobs))

    open_new().write(AMD64, without)
    assert steps(open_new(), AMD64) == {"two"}


@pytest.mark.parametrize("platforms", [(AMD64, ARM64), (AMD64, AMD64), (AMD64, ARM64, AMD64, ARM64)])
def test_writers_at_the_same_time_lose_nothing(open_new: Open, platforms: tuple[Platform, ...]) -> None:
    start = threading.Barrier(len(platforms))
    wanted: dict[Platform, set[str]] = {}

    def write(name: str, platform: Platform) -> None:
        carrier = open_new()
        start.wait()
        put(carrier, platform, name)

    with ThreadPoolExecutor(len(platforms)) as pool:
        for number in range(3):
            names = [f"{number}-{writer}" for writer in range(len(platforms))]
            for name, platform in zip(names, platforms, strict=True):
                wanted.setdefault(platform, set()).add(name)
            list(pool.map(write, names, platforms))
            carrier = open_new()
            assert {platform: steps(carrier, platform) for platform in wanted} == wanted


def test_nothing_is_written_twice(open_new: Open, server: LocalRegistry) -> None:
    put(open_new(), AMD64, "one")
    before = len(server.requests())
    carrier = open_new()
    carrier.write(AMD64, lambda known: merged(known, cache("one")))
    writes = [line for line in server.requests()[before:] if not line.startswith(("GET", "HEAD"))]
    assert writes == []


def test_a_platform_that_the_index_lacks_is_read_by_its_own_tag(server: LocalRegistry, tmp_path: Path) -> None:
    """An index that another program wrote, or that a writer has not changed yet."""
    name = f"{server.address}/caches/unlisted"
    with Store.open(tmp_path / "store") as store, client() as registry:
        for tag, platform, step in (("cache", AMD64, "one"), ("cache", ARM64, "two"), ("other", AMD64, "three")):
            put(opened("registry", {"ref": f"{name}:{tag}"}, store, registry), platform, step)
        repository = registry.repository(references.parse(f"{name}:other"))
        index, raw = repository.fetch_manifest("other")
        repository.write_manifest(index, raw, "cache")
        found = opened("registry", {"ref": f"{name}:cache"}, store, registry)
        assert found.platforms() == (AMD64,)
        before = len(server.requests())
        assert not found.may_have(ARM64, key("one"))
        assert found.may_have(ARM64, key("two"))
        assert steps(found, ARM64) == {"two"}
        assert len([line for line in server.requests()[before:] if "/manifests/" in line]) == 1
        assert steps(found, AMD64) == {"three"}
        # A write lists it again, with what it had.
        put(found, ARM64, "four")
        again = opened("registry", {"ref": f"{name}:cache"}, store, registry)
        assert set(again.platforms()) == {AMD64, ARM64}
        assert steps(again, ARM64) == {"two", "four"}
        by_digest = opened("registry", {"ref": f"{name}@{index.digest}"}, store, registry)
        assert by_digest.read(ARM64) is None
