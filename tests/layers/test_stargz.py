"""eStargz layers, read by the rules of their specification (stargz-snapshotter, docs/estargz.md)."""

import base64
import gzip
import hashlib
import io
import json
import random
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from polyarch.errors import ConflictError, UnsupportedError
from polyarch.layers import stargz
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Entry, Item, LocalFile
from polyarch.layers.extract import LayerFiles
from polyarch.layers.listing import scan
from polyarch.layers.pack import Packed
from polyarch.oci import digest as digests
from polyarch.oci.layer_table import STARGZ_TOC_DIGEST
from tests.layers.making import device, directory, file, hardlink, read_back, symlink

MiB = 1 << 20
BIG = random.Random(1).randbytes(9 * MiB + 5)
ITEMS: list[Item] = [
    directory("d", uid=7, gid=8),
    file("d/empty"),
    file("d/program", b"#!/bin/sh\n" * 100, 0o755, mtime=1_700_000_000, xattrs=(("user.note", b"\xff\0"),)),
    hardlink("d/same", "d/program"),
    symlink("link", "d/program"),
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
    file("large", BIG),
    device("null", 1, 3),
    file("n/" + "long" * 60, b"behind a pax header"),
    file("latin-\udce9", b"no UTF-8"),
]


def packed(items: list[Item], workers: int = 2, level: int | None = None) -> tuple[Packed, bytes]:
    output = io.BytesIO()
    made = stargz.pack(items, output, Compression("estargz", level), workers)
    return made, output.getvalue()


def one_member(raw: bytes, at: int) -> bytes:
    """What the one gzip member at an offset holds, as a lazy runtime reads it."""
    return zlib.decompressobj(31).decompress(raw[at:])


def table(raw: bytes) -> tuple[int, bytes]:
    """Where the table is by the footer, and the table."""
    footer = raw[-51:]
    assert footer[:10] == b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff"
    assert footer[10:16] == (26).to_bytes(2, "little") + b"SG" + (22).to_bytes(2, "little")
    assert footer[32:38] == b"STARGZ"
    assert footer[38:] == b"\x01\x00\x00\xff\xff" + bytes(8)
    assert gzip.decompress(footer) == b""
    at = int(footer[16:32], 16)
    with tarfile.open(fileobj=io.BytesIO(one_member(raw, at))) as archive:
        [member] = archive.getmembers()
        assert member.name == "stargz.index.json"
        return at, archive.extractfile(member).read()  # type: ignore[union-attr]


def entries(raw: bytes) -> list[dict[str, Any]]:
    document = json.loads(table(raw)[1])
    assert document["version"] == 1
    return list(document["entries"])


def test_a_lazy_runtime_reads_each_file_from_its_place() -> None:
    _, raw = packed(ITEMS)
    found: dict[str, bytes] = {}
    sizes = {entry["name"]: entry.get("size", 0) for entry in entries(raw) if entry["type"] == "reg"}
    for entry in entries(raw):
        if not sizes.get(entry["name"]):
            continue
        begin = entry.get("chunkOffset", 0)
        wanted = entry.get("chunkSize") or sizes[entry["name"]] - begin
        chunk = one_member(raw, entry["offset"])[:wanted]
        assert entry["chunkDigest"] == digests.of(chunk)
        assert begin == len(found.get(entry["name"], b""))
        found[entry["name"]] = found.get(entry["name"], b"") + chunk
    wanted_files = {entry.path: content for entry, content in ITEMS if entry.kind == "file" and entry.size}
    assert found.pop("latin-�") == wanted_files.pop("latin-\udce9")
    assert found == wanted_files
    assert sum(entry["type"] == "chunk" for entry in entries(raw)) == 2, "9 MiB are three chunks of 4"


def test_the_table_says_what_the_entries_are() -> None:
    _, raw = packed(ITEMS)
    known = {entry["name"]: entry for entry in entries(raw) if entry["type"] != "chunk"}
    assert known["d/"] == {
        "name": "d/",
        "type": "dir",
        "mode": 0o755,
        "uid": 7,
        "gid": 8,
        "modtime": "1970-01-01T00:00:01Z",
    }
    program = known["d/program"]
    assert (program["mode"], program["modtime"]) == (0o755, "2023-11-14T22:13:20Z")
    assert program["xattrs"] == {"user.note": base64.b64encode(b"\xff\0").decode()}
    assert program["digest"] == program["chunkDigest"] == digests.of(b"#!/bin/sh\n" * 100)
    assert (known["d/same"]["type"], known["d/same"]["linkName"]) == ("hardlink", "d/program")
    assert (known["link"]["type"], known["link"]["linkName"]) == ("symlink", "d/program")
    assert (known["null"]["type"], known["null"]["devMajor"], known["null"]["devMinor"]) == ("char", 1, 3)
    assert known["large"]["digest"] == digests.of(BIG)
    assert "offset" not in known["d/empty"]
    assert all({"mode", "uid", "gid"} <= entry.keys() for entry in known.values())


def test_the_descriptor_has_the_digest_of_the_table_and_the_size_of_the_tar() -> None:
    made, raw = packed(ITEMS)
    plain = gzip.decompress(raw)
    assert made.descriptor().annotations == {
        STARGZ_TOC_DIGEST: digests.of(table(raw)[1]),
        "io.containers.estargz.uncompressed-size": str(len(plain)),
    }
    assert made.descriptor().media_type.endswith("tar+gzip")
    assert made.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert made.digest == digests.of(raw)


def test_other_readers_see_the_files_and_not_the_table() -> None:
    made, raw = packed(ITEMS)
    plain = subprocess.run(["gzip", "-dc"], input=raw, stdout=subprocess.PIPE, check=True).stdout
    assert [(entry.path.rstrip("/"), content) for entry, content in read_back(plain)] == [
        (entry.path, content or b"") for entry, content in ITEMS
    ]
    diff_id, listing = scan(io.BytesIO(raw), made.digest)
    assert diff_id == made.diff_id
    assert listing.entries == made.listing.entries
    assert listing.texts == made.listing.texts == {"etc/passwd": b"root:x:0:0::/:/bin/sh\n"}


def test_our_own_random_access_works_too(tmp_path: Path) -> None:
    made, raw = packed(ITEMS)
    (tmp_path / "blob").write_bytes(raw)
    with LayerFiles(str(tmp_path / "blob"), made.listing, "/nonexistent", made.digest) as files:
        for listed, (entry, content) in zip(made.listing.entries, ITEMS, strict=True):
            if entry.kind == "file":
                assert files.read(listed) == content


def test_the_bytes_do_not_depend_on_the_number_of_workers() -> None:
    assert packed(ITEMS, 1) == packed(ITEMS, 4)
    assert len(packed(ITEMS, level=0)[1]) > len(packed(ITEMS, level=9)[1])


def test_a_layer_that_is_packed_again_has_the_same_entries() -> None:
    made, raw = packed(ITEMS)
    output = io.BytesIO()
    again = stargz.repack(io.BytesIO(gzip.decompress(raw)), output, Compression("estargz"))
    assert again == made
    assert output.getvalue() == raw


def test_a_file_with_the_name_of_the_table_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"/stargz\.index\.json cannot be in an eStargz layer"):
        packed([file("stargz.index.json", b"{}")])


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    status = path.stat()
    stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
    path.write_bytes(b"y" * 100)
    with pytest.raises(ConflictError, match="changed while it was being packed"):
        packed([(Entry(path="f", kind="file", mode=0o644, size=100), LocalFile(str(path), stamp))])
