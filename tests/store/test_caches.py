"""Cache mounts: made whole, shared as their mount says, thrown away only when unused."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from polyarch.store import Keep, Store


def empty(files: str) -> None:
    """A cache that begins with nothing."""


def test_what_is_written_is_there_the_next_time(store_root: Path) -> None:
    with Store.open(store_root) as store, store.caches.open("apt", "shared", empty) as files:
        Path(files, "list").write_text("packages")
    with Store.open(store_root) as store, store.caches.open("apt", "shared", empty) as files:
        assert Path(files, "list").read_text() == "packages"


def test_another_id_is_another_cache(store_root: Path) -> None:
    with Store.open(store_root) as store:
        with store.caches.open("apt", "shared", empty) as one, store.caches.open("pip", "shared", empty) as other:
            assert one != other
        assert len(store.caches.names()) == 2


def test_a_cache_that_could_not_be_filled_is_not_there(store_root: Path) -> None:
    def fill(files: str) -> None:
        Path(files, "half").write_text("")
        raise ValueError

    with Store.open(store_root) as store:
        with pytest.raises(ValueError), store.caches.open("apt", "locked", fill):
            raise AssertionError
        with store.caches.open("apt", "locked", empty) as files:
            assert os.listdir(files) == []


def test_who_shares_comes_in_and_who_wants_it_for_itself_gets_another(store_root: Path) -> None:
    with Store.open(store_root) as store:
        with store.caches.open("x", "shared", empty) as one, store.caches.open("x", "shared", empty) as same:
            assert one == same
        with store.caches.open("x", "private", empty) as one, store.caches.open("x", "private", empty) as other:
            assert one != other


def test_who_locks_waits_for_the_one_before(store_root: Path) -> None:
    order: list[str] = []
    with Store.open(store_root) as store:

        def second() -> None:
            with store.caches.open("x", "locked", empty):
                order.append("second")

        thread = threading.Thread(target=second)
        with store.caches.open("x", "locked", empty):
            thread.start()
            thread.join(0.1)
            order.append("first")
        thread.join()
    assert order == ["first", "second"]


def test_many_that_open_a_new_cache_at_once_fill_it_once(store_root: Path) -> None:
    filled: list[str] = []
    with Store.open(store_root) as store:

        def use() -> None:
            with store.caches.open("x", "shared", filled.append) as files:
                assert os.path.isdir(files)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(filled) == 1


def test_prune_takes_what_nobody_uses_and_leaves_what_somebody_does(store_root: Path) -> None:
    with Store.open(store_root) as store, Store.open(store_root) as pruner:
        with store.caches.open("used", "shared", empty) as used, store.caches.open("unused", "shared", empty):
            pass
        with store.caches.open("used", "shared", empty):
            assert [item.kind for item in pruner.maintenance.gc(Keep(caches=False)).removed] == ["cache"]
            assert os.path.isdir(used)
        assert pruner.maintenance.gc().removed == ()
        assert len(pruner.maintenance.gc(Keep(caches=False)).removed) == 1
        assert store.caches.names() == []


def test_who_waited_for_a_cache_that_was_thrown_away_gets_a_new_one(store_root: Path) -> None:
    """Processes that use a cache run at the same time as others that remove it."""
    code = """
import select, sys
from polyarch.store import Store
with Store.open(sys.argv[1]) as store:
    while not select.select([sys.stdin], [], [], 0)[0]:
        for name in store.caches.names():
            store.caches.throw_away(name, store.layout.temporary)
"""
    with Store.open(store_root) as store:
        with subprocess.Popen([sys.executable, "-c", code, str(store_root)], stdin=subprocess.PIPE) as pruner:
            for turn in range(100):
                with store.caches.open("x", ("shared", "locked")[turn % 2], empty) as files:
                    Path(files, "mine").write_text("mine")
                    assert Path(files, "mine").read_text() == "mine"
        assert pruner.returncode == 0
