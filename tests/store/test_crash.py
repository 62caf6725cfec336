"""A process is killed at each point where the store changes: the store stays consistent, and work can continue."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.store import Store
from tests.store.images import describe, image

X = "docker.io/library/x:1"

_POINTS = [
    *(("blob:before-rename", count) for count in (1, 3, 5, 7)),
    *(("blob:after-rename", count) for count in (2, 3, 6)),
    *(("tag:before-replace", count) for count in (1, 2, 3)),
    *(("tag:after-replace", count) for count in (1, 2, 3)),
    ("snapshot:before-rename", 1),
    ("snapshot:after-rename", 1),
    ("gc:marked", 1),
    *(("gc:removed", count) for count in (1, 3, 5)),
]


def work(root: Path, trace: Callable[[str], None] = lambda point: None) -> None:
    """Two images under the same name, a snapshot, a collection: everything that changes a store."""
    with Store.open(root, trace=trace) as store:
        image(store, b"first", X)
        image(store, b"second", X)
        with store.snapshots.prepare("key") as preparation:
            (preparation.path / "file").write_text("content")
            preparation.commit()
        store.put_bytes("", b"garbage")
    with Store.open(root, trace=trace) as store:
        for kept in store.kept():
            store.forget(kept.digest)
        store.maintenance.gc()


def killed_at(root: Path, point: str, count: int) -> bool:
    """Do the work in a process of its own, which is killed when it comes to `point` for the `count`th time."""
    left = count

    def trace(here: str) -> None:
        nonlocal left
        left -= here == point
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            work(root, trace)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(("point", "count"), _POINTS, ids=lambda value: str(value))
def test_a_process_that_is_killed_leaves_a_whole_store(store_root: Path, point: str, count: int) -> None:
    assert killed_at(store_root, point, count)
    leases = store_root / "locks/leases"
    left = set(os.listdir(leases)) if leases.exists() else set()
    with Store.open(store_root) as store:
        assert list(store.maintenance.verify()) == []
        for name in store.tags():
            assert store.missing(store.resolve(name)) == ()
        for descriptor in store.kept():
            assert store.missing(descriptor) == ()
        if (snapshot := store.snapshots.get("key")) is not None:
            assert (snapshot / "file").read_text() == "content"
        assert list((store_root / "tmp").iterdir()) == []
        store.maintenance.gc()
        assert not left & set(os.listdir(leases))
    work(store_root)


def test_it_notices_when_a_blob_is_put_in_its_place_before_it_is_whole(store_root: Path) -> None:
    """The verifier must notice the damage that a careless store causes, or the test above proves nothing."""
    with Store.open(store_root) as store:
        made = image(store, b"layer", X)
        os.truncate(store.blob_path(made.layers[0].digest), 2)
        kinds = {problem.kind for problem in store.maintenance.verify()}
    assert kinds == {"corrupt"}


@pytest.mark.parametrize("interrupted", ["blob:before-rename", "blob:after-rename"])
def test_an_interrupt_leaves_nothing_of_what_was_being_written(store_root: Path, interrupted: str) -> None:
    def trace(point: str) -> None:
        if point == interrupted:
            raise KeyboardInterrupt

    with Store.open(store_root, trace=trace) as store, pytest.raises(KeyboardInterrupt):
        store.put_bytes("", b"layer")
    assert list((store_root / "tmp").iterdir()) == []
    with Store.open(store_root) as store:
        assert store.has_blob(describe(b"layer")) == (interrupted == "blob:after-rename")
        assert list(store.maintenance.verify()) == []
