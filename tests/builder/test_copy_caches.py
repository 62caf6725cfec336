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
from polyarch.errors import NotFoundError
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Content, Entry
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


class Stage(files.StageFiles):
    """A stage of one platform whose files are in a directory, unpacked."""

    def __init__(self, root: Path, contents: dict[str, bytes], *, time: int = 1, mode: int = 0o644) -> None:
        root.mkdir()
        for name, content in contents.items():
            (root / name).write_bytes(content)
        entries = [
            Entry(path=name, kind="file", mode=mode, size=len(content), mtime=time)
            for name, content in contents.items()
        ]
        self._files = files.FlatFiles(entries, lambda path: str(root / path), lambda path: f"{root} {path}")

    def entry(self, path: str) -> Entry | None:
        return self._files.entry(path)

    def names(self, path: str) -> tuple[str, ...]:
        return self._files.names(path)

    def inode(self, path: str) -> str:
        return self._files.inode(path)

    def content(self, path: str) -> Content:
        return self._files.content(path)

    def fingerprint(self, path: str) -> str:
        return self._files.fingerprint(path)


def of_stage(stage: Stage) -> arrange.Arrangement:
    return arrange.arrange(COPY, [stage], placement.Empty(), None, arrange.no_archive)


LARGE = bytes(range(256)) * 10_000
FILES = {"page": b"hello", "table": LARGE, "empty": b""}


def test_a_copy_whose_stages_have_the_same_files_on_all_platforms_is_packed_once(store: Store, tmp_path: Path) -> None:
    packer, packs = LayerPacker(store, LocalResults(store), SETTINGS), Packs()
    stages = [Stage(tmp_path / f"{number}", FILES) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        layers = list(pool.map(lambda stage: packer.layer(of_stage(stage), None, "COPY", packs), stages))
    assert layers == [layers[0]] * 6
    assert packs.count == 1
    # The next build finds the layer of each platform by its own key.
    again = LayerPacker(store, LocalResults(store), SETTINGS)
    assert [again.layer(of_stage(stage), None, "COPY", packs) for stage in stages] == layers
    assert packs.count == 1


@pytest.mark.parametrize(
    ("contents", "time", "mode"),
    [
        ({**FILES, "page": b"hallo"}, 1, 0o644),
        ({**FILES, "table": LARGE[:-1] + b"x"}, 1, 0o644),
        ({**FILES, "table": LARGE + b"x"}, 1, 0o644),
        ({**FILES, "more": b""}, 1, 0o644),
        ({"page": b"hello", "table": LARGE}, 1, 0o644),
        (FILES, 2, 0o644),
        (FILES, 1, 0o755),
    ],
    ids=["a byte", "the last byte", "a size", "a file more", "a file less", "times", "modes"],
)
def test_copies_that_differ_are_packed_each(
    store: Store, tmp_path: Path, contents: dict[str, bytes], time: int, mode: int
) -> None:
    packer = LayerPacker(store, LocalResults(store), SETTINGS)
    one = packer.layer(of_stage(Stage(tmp_path / "one", FILES)), None, "COPY")
    other = packer.layer(of_stage(Stage(tmp_path / "other", contents, time=time, mode=mode)), None, "COPY")
    assert other.diff_id != one.diff_id
    alone = LayerPacker(store, LocalResults(store), msgspec.structs.replace(SETTINGS, no_cache=True))
    stage = Stage(tmp_path / "alone", contents, time=time, mode=mode)
    assert alone.layer(of_stage(stage), None, "COPY").diff_id == other.diff_id


def test_a_copy_that_fails_does_not_keep_an_equal_one_from_being_packed(store: Store, tmp_path: Path) -> None:
    packer = LayerPacker(store, LocalResults(store), SETTINGS)
    gone = Stage(tmp_path / "gone", FILES)
    (tmp_path / "gone" / "table").unlink()
    with pytest.raises(NotFoundError):
        packer.layer(of_stage(gone), None, "COPY")
    whole = Stage(tmp_path / "whole", FILES)
    assert packer.layer(of_stage(whole), None, "COPY").blob is not None
