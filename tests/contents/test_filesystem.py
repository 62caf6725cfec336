"""Reading the directory that a RUN wrote: layer entries, and where their content is."""

import os
import tracemalloc
from pathlib import Path

from polyarch.contents.filesystem import _read_snapshot
from polyarch.layers.content import read_whole


def test_each_file_is_found_with_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"content")
    os.link(tmp_path / "d" / "f", tmp_path / "d" / "g")
    (tmp_path / "l").symlink_to("d/f")
    snapshot = _read_snapshot(str(tmp_path))
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
    _read_snapshot(str(tmp_path))
    tracemalloc.start()
    try:
        snapshot = _read_snapshot(str(tmp_path))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept / len(snapshot.listing.entries) < 600
