"""Reading the directory that a RUN wrote: layer entries, and where their content is."""

import os
import tracemalloc
from pathlib import Path

from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import on
from polyarch.contents.unpack import Unpacker
from polyarch.contents.unpacked import UnpackedLayer
from polyarch.layers.content import read_whole
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store import Store
from polyarch.transfer.read_through import ReadThroughSource


def test_each_file_is_found_with_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"content")
    os.link(tmp_path / "d" / "f", tmp_path / "d" / "g")
    (tmp_path / "l").symlink_to("d/f")
    snapshot = UnpackedLayer(str(tmp_path))
    found = {entry.path: (entry.kind, snapshot.content(entry)) for entry in snapshot.listing.entries}
    assert [(path, kind) for path, (kind, _) in found.items()] == [
        ("d", "directory"),
        ("d/f", "file"),
        ("d/g", "hardlink"),
        ("l", "symlink"),
    ]
    assert [path for path, (_, content) in found.items() if content is not None] == ["d/f"]
    file = next(entry for entry in snapshot.listing.entries if entry.path == "d/f")
    content = snapshot.content(file)
    assert content is not None
    assert read_whole(file, content) == b"content"


def test_a_file_takes_little_memory(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / str(number)).touch()
    assert UnpackedLayer(str(tmp_path)).listing.entries
    tracemalloc.start()
    try:
        snapshot = UnpackedLayer(str(tmp_path))
        assert snapshot.listing.entries
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / len(snapshot.listing.entries) < 600


def test_hundreds_of_unpacked_layers_are_one_file_system(store: Store, tmp_path: Path) -> None:
    layers = []
    for number in range(150):
        key = f"{number:064x}"
        with store.snapshots.prepare(key) as prepared:
            (prepared.path / f"f{number % 100}").write_text(str(number))
            prepared.commit()
        layers.append(Layer(snapshot=key))
    with Registry(Hosts(), Credentials(None), "polyarch-test") as registry:
        source = ReadThroughSource(store, registry)
        filesystems = Filesystems(store, source, Unpacker(store, source), tmp_path)
        stack = on(None, layers)
        found = filesystems.tree(stack)
        assert len(found.children("")) == 100
        assert filesystems.text(stack, "f7") == "107"
        assert filesystems.text(stack, "f77") == "77"
        assert filesystems.text(stack, "f300") is None
        filesystems.close()
