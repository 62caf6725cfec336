"""The faults of a served store at length, as parts of `make soak`."""

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scripts.served_store import running
from tests.reliability.part import Part
from tests.serve.load import collecting, full, killing, rude
from tests.serve.load.pushing import Pusher, digest_of, image
from tests.serve.load.rude import Crowd

# Seconds that a good client may wait for an answer while the others are rude.
_PATIENCE = 2.0


def parts(directory: Path, points: int, seconds: int, seed: int) -> Iterator[Part]:
    """All of them, in a directory that is removed afterwards. `points`: kills; `seconds`: beside collections."""
    try:
        yield _kills(directory / "kills", points, seed)
        yield _full_disks(directory / "full", points // 8, seed)
        yield _rude(directory / "rude")
        yield _collections(directory / "collections", seconds, seed)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _kills(directory: Path, points: int, seed: int) -> Part:
    started = time.monotonic()
    template = killing.prepared(directory / "prepared")
    possible = killing.possible_points(template, directory / "points")
    done: list[killing.Killed] = []
    attempts = 0
    # Points that the run did not reach are not counted.
    while sum(one.was_hit for one in done) < points and attempts < 3 * points:
        dice = random.Random(f"{seed} {attempts}")
        done.append(killing.kill(template, directory / "killed", possible, dice, f"{seed} {attempts}"))
        attempts += 1
    hits = [one for one in done if one.was_hit]
    where = Counter(one.point.split()[2] if " at " in one.point else "at a time" for one in hits)
    line = (
        f"A server was killed at {len(hits)} points while five clients pushed images, an index, a tag that moves, "
        f"layers that two of them share, and a referrer: {sum(one.acknowledged for one in hits)} pushes had been "
        "answered. After a restart every tag was compared with what it may stand for, everything that it reaches was "
        "read and compared with its digest, every answered push had to be there, and all was pushed again."
    )
    places = "Points: " + ", ".join(f"{call} {count}" for call, count in where.most_common()) + "."
    wrong = [f"{one.point}: {'; '.join(one.wrong)}" for one in done if one.wrong]
    return Part("A registry that is killed", [line, "", places], wrong, time.monotonic() - started)


def _full_disks(directory: Path, count: int, seed: int) -> Part:
    started = time.monotonic()
    wrong: list[str] = []
    for number, room in enumerate(full.rooms(count, seed)):
        wrong += [f"{room} bytes left: {told}" for told in full.fill_up(directory / str(number), room, str(number))]
    line = (
        f"{count} registries got an image of 6 MB on a tmpfs with 0 to 3,000 KiB left: each said so, served what was "
        "there, and took the image when there was room again."
    )
    return Part("A registry on a full disk", [line], wrong, time.monotonic() - started)


def _rude(directory: Path) -> Part:
    started = time.monotonic()
    wrong: list[str] = []
    big = image("big", layers=1, size=30_000_000)
    with running(directory) as server:
        alone = rude.beside(server.address, 4, 5)
        with Pusher(server.address) as pusher:
            pusher.push("big", "1", big)
            places = [pusher.begin("left") for _ in range(50)]
        before = _files(server.pid)
        with Crowd(server.address) as crowd:
            crowd.slow_heads(200)
            crowd.slow_bodies(100, places)
            crowd.never_reading(200, f"/v2/big/blobs/{digest_of(big.blobs[1])}")
            crowd.gone(200, places, random.Random(1))
            unanswered = [name for name, answer in crowd.wrong(places[0]) if not answer]
            crowd.drip()
            felt = rude.beside(server.address, 4, 10)
        time.sleep(1)
        after, memory = _files(server.pid), server.peak_memory() / 1e6
    wrong += [told for one in (*alone, *felt) for told in one.wrong]
    wrong += [f"no answer to {name}" for name in unanswered]
    longest = max(one.longest for one in felt)
    if longest > _PATIENCE:
        wrong.append(f"a good client waited {longest:.2f} s")
    # An upload that can be continued keeps its file.
    if after > before + len(places) + 5:
        wrong.append(f"{after} files are open, and {before} were before")
    line = (
        "200 requests whose fields never end, 100 uploads that stop, 200 pulls that are never read, 200 uploads that "
        "are cut, and 11 requests that contradict themselves, beside four clients that push and pull: their median "
        f"request took {_middle(felt):.1f} ms, the longest {longest * 1000:.0f} ms (alone: {_middle(alone):.1f} and "
        f"{max(one.longest for one in alone) * 1000:.0f} ms). The server took {memory:.0f} MB at most."
    )
    return Part("Slow and rude clients of a registry", [line], wrong, time.monotonic() - started)


def _collections(directory: Path, seconds: int, seed: int) -> Part:
    started = time.monotonic()
    tally = collecting.work(directory, seconds, seed)
    line = (
        f"For {seconds} s, {tally.collected} collections of garbage and searches for damage ran beside {tally.pushed} "
        f"pushes, {tally.pulled} pulls and {tally.deleted} deletions: what was pushed and not deleted was whole at all "
        "times."
    )
    return Part("A registry and collections of garbage", [line], list(tally.wrong), time.monotonic() - started)


def _files(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def _middle(felt: list[rude.Felt]) -> float:
    """The median in milliseconds."""
    seconds = sorted(second for one in felt for second in one.seconds)
    return seconds[len(seconds) // 2] * 1000
