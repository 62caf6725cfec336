"""Packing layers in blocks: deterministic, readable by other tools, never from a file that changes meanwhile."""

import hashlib
import io
import os
import random
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError, UsageError
from polyarch.layers import listing as listings
from polyarch.layers.compression import Compression
from polyarch.layers.content import stamp_of
from polyarch.layers.deflate_blocks import END_SIZE, START, inflated
from polyarch.layers.entry import Entry, Item, LocalFile
from polyarch.layers.listing import scan
from polyarch.layers.pack import BLOCK_SIZE, pack
from polyarch.layers.reuse import ReusableBlocks
from tests.layers.making import directory, file, packed, tar

MiB = 1 << 20


def _mixed() -> list[Item]:
    """Small files, large ones, random ones and zeros: 9 MiB."""
    source = random.Random(7)
    text = b"".join(b"line %d of a text that repeats itself\n" % n for n in range(40_000))
    return [
        directory("d"),
        *(file(f"d/small{n:03}", source.randbytes(300) + text[: n * 37]) for n in range(200)),
        file("random", source.randbytes(3 * MiB + 17)),
        file("text", text),
        file("zeros", bytes(3 * MiB)),
        file("empty"),
    ]


@pytest.mark.parametrize("kind", ["gzip", "zstd", "none"])
def test_the_bytes_are_the_same_for_any_number_of_workers(kind: str) -> None:
    one, raw = packed(_mixed(), kind, 1)
    for workers in (2, 16):
        assert packed(_mixed(), kind, workers) == (one, raw)
    assert one.digest == "sha256:" + hashlib.sha256(raw).hexdigest()
    assert one.size == len(raw)
    assert one.diff_id == "sha256:" + hashlib.sha256(tar(*_mixed())).hexdigest()


def test_the_bytes_are_the_same_on_every_machine() -> None:
    # Other digests here mean other layers for every user: Compression.tag must change with them.
    items = [file("a", b"hello\n" * 1000), file("r", random.Random(1).randbytes(2 * MiB))]
    assert packed(items)[0].digest == GZIP_DIGEST
    assert packed(items, "zstd")[0].diff_id == packed(items)[0].diff_id


GZIP_DIGEST = "sha256:e09c34105b90ceabd5f0220949927fd5082ce045845547a46005f7788b5c9780"


@pytest.mark.parametrize(("kind", "command"), [("gzip", ["gzip", "-dc"]), ("zstd", ["zstd", "-dc"])])
def test_the_usual_tools_read_the_blob(kind: str, command: list[str]) -> None:
    _, raw = packed(_mixed(), kind)
    assert subprocess.run(command, input=raw, stdout=subprocess.PIPE, check=True).stdout == tar(*_mixed())


