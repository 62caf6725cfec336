"""A server that is killed at one point of pushes, and then every promise is checked."""

import contextlib
import http.client
import random
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.served_store import ServedStore
from tests.program import Program
from tests.reliability import crash
from tests.reliability.faults import Point
from tests.serve.contents import Contents, Where
from tests.serve.load.pushing import Document, Pusher, RefusedError, image, index

# What changes a disk, and what answers.
_CHANGING = "write openat mkdir rename unlink fdatasync fsync flock ftruncate sync_file_range utimensat sendto".split()
_CALL = re.compile(r"^(\d+) +([a-z0-9_]+)\((.*)")
_SECONDS = 60.0
# How many of the points are system calls; the others are times, in seconds after the pushes have begun.
_AT_CALLS = 0.6
_LONGEST = 0.15


class Push(NamedTuple):
    """A manifest and the tag that it gets. `before` is what the tag may stand for until then."""

    repository: str
    tag: str
    document: Document
    before: str = ""


class Killed(NamedTuple):
    """What came of one point. `acknowledged` counts the pushes that had been answered with 201."""

    point: str
    was_hit: bool
    acknowledged: int
    visible: int
    wrong: tuple[str, ...]


_SHARED = random.Random("shared").randbytes(150_000)
_OLD = image("old", shared=[_SHARED])


def pushes(seed: str) -> Sequence[Push]:
    """What is pushed at once: an image, an index, a tag that moves, the same layers twice, and a referrer."""
    new = image(f"{seed} new", shared=[_SHARED])
    return (
        Push("one/image", "1", image(f"{seed} one", layers=3, size=1_200_000)),
        Push("two/index", "1", index(image(f"{seed} two"), image(f"{seed} three"))),
        Push("moved", "latest", new, before=_OLD.digest),
        Push("same/layers", "1", new),
        Push("referring", "1", image(f"{seed} referrer", subject=_OLD)),
    )


def prepared(directory: Path) -> Path:
    """A store in which the tag that moves has its first image: copied for each point."""
    server = ServedStore(directory)
    try:
        with Pusher(server.address) as pusher:
            pusher.push("moved", "latest", _OLD)
            pusher.push("referring", "old", _OLD)
    finally:
        server.stop()
    return server.root


def possible_points(template: Path, directory: Path) -> list[Point]:
    """Where the server can be killed: found by one whole run under strace."""
    shutil.copytree(template, directory / "store", symlinks=True)
    server = ServedStore(directory / "server", root=directory / "store")
    try:
        with _traced(server, directory, f"trace={','.join(_CHANGING)}"):
            refused = _push_all(server.address, pushes("probe"), {})
            assert not refused, refused
            server.stop()
        counts: Counter[tuple[str, str]] = Counter()
        found = set()
        for line in (directory / "strace.log").read_text(errors="replace").splitlines():
            if match := _CALL.match(line):
                counts[match[1], match[2]] += 1
                found.add(Point("KILL", match[2], counts[match[1], match[2]]))
        return sorted(found)
    finally:
        server.stop()
        shutil.rmtree(directory)


def kill(template: Path, directory: Path, points: Sequence[Point], dice: random.Random, seed: str) -> Killed:
    """Kill a server once while five clients push, at a system call or at a time, and check everything."""
    root = directory / "store"
    shutil.copytree(template, root, symlinks=True)
    wrong: list[str] = []
    acknowledged: dict[str, str] = {}
    wanted = pushes(seed)
    server = ServedStore(directory / "server", root=root)
    try:
        if dice.random() < _AT_CALLS:
            # The dice choose the system call first, or most points would be at the one that is made most often.
            call = dice.choice(sorted({point.syscall for point in points}))
            point = dice.choice([point for point in points if point.syscall == call])
            name = str(point)
            inject = f"inject={call}:signal=KILL:when={point.number}"
            with _traced(server, directory, f"trace={call}", inject):
                wrong += _push_all(server.address, wanted, acknowledged)
                was_hit = not server.runs
                server.kill()
        else:
            seconds = dice.uniform(0.0, _LONGEST)
            name = f"KILL after {seconds:.3f} s"
            timer = threading.Timer(seconds, server.kill)
            timer.start()
            wrong += _push_all(server.address, wanted, acknowledged)
            was_hit = len(acknowledged) < len(wanted)
            timer.join()
        visible = _restarted(root, directory, wanted, acknowledged, wrong)
        wrong += crash.looked_at(root, {}, set())
        checked = Program(root, directory)("system", "fsck", check=False)
        wrong += [str(checked)] if checked.status else []
    finally:
        server.kill()
        shutil.rmtree(directory)
    return Killed(name, was_hit, len(acknowledged), visible, tuple(wrong))


@contextlib.contextmanager
def _traced(server: ServedStore, directory: Path, *expressions: str) -> Iterator[None]:
    """strace on a server that runs, which must have ended when the `with` does. The numbers of its calls begin here."""
    words = [word for expression in expressions for word in ("-e", expression)]
    command = ["strace", "-f", "-o", str(directory / "strace.log"), *words, "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            assert tracer.stderr is not None
            # "Process 123 attached", for each thread.
            said = tracer.stderr.readline()
            assert b"attached" in said, said
            yield
        finally:
            server.kill()
            tracer.communicate(timeout=_SECONDS)


def _push_all(address: str, wanted: Sequence[Push], acknowledged: dict[str, str]) -> list[str]:
    """Push all at once. What was answered with 201 is put into `acknowledged`; returns the refusals."""
    refused: list[str] = []

    def one(push: Push) -> None:
        try:
            with Pusher(address) as pusher:
                pusher.push(push.repository, push.tag, push.document)
            acknowledged[f"{push.repository}:{push.tag}"] = push.document.digest
        except RefusedError as error:
            refused.append(str(error))
        except (OSError, http.client.HTTPException):
            pass  # the server is gone

    threads = [threading.Thread(target=one, args=(push,)) for push in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def _restarted(
    root: Path, directory: Path, wanted: Sequence[Push], acknowledged: Mapping[str, str], wrong: list[str]
) -> int:
    """Start a server on what is left, compare all that it shows, and push again. The number of tags that were there."""
    started = time.monotonic()
    server = ServedStore(directory / "again", root=root)
    found: dict[str, str] = {}
    try:
        contents = Contents(Where(server.address))
        found = contents.tags()
        for name, digest in found.items():
            repository, _, tag = name.partition(":")
            allowed = {push.document.digest for push in wanted if f"{push.repository}:{push.tag}" == name}
            allowed |= {push.before for push in wanted if f"{push.repository}:{push.tag}" == name}
            if digest not in allowed | ({_OLD.digest} if name == "referring:old" else set()):
                wrong.append(f"{name} is {digest}")
            contents.whole(repository, tag)
        lost = {name: digest for name, digest in acknowledged.items() if found.get(name) != digest}
        if lost:
            wrong.append(f"lost, though answered with 201: {lost}")
        told: dict[str, str] = {}
        wrong += _push_all(server.address, wanted, told)
        if len(told) < len(wanted):
            wrong.append(f"pushed again: {sorted(told)} only")
        for push in wanted:
            contents.whole(push.repository, push.tag)
    except (AssertionError, OSError) as error:
        wrong.append(f"{type(error).__name__}: {error}")
    finally:
        server.stop()
    if time.monotonic() - started > _SECONDS:
        wrong.append("it took a minute")
    return len(found)
