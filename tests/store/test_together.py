"""Several processes on one store at once."""

import subprocess
import sys
from pathlib import Path

from polyarch.store import Store
from tests.store.images import image

_PROCESSES = 4
_SECONDS = 1.5

_WORK = """
import random, sys, time
from polyarch.errors import NotFoundError
from polyarch.store import Store
from tests.store.images import image

number, seed, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
dice = random.Random(seed * 100 + number)
deadline = time.monotonic() + seconds
done = 0
while time.monotonic() < deadline:
    with Store.open(sys.argv[1]) as store:
        name = f"docker.io/library/x{dice.randrange(4)}:1"
        match dice.randrange(6):
            case 0 | 1:
                content = bytes([dice.randrange(8)]) * 10_000
                made = image(store, content)
                time.sleep(dice.random() * 0.01)  # a collection may run now
                assert store.missing(made.descriptor()) == (), "what was written is gone"
                store.tag(name, made.descriptor())
            case 2:
                try:
                    found = store.resolve(name)
                except NotFoundError:
                    continue
                time.sleep(dice.random() * 0.01)
                assert store.missing(found) == (), "what a name pointed at is gone"
            case 3:
                try:
                    store.untag(name)
                except NotFoundError:
                    continue
            case 4:
                key = f"key{dice.randrange(3)}"
                path = store.snapshots.get(key)
                if path is None:
                    with store.snapshots.prepare(key) as preparation:
                        (preparation.path / "file").write_text(key)
                        path = preparation.commit()
                time.sleep(dice.random() * 0.01)
                assert (path / "file").read_text() == key
                store.cache.put("kind", key, str(path).encode())
            case 5:
                for kept in store.kept():
                    store.forget(kept.digest)
                store.maintenance.gc()
        done += 1
print(done)
"""


def test_processes_that_write_name_remove_and_collect_at_once_do_not_hurt_each_other(store_root: Path) -> None:
    repository = Path(__file__).parents[2]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORK, str(store_root), str(number), "1", str(_SECONDS)],
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(_PROCESSES)
    ]
    for worker in workers:
        output, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert int(output) > 10
    with Store.open(store_root) as store:
        assert list(store.maintenance.verify()) == []
        store.maintenance.gc()
        assert list((store_root / "tmp").iterdir()) == []
        for name in store.tags():
            assert store.missing(store.resolve(name)) == ()


def test_names_that_two_processes_give_at_once_are_both_there(store_root: Path) -> None:
    code = """
import sys
from polyarch.store import Store
from tests.store.images import image

with Store.open(sys.argv[1]) as store:
    made = image(store, b"layer")
    for number in range(25):
        store.tag(f"docker.io/library/x{number}:{sys.argv[2]}", made.descriptor())
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(store_root), tag], cwd=Path(__file__).parents[2])
        for tag in ("a", "b")
    ]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    with Store.open(store_root) as store:
        assert len(store.tags()) == 50


def test_a_collection_does_not_wait_for_a_store_that_stays_open(store_root: Path) -> None:
    with Store.open(store_root) as long_build:
        made = image(long_build, b"layer")
        with Store.open(store_root) as prune:
            assert prune.maintenance.gc().removed == ()
        assert long_build.missing(made.descriptor()) == ()