def test_random_blocks_are_stored_and_others_are_not() -> None:
    source = random.Random(3).randbytes(BLOCK_SIZE)
    compress = Compression("gzip").framing().compress
    assert len(compress(source)) > len(source), "random bytes were deflated"
    assert len(compress(source[: 16 << 10] * 64)) < BLOCK_SIZE // 3, "what repeats at a distance was stored"
    assert len(compress(source[: BLOCK_SIZE // 2] + bytes(BLOCK_SIZE // 2))) < BLOCK_SIZE * 0.6
    for block in (source, source[: 16 << 10] * 64, b"", b"x"):
        assert inflated(compress(block), len(block)) == block


def test_a_changed_file_changes_one_block_only() -> None:
    items = [file(f"f{n:04}", random.Random(n).randbytes(9000)) for n in range(1000)]
    blocks: list[bytes] = []
    packed(items, known=lambda block: blocks.append(block))
    before = set(blocks)
    items[500] = file("f0500", b"changed" * 1000)
    blocks.clear()
    packed(items, known=lambda block: blocks.append(block))
    assert len(set(blocks) - before) == 1


def test_a_block_that_a_layer_has_already_is_copied_from_it(tmp_path: Path) -> None:
    items = [file(f"f{n:04}", b"%d" % n * 4000 + random.Random(n).randbytes(2000)) for n in range(1000)]
    first, raw = packed(items)
    (tmp_path / "blob").write_bytes(raw)
    found: list[bytes | None] = []
    with ReusableBlocks(str(tmp_path / "blob"), len(raw), first.listing) as known:

        def noted(block: bytes) -> bytes | None:
            found.append(known(block))
            return found[-1]

        assert packed(items, known=noted) == (first, raw)
    assert None not in found
    assert sum(len(data or b"") for data in found) == len(raw) - len(START) - END_SIZE


def test_a_block_of_a_damaged_layer_is_compressed_anew(tmp_path: Path) -> None:
    first, raw = packed(_mixed())
    for at in range(100, len(raw), len(raw) // 50):
        damaged = bytearray(raw)
        damaged[at] ^= 0x55
        (tmp_path / "blob").write_bytes(damaged)
        with ReusableBlocks(str(tmp_path / "blob"), len(raw), first.listing) as known:
            assert packed(_mixed(), known=known) == (first, raw)


def test_a_large_file_is_cut_where_it_begins_so_that_what_stands_before_does_not_move_it() -> None:
    content = random.Random(5).randbytes(3 * MiB)
    _, one = packed([file("a", b"x"), file("z", content)], "zstd")
    _, other = packed([file("a", b"y" * 70_000), file("z", content)], "zstd")
    assert one[-2 * MiB :] == other[-2 * MiB :]


def test_the_listing_of_what_was_packed_is_that_of_a_scan() -> None:
    items = [*_mixed(), directory("etc"), file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")]
    for kind in ("gzip", "zstd", "none"):
        made, raw = packed(items, kind)
        diff_id, listing = scan(io.BytesIO(raw), made.digest)
        assert diff_id == made.diff_id
        assert (listing.entries, listing.size) == (made.listing.entries, made.listing.size)
        assert listing.texts == {"etc/passwd": b"root:x:0:0::/:/bin/sh\n"}


def test_a_file_of_this_machine_is_read_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"z" * (2 * MiB + 5))
    entry = Entry(path="large", kind="file", mode=0o644, size=2 * MiB + 5)
    assert packed([(entry, str(tmp_path / "large"))]) == packed([file("large", b"z" * (2 * MiB + 5))])


def test_a_file_that_grew_or_shrank_since_it_was_listed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "moving"
    for content in (b"longer than said", b"short"):
        path.write_bytes(content)
        with pytest.raises(ConflictError, match=f"{path} changed"):
            packed([(Entry(path="moving", kind="file", mode=0o644, size=10), str(path))])


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "moving"
    path.write_bytes(bytes(4 * MiB))

    def items() -> Iterator[Item]:
        yield Entry(path="moving", kind="file", mode=0o644, size=4 * MiB), str(path)

    class Output:
        def write(self, data: bytes) -> None:
            with path.open("r+b") as writer:
                writer.write(b"other")

    with pytest.raises(ConflictError, match="changed while it was being packed"):
        pack(items(), Output(), Compression("none"), 1)


def test_a_file_that_was_rewritten_with_the_same_size_is_named(tmp_path: Path) -> None:
    path = tmp_path / "moving"
    path.write_bytes(b"before")
    stamp = stamp_of(path.stat())
    path.write_bytes(b"after!")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ConflictError, match="changed"):
        packed([(Entry(path="moving", kind="file", mode=0o644, size=6), LocalFile(str(path), stamp))])


def test_a_file_that_vanished_or_became_a_link_or_a_pipe_is_named(tmp_path: Path) -> None:
    entry = Entry(path="f", kind="file", mode=0o644, size=6)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFoundError, match="vanished"):
        packed([(entry, str(tmp_path / "gone"))])
    with pytest.raises(PolyarchError, match="link cannot be read"):
        packed([(entry, str(tmp_path / "link"))])
    with pytest.raises(ConflictError, match="pipe changed"):
        packed([(entry, str(tmp_path / "pipe"))])


def test_no_thread_is_left_behind_by_success_or_failure() -> None:
    before = threading.active_count()
    packed(_mixed())
    with pytest.raises(CorruptError):
        packed([*_mixed(), (Entry(path="f", kind="file", mode=0o644, size=6), b"four")])
    assert threading.active_count() == before


def test_an_entry_that_no_tar_can_hold_is_refused() -> None:
    with pytest.raises(CorruptError, match="NUL"):
        packed([file("a\0b")])
    with pytest.raises(CorruptError, match="out of the image"):
        packed([file("../b")])


def test_memory_does_not_grow_with_the_layer(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    size = 200 * MiB
    with path.open("wb") as writer:
        writer.truncate(size)

    class Nowhere:
        def write(self, data: bytes) -> None:
            pass

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pack([(Entry(path="f", kind="file", mode=0o644, size=size), str(path))], Nowhere(), Compression("gzip"), 2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10


def test_a_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="gzip has no level 13"):
        Compression("gzip", 13)
    assert Compression("zstd", 19).tag() == "zstd-19-frame1"
    assert Compression().tag() == Compression("gzip", 1).tag() == "gzip-1-member1"


def test_a_listing_is_read_as_far_as_it_is_wanted() -> None:
    made = packed([directory("d"), *(file(f"d/{number}", b"x" * number) for number in range(300))])[0]
    some = listings.decode(made.encoded, lambda entry: entry.size > 290)
    assert some.entries == made.listing.entries[-9:]
    bare = listings.decode_blocks(made.encoded)
    assert (bare.entries, bare.blocks, bare.blob, bare.size) == ((), *_rest(made.listing))


def _rest(listing: listings.Listing) -> tuple[object, ...]:
    return listing.blocks, listing.blob, listing.size
