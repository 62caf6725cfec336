"""Garbage collection: what is needed stays, the rest goes, and running commands lose nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.errors import ConflictError, CorruptError
from polyarch.oci import index as indexes
from polyarch.oci.digest import Digest
from polyarch.store import Keep, Reclaimed, Store
from polyarch.store.published import Publication
from tests.store.images import describe, digests_of, image, in_use, index, write

X = "docker.io/library/x:1"


def collect(root: Path, keep: Keep | None = None, *, dry_run: bool = False) -> Reclaimed:
    """Collect garbage as a separate command does, without leases."""
    with Store.open(root) as store:
        return store.maintenance.gc(keep, dry_run=dry_run)


def names(reclaimed: Reclaimed) -> set[str]:
    return {item.name for item in reclaimed.removed}


def test_what_a_tag_names_stays_and_the_rest_goes(store_root: Path) -> None:
    with Store.open(store_root) as store:
        kept, gone = index(store, b"one", b"two", name=X), image(store, b"three")
        stray = write(store, b"a layer of nothing")
    reclaimed = collect(store_root)
    assert names(reclaimed) == digests_of(gone) | {stray.digest}
    assert reclaimed.size == sum(item.size for item in reclaimed.removed) > 0
    with Store.open(store_root) as store:
        assert store.missing(kept.descriptor()) == ()
        assert not store.has_manifest(gone.descriptor())
    assert names(collect(store_root)) == set()


def test_an_image_that_is_kept_without_a_name_stays_until_it_is_forgotten(store_root: Path) -> None:
    with Store.open(store_root) as store:
        kept = image(store, b"layer")
        store.keep(kept.descriptor())
    assert names(collect(store_root)) == set()
    with Store.open(store_root) as store:
        store.forget(kept.digest)
    assert names(collect(store_root)) == digests_of(kept)


def test_a_dry_run_tells_and_removes_nothing(store_root: Path) -> None:
    with Store.open(store_root) as store:
        gone = image(store, b"layer")
    assert names(collect(store_root, dry_run=True)) == digests_of(gone)
    with Store.open(store_root) as store:
        assert store.missing(gone.descriptor()) == ()


def test_what_a_living_process_wrote_or_found_stays_with_all_that_it_names(store_root: Path) -> None:
    with Store.open(store_root) as writer:
        made = image(writer, b"layer")
        blob = write(writer, b"no image yet")
    with Store.open(store_root) as reader:
        reader.read_manifest(made.descriptor())
        assert reader.has_blob(blob)
        assert names(collect(store_root)) == set()
        assert names(reader.maintenance.gc()) == set()
    assert names(collect(store_root)) == digests_of(made) | {blob.digest}


def test_a_lease_of_a_dead_process_holds_nothing(store_root: Path) -> None:
    code = f"""
import os
from polyarch.store import Store
Store.open({str(store_root)!r}).put_bytes("", b"layer")
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list((store_root / "locks/leases").iterdir())) == 1
    assert names(collect(store_root)) == {describe(b"layer").digest}
    assert list((store_root / "locks/leases").iterdir()) == []


def test_a_lease_holds_what_is_not_there_yet(store: Store, store_root: Path) -> None:
    with store.lease() as lease:
        lease.add(describe(b"layer").digest)
        with Store.open(store_root) as other:
            write(other, b"layer")
        assert names(collect(store_root)) == set()
    assert names(collect(store_root)) == {describe(b"layer").digest}


def test_a_process_that_runs_for_long_holds_what_it_used_since_the_last_turn_but_one(store_root: Path) -> None:
    with Store.open(store_root) as server:
        first = write(server, b"first")
        server.turn_lease()
        second = write(server, b"second")
        assert names(collect(store_root)) == set()
        assert names(server.maintenance.gc()) == set()
        server.turn_lease()
        assert names(collect(store_root)) == {first.digest}
        server.turn_lease()
        assert names(server.maintenance.gc()) == {second.digest}
    assert list((store_root / "locks/leases").iterdir()) == []


