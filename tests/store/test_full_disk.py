"""A full disk: errors say what to do, and nothing is left half written."""

import contextlib
import io
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import ConflictError, PolyarchError
from polyarch.images.prune import prune
from polyarch.store import Store
from tests.needs import need_root
from tests.store.images import describe, image

X = "docker.io/library/x:1"
_SIZE = 2 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A store root on a filesystem of two megabytes."""
    need_root()
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},nr_inodes=200", "none", mounted], check=True)
    try:
        yield mounted / "store"
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def fill(root: Path) -> Path:
    """Leave no byte free on the filesystem."""
    path = root.parent / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return path


def files(root: Path) -> set[Path]:
    return {path for part in ("oci", "tmp") for path in (root / part).rglob("*") if path.is_file()}


def test_a_blob_that_does_not_fit_leaves_nothing_and_says_what_to_do(small: Path) -> None:
    content = os.urandom(2 * _SIZE)
    with Store.open(small) as store:
        made = image(store, b"layer", X)
        before = files(small)
        with pytest.raises(PolyarchError, match="no space left") as caught:
            store.write_blob(describe(content), io.BytesIO(content))
        assert "prune" in (caught.value.hint or "")
        with store.new_blob() as writer, pytest.raises(PolyarchError, match="no space left"):
            writer.write(content)
        assert files(small) == before
        assert store.missing(made.descriptor()) == ()
        assert list(store.maintenance.verify()) == []
        image(store, b"another that fits", X)


def test_a_name_that_does_not_fit_leaves_the_names_as_they_were(small: Path) -> None:
    with Store.open(small) as store:
        made = image(store, b"layer", X)
        filler = fill(small)
        long = made.descriptor(annotations={"note": "x" * 10_000})
        with pytest.raises(PolyarchError, match="no space left"):
            store.tag("docker.io/library/y:1", long)
        assert store.tags() == (X,)
        filler.unlink()
        store.tag("docker.io/library/y:1", long)


def test_a_full_disk_can_be_freed(small: Path) -> None:
    with Store.open(small, cache_limit=None) as store:
        image(store, b"x" * (_SIZE // 4), X)
        garbage = store.put_bytes("", b"y" * (_SIZE // 2))
    fill(small)
    with Store.open(small) as store:
        assert [item.name for item in store.maintenance.gc().removed] == [garbage.digest]
        assert list(store.maintenance.verify()) == []


def test_a_full_disk_can_be_read_and_what_is_read_is_not_collected(small: Path) -> None:
    with Store.open(small) as store:
        made = image(store, b"layer")
    fill(small)
    with Store.open(small) as reader, Store.open(small) as other:
        assert reader.resolve(made.digest) == made.descriptor()
        assert reader.missing(made.descriptor()) == ()
        with pytest.raises(ConflictError):
            other.maintenance.gc(timeout=0.05)
        assert reader.read_manifest(made.descriptor()) == made.raw
    with Store.open(small) as store:
        assert len(store.maintenance.gc().removed) == 3


def test_a_store_that_is_open_for_long_does_not_keep_others_from_freeing_a_full_disk(small: Path) -> None:
    with Store.open(small, cache_limit=None) as store:
        blobs = [store.put_bytes("", b"%d" % number) for number in range(100)]
    fill(small)
    with Store.open(small) as lasting, Store.open(small) as other:
        lasting.refuse_when_full()
        with pytest.raises(PolyarchError, match="no space left"):
            list(map(lasting.find_blob, [blob.digest for blob in blobs]))
        assert lasting.blob_size(blobs[0].digest) == blobs[0].size
        assert len(other.maintenance.gc(timeout=0.05).removed) == len(blobs)
        # A part of a line that did not fit would spoil this one.
        kept = lasting.put_bytes("", b"kept")
        assert other.maintenance.gc(timeout=0.05).removed == ()
        assert lasting.blob_size(kept.digest) == 4


def test_who_has_read_on_a_full_disk_can_still_ask_what_it_takes_and_collect(small: Path) -> None:
    with Store.open(small, cache_limit=None) as store:
        made = image(store, b"layer", X)
        kept = image(store, b"another layer")
        garbage = store.put_bytes("", b"y" * 1000)
    fill(small)
    with Store.open(small) as store:
        assert store.resolve(X) == made.descriptor()
        assert store.missing(kept.descriptor()) == ()
        assert store.maintenance.usage(timeout=0).blobs > 1000
        assert [item.name for item in store.maintenance.gc(timeout=0).removed] == [garbage.digest]
        # What was read is still held against others.
        with Store.open(small) as other, pytest.raises(ConflictError):
            other.maintenance.gc(timeout=0.05)


def test_names_and_unnamed_images_can_be_removed_from_a_full_disk(small: Path) -> None:
    with Store.open(small, cache_limit=None) as store:
        image(store, b"layer", X)
        unnamed = image(store, b"another layer")
        store.keep(unnamed.descriptor())
        with store.snapshots.prepare("key") as made:
            (made.path / "file").write_bytes(b"x" * 100_000)
            made.commit()
    fill(small)
    with Store.open(small) as store:
        reclaimed = prune(store)
        assert store.kept() == ()
        assert reclaimed.size > 0
        fill(small)
        assert store.untag(X).digest
        assert store.tags() == ()


def test_where_only_images_fill_the_disk_a_name_can_be_removed_too(small: Path) -> None:
    with Store.open(small, cache_limit=None) as store:
        made = image(store, b"layer", X)
        store.cache.put("kind", "key", b"value")
    fill(small)
    with Store.open(small) as store:
        assert list(store.drop([X])) == [X]
        assert made.digest in {item.name for item in store.maintenance.gc().removed}


def test_a_cache_on_a_full_disk_forgets(small: Path) -> None:
    with Store.open(small) as store:
        store.cache.put("kind", "key", b"value")
        fill(small)
        store.cache.put("kind", "large", b"x" * _SIZE)
        assert store.cache.get("kind", "large") is None
        assert store.cache.get("kind", "key") == b"value"


def test_a_snapshot_that_does_not_fit_leaves_nothing(small: Path) -> None:
    with Store.open(small) as store:
        before = files(small)
        with pytest.raises(OSError, match="No space"), store.snapshots.prepare("key") as preparation:
            (preparation.path / "file").write_bytes(b"x" * 2 * _SIZE)
        assert files(small) == before
        assert store.snapshots.keys() == ()


def test_a_store_on_a_disk_without_inodes_is_an_error(small: Path) -> None:
    with contextlib.suppress(OSError):
        for number in itertools.count():
            (small.parent / str(number)).touch()
    with pytest.raises(PolyarchError, match="no space left"):
        Store.open(small)


def test_a_blob_of_a_read_only_store_is_an_error_with_a_hint(small: Path) -> None:
    with Store.open(small):
        pass
    subprocess.run(["mount", "-o", "remount,ro", small.parent], check=True)
    with pytest.raises(PolyarchError, match="cannot open the store") as caught:
        Store.open(small)
    assert "POLYARCH_ROOT" in (caught.value.hint or "")
