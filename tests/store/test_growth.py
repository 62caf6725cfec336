"""The cache limit, and the estimate that keeps it without walking the store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.store import Keep, Maintenance, Store, growth, trees
from tests.people import Person
from tests.store.images import image, in_use, write

KILO = 1000
X = "docker.io/library/x:1"


def snapshot(root: Path, key: str, used: int, *, size: int = 10 * KILO) -> None:
    """An unpacked layer that takes `size` bytes, used last at the time `used`."""
    with Store.open(root, cache_limit=None) as store, store.snapshots.prepare(key) as made:
        (made.path / "file").write_bytes(b"x" * size)
        made.commit(size)
    os.utime(root / "snapshots" / key, (used, used))


def add(root: Path, limit: int | None, error: BaseException | None = None) -> None:
    """A command that adds a small blob, and so looks whether the limit is kept."""
    with Store.open(root, cache_limit=limit) as store:
        write(store, b"small")
        if error is not None:
            raise error


def keys(root: Path) -> tuple[str, ...]:
    with Store.open(root) as store:
        return store.snapshots.keys()


def test_the_longest_unused_goes_until_the_limit_is_kept(store_root: Path) -> None:
    for number, key in enumerate(("old", "older", "new")):
        snapshot(store_root, key, used=(2, 1, 3)[number] * 1000)
    with Store.open(store_root) as store:
        size = store.cache.size()
    add(store_root, size + 25 * KILO)
    assert keys(store_root) == ("new", "old")
    assert os.listdir(store_root / "tmp") == []


def test_a_store_that_is_opened_without_a_limit_keeps_the_default_one(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, key in enumerate(("old", "older", "new")):
        snapshot(store_root, key, used=(2, 1, 3)[number] * 1000)
    with Store.open(store_root) as store:
        size = store.cache.size()
    monkeypatch.setattr(growth, "disk_size", lambda path: 10 * (size + 25 * KILO))
    with Store.open(store_root) as store:
        write(store, b"small")
    assert keys(store_root) == ("new", "old")


def test_what_an_image_needs_is_no_cache(store_root: Path) -> None:
    with Store.open(store_root, cache_limit=1) as store:
        made = image(store, b"layer" * KILO, X)
        unnamed = image(store, b"other" * KILO)
        store.keep(unnamed.descriptor())
    add(store_root, 1)
    with Store.open(store_root) as store:
        assert store.missing(made.descriptor()) == store.missing(unnamed.descriptor()) == ()
        assert [item for item in store.maintenance.usage().items if not item.needed] == []


def test_what_a_name_needed_is_cache_when_the_name_is_gone(store_root: Path) -> None:
    with Store.open(store_root) as store:
        image(store, b"layer" * KILO, X)
    add(store_root, 1)
    with Store.open(store_root) as store:
        store.untag(X)
    add(store_root, 1)
    with Store.open(store_root) as store:
        assert store.maintenance.usage().items == ()


def test_what_a_running_command_uses_stays(store_root: Path) -> None:
    snapshot(store_root, "used", used=1000)
    snapshot(store_root, "unused", used=2000)
    with Store.open(store_root) as running:
        assert running.snapshots.get("used")
        with running.caches.open("mount", "shared", lambda files: None) as files:
            Path(files, "file").write_bytes(b"x" * 10 * KILO)
            add(store_root, 1)
            assert keys(store_root) == ("used",)
            assert Path(files, "file").exists()


def test_the_limit_costs_no_look_at_the_store_until_it_is_reached(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store_root, 100 * KILO * KILO)  # the first time, the estimate is made
    snapshot(store_root, "one", used=1000)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the store was looked through")

    monkeypatch.setattr(Maintenance, "gc", fail)
    monkeypatch.setattr(trees, "tree_size", fail)
    add(store_root, 100 * KILO * KILO)
    with pytest.raises(AssertionError):
        add(store_root, KILO)


def test_a_command_that_adds_nothing_does_not_look(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot(store_root, "one", used=1000)
    monkeypatch.setattr(Maintenance, "gc", lambda *_, **__: pytest.fail("the store was looked through"))
    with Store.open(store_root, cache_limit=1) as store:
        assert store.snapshots.get("one")


def test_an_interrupted_command_ends_at_once(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    with pytest.raises(KeyboardInterrupt):
        add(store_root, 1, KeyboardInterrupt())
    assert keys(store_root) == ("one",)


def test_a_command_that_failed_keeps_the_limit_too(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    with pytest.raises(ValueError, match="failed"):
        add(store_root, 1, ValueError("failed"))
    assert keys(store_root) == ()


def test_a_store_that_is_busy_is_tidied_another_time(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    with Store.open(store_root, cache_limit=1) as store:
        write(store, b"small")
        store.snapshots.close()
        with in_use(store):
            store.close()
    assert keys(store_root) == ("one",)
    add(store_root, 1)
    assert keys(store_root) == ()


def test_a_cache_mount_counts_with_what_it_has_grown_to(store_root: Path) -> None:
    with (
        Store.open(store_root, cache_limit=None) as store,
        store.caches.open("mount", "shared", lambda files: None) as files,
    ):
        Path(files, "file").write_bytes(b"x" * 100 * KILO)
    with Store.open(store_root, cache_limit=None) as store:
        (name,) = store.caches.names()
        assert store.caches.remembered_size(name) >= 100 * KILO
        assert store.caches.identity(name) == "mount"
        with store.caches.open("mount", "shared", lambda files: None) as files:
            Path(files, "more").write_bytes(b"x" * 100 * KILO)
    with Store.open(store_root, cache_limit=None) as store:
        assert store.caches.remembered_size(name) < 200 * KILO, "it was measured a moment ago"
        assert store.caches.size(name) >= 200 * KILO
    add(store_root, 150 * KILO)
    with Store.open(store_root) as store:
        assert store.caches.names() == []


def test_what_hides_from_a_process_counts_as_it_was_remembered(unprivileged: Person) -> None:
    # As df without root, outside of the user namespace in which a RUN made a directory of mode 0700.
    result = unprivileged.run(
        sys.executable,
        "-c",
        """if True:
            import os
            from polyarch.store import growth
            os.makedirs("cache/files/closed")
            with open("cache/files/closed/file", "wb") as file:
                file.write(b"x" * 100_000)
            before = growth.measured("cache", "files")
            os.chmod("cache/files/closed", 0)
            print(before, growth.measured("cache", "files"), growth.size_of("cache", "files"))
            os.unlink("cache/size")
            print(growth.measured("cache", "files"))
        """,
        cwd=unprivileged.directory,
    )
    first, second = result.stdout.splitlines()
    sizes = [int(word) for word in first.split()]
    assert sizes[0] >= 100_000
    assert sizes == [sizes[0]] * 3
    assert int(second) < 100_000


def test_the_size_of_a_snapshot_is_measured_where_it_is_not_remembered(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    (store_root / "snapshots/one/size").unlink()
    with Store.open(store_root) as store:
        assert store.snapshots.size("one") >= 10 * KILO
    assert (store_root / "snapshots/one/size").exists()


def test_a_dead_estimate_is_made_anew(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    with Store.open(store_root) as store:
        store.cache.clear()
    add(store_root, KILO)
    assert keys(store_root) == ()


def test_the_file_of_small_facts_is_kept_small_too(store_root: Path) -> None:
    with Store.open(store_root) as store:
        for number in range(20):
            store.cache.put("listing", f"{number:02}", bytes(10 * KILO))
        store.cache.trim(55 * KILO)
        assert len(store.cache.entries("listing")) == 5
        store.cache.trim(55 * KILO)
        assert len(store.cache.entries("listing")) == 5


def test_a_prune_corrects_the_estimate(store_root: Path) -> None:
    snapshot(store_root, "one", used=1000)
    with Store.open(store_root) as store:
        assert store.maintenance.gc(Keep(caches=False)).cache == 0
        store.cache.close()
        assert growth.Growth(store.cache).estimate() == 0


def test_the_default_is_a_tenth_of_the_disk_or_20_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "disk_size", lambda path: 50 * 10**9)
    assert growth.default_limit(str(tmp_path)) == 5 * 10**9
    monkeypatch.setattr(growth, "disk_size", lambda path: 10**12)
    assert growth.default_limit(str(tmp_path)) == 20 * 10**9
    monkeypatch.undo()
    assert growth.disk_size(str(tmp_path / "not" / "there")) == growth.disk_size(str(tmp_path)) > 0


_WORK = """
import sys
from pathlib import Path
from polyarch.store import Store

for turn in range(40):
    key = f"key{turn % 7}"
    with Store.open(sys.argv[1], cache_limit=25_000) as store:
        path = store.snapshots.get(key)
        if path is None:
            with store.snapshots.prepare(key) as made:
                (made.path / "file").write_bytes(key.encode() * 1000)
                path = made.commit()
        with store.caches.open("mount", "shared", lambda files: None) as files:
            Path(files, sys.argv[2]).write_bytes(b"x" * 5000)
            assert (path / "file").read_bytes() == key.encode() * 1000
"""


def test_commands_at_once_never_lose_what_they_use(store_root: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORK, str(store_root), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
    add(store_root, 25 * KILO)
    with Store.open(store_root) as store:
        assert store.maintenance.usage().cache <= 25 * KILO
        assert os.listdir(store_root / "tmp") == []
