"""Unpacked layers: visible when complete, usable by overlay, removed when incomplete."""

import os
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError
from polyarch.store import Store
from polyarch.store.growth import Growth
from polyarch.store.leases import Lease
from polyarch.store.locks import StoreLock
from polyarch.store.snapshots import Snapshots

KEY = "sha256:" + "0a" * 32


def make(store: Store, key: str, text: str = "content") -> Path:
    with store.snapshots.prepare(key) as preparation:
        (preparation.path / "file").write_text(text)
        return preparation.commit()


def after_a_reboot(store: Store) -> Snapshots:
    """The snapshots as a process sees them that runs in another boot of the machine."""
    lock = StoreLock(store.layout.lock("store"))
    lease = Lease(store.layout, lock)
    return Snapshots(store.layout, lock, lease, lambda point: None, Growth(store.cache), boot="another")


def test_a_snapshot_appears_when_it_is_committed(store: Store) -> None:
    assert store.snapshots.get(KEY) is None
    path = make(store, KEY)
    assert store.snapshots.get(KEY) == path
    assert (path / "file").read_text() == "content"
    assert store.snapshots.keys() == (KEY,)


def test_a_path_of_a_snapshot_can_stand_in_the_options_of_an_overlay(store: Store) -> None:
    assert not set(",:\\") & set(os.path.relpath(make(store, KEY), store.layout.root))


def test_what_is_not_committed_is_removed(store: Store, store_root: Path) -> None:
    with store.snapshots.prepare(KEY) as preparation:
        (preparation.path / "file").touch()
        (preparation.work / "work").mkdir(mode=0)
        assert preparation.path.stat().st_dev == preparation.work.stat().st_dev
    assert store.snapshots.get(KEY) is None
    assert list((store_root / "tmp").iterdir()) == []


def test_the_first_of_two_wins(store: Store) -> None:
    with store.snapshots.prepare(KEY) as late:
        (late.path / "file").write_text("late")
        first = make(store, KEY, "first")
        assert late.commit() == first
    assert (first / "file").read_text() == "first"


def test_even_an_empty_one_is_not_replaced(store: Store) -> None:
    with store.snapshots.prepare(KEY) as preparation:
        empty = preparation.commit()
    before = empty.stat().st_ino
    make(store, KEY)
    assert empty.stat().st_ino == before
    assert list(empty.iterdir()) == []


def test_a_snapshot_is_removed_with_all_that_is_in_it(store: Store, store_root: Path) -> None:
    path = make(store, KEY)
    (path / "locked").mkdir()
    (path / "locked/file").touch()
    (path / "locked").chmod(0)
    assert store.snapshots.remove(KEY)
    assert not store.snapshots.remove(KEY)
    assert store.snapshots.keys() == ()
    assert list((store_root / "tmp").iterdir()) == []


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "x" * 300, "a+b"])
def test_a_key_that_is_no_file_name_is_refused(store: Store, key: str) -> None:
    with pytest.raises(PolyarchError, match="cannot be the key"):
        store.snapshots.get(key)


def test_a_snapshot_of_another_boot_counts_for_nothing_because_it_may_be_half_on_the_disk(store: Store) -> None:
    make(store, KEY)
    rebooted = after_a_reboot(store)
    assert rebooted.get(KEY) is None
    assert rebooted.keys() == ()


def test_a_snapshot_that_a_later_command_has_synced_survives_a_reboot(store: Store) -> None:
    path = make(store, KEY)
    os.utime(path.parent / "boot", (0, 0))  # made long ago
    assert store.snapshots.get(KEY) == path
    store.snapshots.close()
    assert after_a_reboot(store).get(KEY) == path


def test_a_snapshot_that_is_still_young_is_not_synced(store: Store) -> None:
    path = make(store, KEY)
    assert store.snapshots.get(KEY) == path
    store.snapshots.close()
    assert not (path.parent / "synced").exists()


def test_a_snapshot_whose_note_of_the_boot_was_lost_counts_for_nothing(store: Store) -> None:
    path = make(store, KEY)
    (path.parent / "boot").write_bytes(b"\0" * 36)
    assert store.snapshots.get(KEY) is None
    path = make(store, KEY)
    (path.parent / "boot").unlink()
    assert store.snapshots.get(KEY) is None