def test_a_manifest_that_a_repository_keeps_is_kept_also_when_it_has_a_name(store: Store) -> None:
    made = image(store, b"layer", X).descriptor()
    store.published.add(Publication(repository="team/app", prefix="localhost/team/app", image=made))
    store.tag(X, image(store, b"other").descriptor())
    store.untag(X)
    assert [one.digest for one in store.kept()] == [made.digest]
    store.published.remove("team/app", "localhost/team/app", made.digest)
    assert store.kept() == ()


def test_policy_keeps_blobs_with_all_that_they_name(store_root: Path) -> None:
    with Store.open(store_root) as store:
        kept, layer, gone = image(store, b"kept"), write(store, b"cached"), write(store, b"gone")
    keep = Keep(digests=frozenset({kept.digest, layer.digest, Digest("sha256:" + "0" * 64)}))
    assert names(collect(store_root, keep)) == {gone.digest}


def test_only_what_a_name_had_may_be_asked_for(store_root: Path) -> None:
    with Store.open(store_root) as store:
        shared, other = image(store, b"shared", X), image(store, b"other")
        cached = write(store, b"cached")
    mine = frozenset(map(Digest, digests_of(other) | digests_of(shared)))
    assert names(collect(store_root, Keep(only=mine, snapshots=None))) == digests_of(other)
    with Store.open(store_root) as store:
        assert store.has_blob(cached)


def test_snapshots_go_unless_they_are_leased_or_kept(store_root: Path) -> None:
    with Store.open(store_root) as store:
        for key in ("a", "b", "c"):
            with store.snapshots.prepare(key) as preparation:
                (preparation.path / "file").write_bytes(b"x" * 10_000)
                preparation.commit()
    assert names(collect(store_root, Keep(snapshots=None))) == set()
    with Store.open(store_root) as user:
        assert user.snapshots.get("a") is not None
        reclaimed = collect(store_root, Keep(snapshots=frozenset({"b"})))
        assert [(item.kind, item.name) for item in reclaimed.removed] == [("snapshot", "c")]
        assert reclaimed.size >= 10_000
    assert names(collect(store_root)) == {"a", "b"}
    assert list((store_root / "tmp").iterdir()) == []


def test_the_longest_unused_goes_first_until_the_store_is_small_enough(store_root: Path) -> None:
    with Store.open(store_root) as store:
        image(store, b"kept", X)
        blobs = [write(store, bytes([number]) * 1000) for number in range(4)]
        for age, blob in enumerate(reversed(blobs)):
            os.utime(store.blob_path(blob.digest), (age, age))
        total = store.maintenance.usage().blobs
    with Store.open(store_root) as store:
        assert store.maintenance.usage().garbage == 4000
    reclaimed = collect(store_root, Keep(storage=total - 1500))
    assert [item.name for item in reclaimed.removed] == [blobs[3].digest, blobs[2].digest]
    assert names(collect(store_root, Keep(storage=total))) == set()


def test_an_index_whose_children_are_not_all_here_is_no_obstacle(store_root: Path) -> None:
    with Store.open(store_root) as store:
        here = image(store, b"here")
        sparse = indexes.create([here.descriptor(), describe(b"absent", here.media_type)])
        store.write_manifest(sparse.descriptor(), sparse.raw, X)
    assert names(collect(store_root)) == set()


def test_a_damaged_manifest_stops_it_because_what_it_names_is_not_known(store_root: Path) -> None:
    with Store.open(store_root) as store:
        made = image(store, b"layer", X)
        store.blob_path(made.digest).write_bytes(b"\0" * len(made.raw))
    with pytest.raises(CorruptError, match=made.digest) as caught:
        collect(store_root)
    assert "fsck --repair" in (caught.value.hint or "")
    with Store.open(store_root) as store:
        assert store.has_blob(made.layers[0])


def test_it_waits_for_others_and_gives_up_in_time(store: Store) -> None:
    with in_use(store), pytest.raises(ConflictError, match="in use"):
        store.maintenance.gc(timeout=0.05)
    assert names(store.maintenance.gc(timeout=0.05)) == set()


def test_a_blob_that_is_open_stays_readable_when_it_is_collected(store_root: Path) -> None:
    with Store.open(store_root) as store:
        blob = write(store, b"layer")
        reader = store.open_blob(blob)
    assert names(collect(store_root)) == {blob.digest}
    assert reader.read() == b"layer"
    reader.close()
