"""The cache database: rows by kind and key, safe to delete."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyarch.store import Store


def test_what_was_put_is_got_by_kind_and_key(store: Store) -> None:
    assert store.cache.get("result", "key") is None
    store.cache.put("result", "key", b"value")
    store.cache.put_many("stat", [("a", b"1"), ("key", b"2")])
    assert store.cache.get("result", "key") == b"value"
    assert store.cache.get("stat", "key") == b"2"
    assert store.cache.entries("stat") == [("a", b"1"), ("key", b"2")]
    store.cache.put("result", "key", b"newer")
    assert store.cache.get("result", "key") == b"newer"
    store.cache.delete("result", "key")
    assert store.cache.get("result", "key") is None


def test_it_outlives_the_process_and_is_cleared_by_kind_or_whole(store_root: Path) -> None:
    with Store.open(store_root) as store:
        store.cache.put("a", "key", b"1")
        store.cache.put("b", "key", b"2")
    with Store.open(store_root) as store:
        store.cache.clear("a")
        assert store.cache.get("a", "key") is None
        assert store.cache.get("b", "key") == b"2"
        store.cache.clear()
        assert store.cache.entries("b") == []


def test_a_store_that_asks_nothing_of_it_makes_no_file(store_root: Path) -> None:
    with Store.open(store_root):
        pass
    assert not (store_root / "cache.db").exists()


def test_the_longest_unused_comes_first(store_root: Path) -> None:
    with Store.open(store_root) as store:
        store.cache.put_many("kind", [("a", b""), ("b", b"")])
    with sqlite3.connect(store_root / "cache.db") as connection:
        connection.execute("UPDATE entries SET used = 1")
    with Store.open(store_root) as store:
        store.cache.get("kind", "a")
    with Store.open(store_root) as store:
        assert [key for key, _ in store.cache.entries("kind")] == ["b", "a"]


@pytest.mark.parametrize("damage", [b"not a database, but long enough to be read as one" * 40, b"SQLite format 3\0"])
def test_a_broken_file_is_made_anew(store_root: Path, damage: bytes) -> None:
    with Store.open(store_root) as store:
        store.cache.put("kind", "key", b"value")
    (store_root / "cache.db").write_bytes(damage)
    with Store.open(store_root) as store:
        assert store.cache.get("kind", "key") is None
        store.cache.put("kind", "key", b"again")
        assert store.cache.get("kind", "key") == b"again"


def test_pages_spoilt_in_the_middle_fail_no_command(store_root: Path) -> None:
    with Store.open(store_root) as store:
        store.cache.put_many("kind", [(str(number), b"x" * 100) for number in range(1000)])
    path = store_root / "cache.db"
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)
    with Store.open(store_root) as store:
        assert store.cache.get("kind", "1") is None
        store.cache.put("kind", "1", b"again")
        assert store.cache.get("kind", "1") == b"again"


def test_a_file_of_another_version_is_emptied(store_root: Path) -> None:
    with Store.open(store_root) as store:
        store.cache.put("kind", "key", b"value")
    with sqlite3.connect(store_root / "cache.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    with Store.open(store_root) as store:
        assert store.cache.get("kind", "key") is None
        store.cache.put("kind", "key", b"again")
        assert store.cache.get("kind", "key") == b"again"


def test_many_threads_use_it_at_once(store: Store) -> None:
    def work(number: int) -> bytes | None:
        store.cache.put("kind", str(number), str(number).encode())
        return store.cache.get("kind", str(number))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(200))) == [str(number).encode() for number in range(200)]
