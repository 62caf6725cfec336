"""Single files out of a blob."""

import gzip
import io
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest

from polyarch.errors import CorruptError
from polyarch.layers import extract
from polyarch.layers.extract import LayerFiles
from polyarch.layers.listing import Listing, scan
from tests.layers.making import directory, file, packed, tar

ITEMS = [
    directory("d"),
    *(file(f"d/{n:03}", random.Random(n).randbytes(9000)) for n in range(300)),
    file("large", random.Random(9).randbytes((3 << 20) + 11)),
    file("behind", b"the last"),
]
CONTENT = {entry.path: content for entry, content in ITEMS if entry.kind == "file"}


def _made(path: Path, kind: str = "gzip") -> tuple[str, Listing, str]:
    made, raw = packed(ITEMS, kind)
    path.write_bytes(raw)
    return str(path), made.listing, made.digest


def _scanned(path: Path, raw: bytes, blob: str = "sha256:" + "0" * 64) -> tuple[str, Listing, str]:
    path.write_bytes(raw)
    return str(path), scan(io.BytesIO(raw), blob)[1], blob


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
def test_every_file_of_a_layer_in_blocks_is_read_without_a_spool(tmp_path: Path, kind: str) -> None:
    path, listing, blob = _made(tmp_path / "blob", kind)
    with LayerFiles(path, listing, "/nonexistent", blob) as files:
        for entry in listing.entries:
            if entry.kind == "file":
                assert files.read(entry) == CONTENT[entry.path]


def test_a_file_behind_others_is_read_without_inflating_them(tmp_path: Path) -> None:
    path, listing, blob = _made(tmp_path / "blob")
    spoilt = bytearray(Path(path).read_bytes())
    spoilt[1000:2000] = bytes(1000)
    Path(path).write_bytes(spoilt)
    entries = {entry.path: entry for entry in listing.entries}
    with LayerFiles(path, listing, str(tmp_path), blob) as files:
        assert files.read(entries["large"]) == CONTENT["large"]
        with pytest.raises(CorruptError):
            files.read(entries["d/001"])


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_files_are_right_in_any_order_read_in_part_and_by_several_threads(tmp_path: Path, kind: str) -> None:
    path, listing, blob = _made(tmp_path / "blob", kind)
    entries = [entry for entry in listing.entries if entry.kind == "file"]
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(150):
            entry = chance.choice(entries)
            at = chance.randrange(entry.size + 1)
            with files.open(entry) as reader:
                # One that stops early leaves the stream in the middle of a file.
                begun = reader.read(at) + (reader.read() if at % 2 else b"")
            if not CONTENT[entry.path].startswith(begun) or (at % 2 and len(begun) != entry.size):
                wrong.append(entry.path)

    with LayerFiles(path, listing, "/nonexistent", blob) as files:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_files_behind_each_other_are_inflated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, listing, blob = _made(tmp_path / "blob")
    begun: list[object] = []
    inflated = extract.inflated
    monkeypatch.setattr(extract, "inflated", lambda *block: begun.append(block) or inflated(*block))
    with LayerFiles(path, listing, "/nonexistent", blob) as files:
        for entry in listing.entries:
            if entry.path.startswith("d/"):
                assert files.read(entry) == CONTENT[entry.path]
    assert len(begun) <= len(listing.blocks)


@pytest.mark.parametrize("blob", ["sha256:" + "0" * 64, "another"])
def test_a_layer_of_one_stream_or_of_unknown_blocks_is_inflated_once(tmp_path: Path, blob: str) -> None:
    raw = gzip.compress(tar(*ITEMS)) if blob.startswith("sha256") else packed(ITEMS)[1]
    path, listing, _ = _scanned(tmp_path / "blob", raw)
    (tmp_path / "spool").mkdir()
    with LayerFiles(path, listing, str(tmp_path / "spool"), blob) as files:
        found: list[bytes] = []
        entries = [entry for entry in listing.entries if entry.kind == "file"]
        threads = [threading.Thread(target=lambda e=entry: found.append(files.read(e))) for entry in entries[::50]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted(CONTENT[entry.path] for entry in entries[::50])
        assert os.listdir(tmp_path / "spool") == []


def test_a_sparse_file_is_read_with_its_holes(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as writer:
        writer.seek(3 << 20)
        writer.write(b"end")
    raw = subprocess.run(["tar", "-C", tmp_path, "-S", "-czf", "-", "f"], check=True, stdout=subprocess.PIPE).stdout
    path, listing, blob = _scanned(tmp_path / "blob", raw)
    with LayerFiles(path, listing, str(tmp_path), blob) as files:
        assert files.read(listing.entries[0]) == bytes(3 << 20) + b"end"


def test_what_has_no_bytes_of_its_own_is_refused_and_what_is_missing_is_noticed(tmp_path: Path) -> None:
    path, listing, blob = _scanned(tmp_path / "blob", tar(*ITEMS))
    with LayerFiles(path, listing, str(tmp_path), blob) as files:
        with pytest.raises(CorruptError, match="d is a directory"):
            files.open(listing.entries[0])
        os.truncate(path, 100_000)
        with pytest.raises(CorruptError, match="before the end of behind"):
            files.read(listing.entries[-1])
