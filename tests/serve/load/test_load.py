"""A served store under load and faults, in short. `make soak` does it at length."""

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.serve import server as serving
from polyarch.serve.settings import ServeSettings
from scripts.served_store import ServedStore, running
from tests.needs import need_root
from tests.reliability import faults
from tests.serve.load import collecting, full, killing, rude
from tests.serve.load.pushing import Pusher, digest_of, image
from tests.serve.load.rude import Crowd

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("serve-load")]

_LOAD = Path(__file__).parents[3] / "bench/load.py"
_MEMORY = 200e6
# What a good client may wait at most. Alone it waits for some milliseconds, and machines of CI are shared.
_PATIENCE = 2.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedStore]:
    with running(tmp_path / "served") as server:
        yield server


def test_many_pulls_and_pushes_at_once_arrive_whole_in_little_memory(served: ServedStore) -> None:
    assert _load(served, "push", "image", 1, 4, 2_000_000, "one")["bytes"] >= 8_000_000
    assert _load(served, "pull", "image-0", "one-0", 200)["bytes"] >= 1_600_000_000
    assert _load(served, "push", "images", 50, 2, 500_000, "many")["bytes"] >= 50_000_000
    assert served.peak_memory() < _MEMORY


def test_more_pulls_at_once_than_files_that_a_process_may_open_by_default(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        server = ServedStore(tmp_path / "served")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        _load(server, "push", "image", 1, 1, 1_000_000, "one")
        assert _load(server, "pull", "image-0", "one-0", 150)["bytes"] >= 150_000_000
    finally:
        server.stop()


def test_after_a_kill_every_tag_is_whole_and_every_answered_push_is_there(tmp_path: Path) -> None:
    faults.need_strace(tmp_path)
    template = killing.prepared(tmp_path / "prepared")
    points = killing.possible_points(template, tmp_path / "points")
    assert {"rename", "fdatasync", "write", "unlink", "sendto"} <= {point.syscall for point in points}
    done = [killing.kill(template, tmp_path / "killed", points, random.Random(seed), str(seed)) for seed in (1, 5, 8)]
    assert [one for one in done if one.wrong] == []
    # How many calls a thread makes differs from run to run.
    assert any(one.was_hit for one in done)
    assert all(one.visible >= 2 for one in done)


def test_a_full_disk_is_said_and_what_was_there_still_serves(tmp_path: Path) -> None:
    need_root()
    assert full.fill_up(tmp_path, 40 << 10, "full") == []


def test_slow_and_rude_clients_hold_nobody_up(served: ServedStore) -> None:
    big = image("big", layers=1, size=8_000_000)
    with Pusher(served.address) as pusher:
        pusher.push("big", "1", big)
        places = [pusher.begin("left") for _ in range(20)]
    blob = f"/v2/big/blobs/{digest_of(big.blobs[1])}"
    with Crowd(served.address) as crowd:
        crowd.slow_heads(100)
        crowd.slow_bodies(50, places)
        crowd.never_reading(50, blob)
        crowd.gone(40, places, random.Random(1))
        answers = dict(crowd.wrong(places[0]))
        crowd.drip()
        felt = rude.beside(served.address, 2, 1.5)
    assert [one.wrong for one in felt] == [[], []]
    assert max(one.longest for one in felt) < _PATIENCE
    assert {name: answer for name, answer in answers.items() if b" 400 " not in answer and b" 416 " not in answer} == {}
    assert served.peak_memory() < _MEMORY
    assert "Traceback" not in served.log.read_text()


def test_uploads_that_were_left_are_cleared(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with serving.running(root, ServeSettings(port=0, upload_seconds=0.2)) as address, Pusher(address) as pusher:
        place = pusher.begin("left")
        headers = {"Content-Range": "0-999", "Content-Type": "application/octet-stream"}
        place = pusher.expect(202, "PATCH", place, bytes(1000), headers)["location"]
        assert _unfinished(root) == 1
        deadline = time.monotonic() + 20
        while _unfinished(root) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _unfinished(root) == 0
        assert pusher.ask("GET", place)[0] == 404


def test_collections_beside_pushes_and_deletions_lose_nothing(tmp_path: Path) -> None:
    tally = collecting.work(tmp_path / "served", 3.0, 1)
    assert tally.wrong == ()
    assert min(tally.pushed, tally.pulled, tally.collected) > 0


def _unfinished(root: Path) -> int:
    """How many files of unfinished blobs there are."""
    return sum(path.is_file() for path in (root / "tmp").rglob("*"))


def _load(server: ServedStore, kind: str, *words: object) -> dict[str, float]:
    command = [sys.executable, "-IS", str(_LOAD), kind, server.address, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    return told
