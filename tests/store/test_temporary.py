"""Temporary directories live as long as their owner, and a crash leaves none behind."""

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.store import Reclaimed, Store
from tests.needs import need_root
from tests.people import Person


def test_a_temporary_directory_lives_as_long_as_its_owner_holds_it(store: Store, store_root: Path) -> None:
    with store.temporary() as path:
        (path / "file").touch()
        with Store.open(store_root) as other:  # opening removes what no process holds
            assert other.maintenance.gc().temporary == 0
        assert (path / "file").exists()
    assert not path.exists()


def test_what_a_dead_process_left_is_removed_when_the_store_is_next_opened(store_root: Path) -> None:
    code = f"""
import os
from polyarch.store import Store
store = Store.open({str(store_root)!r})
held = store.temporary()
open(held.path + "/file", "w").close()
store.new_blob().write(b"half a blob")
preparation = store.snapshots.prepare("key")
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert len(list((store_root / "tmp").iterdir())) == 3
    with Store.open(store_root):
        assert list((store_root / "tmp").iterdir()) == []


def test_two_threads_never_get_the_same_free_name(store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    held = store.temporary()
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda _: held.fresh(), range(400)))
    held.close()
    assert len(set(names)) == 400


def test_what_only_another_id_can_remove_is_set_aside_until_it_comes(unprivileged: Person) -> None:
    need_root()
    root = unprivileged.directory / "store"
    leave = f"import os; from polyarch.store import Store; Store.open({str(root)!r}).temporary(); os._exit(9)"
    unprivileged.run(sys.executable, "-c", leave, check=False)
    (left,) = (root / "tmp").iterdir()
    (left / "of-a-sub-uid").mkdir(mode=0o700)
    (left / "of-a-sub-uid/file").touch()
    look = f"from polyarch.store import Store; print(Store.open({str(root)!r}).maintenance.gc())"
    assert "left=True" in unprivileged.run(sys.executable, "-c", look).stdout
    assert [path.name for path in (root / "tmp").iterdir()] == [left.name + ".stuck"]
    with Store.open(root) as store:  # root's power here is what a user namespace gives its owner
        assert store.maintenance.gc() == Reclaimed(removed=(), temporary=1, left=False)


def test_a_stuck_directory_is_tried_again_only_by_a_collection(store_root: Path) -> None:
    with Store.open(store_root):
        pass
    stuck = store_root / "tmp/1-0.stuck"
    stuck.mkdir()
    with Store.open(store_root) as store:
        assert stuck.exists()
        assert store.maintenance.gc().temporary == 1
    assert not stuck.exists()


@pytest.mark.usefixtures("store")
def test_ext4_places_unfinished_content_apart(store_root: Path) -> None:
    flags = b""
    descriptor = os.open(store_root / "tmp", os.O_RDONLY)
    with contextlib.suppress(OSError):  # a filesystem without flags
        flags = fcntl.ioctl(descriptor, 0x80086601, bytes(8))
    os.close(descriptor)
    kind = subprocess.run(["stat", "-fc", "%T", str(store_root)], capture_output=True, text=True, check=True).stdout
    if "ext2/ext3" not in kind:
        pytest.skip("it is not on ext4")
    assert int.from_bytes(flags[:4], sys.byteorder) & 0x20000
