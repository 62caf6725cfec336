"""What the copies of a build share: arrangements that are valid on several bases, and layers that are packed once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from polyarch.builder.cache.results import LocalResults
from polyarch.builder.perform.copy import arrange, files, placement
from polyarch.builder.perform.copy.arrangements import ArrangementCache
from polyarch.builder.perform.copy.packing import LayerPacker
from polyarch.builder.perform.environment import StepSettings
from polyarch.builder.request.secrets import Secrets
from polyarch.builder.vertices import CopyFiles, CopyPart, VertexId
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Entry
from polyarch.store import Store

COPY = CopyFiles(base=VertexId("base"), parts=(CopyPart(source=VertexId("context"), path="/"),), destination="/srv/")
SETTINGS = StepSettings(
    created="2026-01-01T00:00:00Z", search_path="", compression=Compression(), secrets=Secrets(), proxies={}
)


class LinkedBase:
    """A base whose /srv is a symbolic link."""

    def entry(self, path: str) -> Entry | None:
        return files.ROOT if not path else Entry(path=path, kind="symlink", mode=0o777, link="data")


@pytest.fixture
def store(store_root: Path) -> Iterator[Store]:
    with Store.open(store_root) as opened:
        yield opened


def source() -> files.FlatFiles:
    return files.inline([("one", "1"), ("two", "2")])


def arranged(files_of: files.FlatFiles) -> arrange.Arrangement:
    return arrange.arrange(COPY, [files_of], placement.Empty(), None, arrange.no_archive)


def test_an_arrangement_is_found_for_another_base_that_looks_the_same() -> None:
    cache, context = ArrangementCache(), source()
    cache.add(COPY, [context], None, arranged(context))
    other = msgspec.structs.replace(COPY, base=VertexId("another platform's base"))
    assert cache.find(other, [context], None, placement.Empty()) is not None
    assert cache.find(other, [context], None, LinkedBase()) is None


def test_an_arrangement_is_not_found_for_other_sources_owners_or_options() -> None:
    cache, context = ArrangementCache(), source()
    cache.add(COPY, [context], None, arranged(context))
    assert cache.find(COPY, [source()], None, placement.Empty()) is None
    assert cache.find(COPY, [context], (1, 2), placement.Empty()) is None
    moded = msgspec.structs.replace(COPY, mode="600")
    assert cache.find(moded, [context], None, placement.Empty()) is None


class Packs:
    """`Uploads` that counts how many layers are packed: each begins an upload, if there is a registry for it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.mark.parametrize("no_cache", [False, True])
def test_a_layer_that_several_threads_need_is_packed_once(store: Store, no_cache: bool) -> None:
    packer = LayerPacker(store, LocalResults(store), msgspec.structs.replace(SETTINGS, no_cache=no_cache))
    packs = Packs()
    with ThreadPoolExecutor(4) as pool:
        layers = list(pool.map(lambda _: packer.layer(arranged(source()), None, "", packs), range(8)))
    assert layers == [layers[0]] * 8
    assert packs.count == 1


@pytest.mark.parametrize(("no_cache", "count"), [(False, 0), (True, 1)])
def test_the_next_build_packs_a_layer_again_only_without_the_cache(store: Store, no_cache: bool, count: int) -> None:
    results, packs = LocalResults(store), Packs()
    first = LayerPacker(store, results, SETTINGS).layer(arranged(source()), None)
    packer = LayerPacker(store, results, msgspec.structs.replace(SETTINGS, no_cache=no_cache))
    assert packer.layer(arranged(source()), None, "", packs) == first
    assert packs.count == count


def test_a_copy_that_another_platform_has_packed_is_not_sent_again_while_it_is_made(store: Store) -> None:
    results, packs = LocalResults(store), Packs()
    packer = LayerPacker(store, results, SETTINGS)
    for content in ("1", "2"):
        packer.layer(arranged(files.inline([("one", content)])), None, "COPY one", packs)
    assert packs.count == 1
    # In a later build, a part of the layer has mostly changed.
    LayerPacker(store, results, SETTINGS).layer(arranged(files.inline([("one", "3")])), None, "COPY one", packs)
    assert packs.count == 2
