"""A server that is killed at one point of pushes, and then every promise is checked."""

import contextlib
import http.client
import os
import random
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
        Push("one/image", "1", image(f"{seed} one", layers=3)),
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
    log = directory / "strace.log"
    root = directory / "store"
    shutil.copytree(template, root, symlinks=True)
    prefix = ["strace", "-f", "-o", str(log), "--seccomp-bpf", "-e", f"trace={','.join(_CHANGING)}"]
    server = ServedStore(directory / "server", root=root, prefix=prefix)
    # What it did to start is not a point of a push.
    started = len(log.read_bytes())
    try:
        _push_all(server.address, pushes("probe"), {})
    finally:
        end(server, signal.SIGTERM)
    before: Counter[tuple[str, str]] = Counter()
    text = log.read_text(errors="replace")
    for line in text[:started].splitlines():
        if match := _CALL.match(line):
            before[match[1], match[2]] += 1
    counts = Counter(before)
    found = set()
    for line in text[started:].splitlines():
        if match := _CALL.match(line):
            counts[match[1], match[2]] += 1
            found.add(Point("KILL", match[2], counts[match[1], match[2]]))
    shutil.rmtree(directory)
    return sorted(found)


def kill(template: Path, directory: Path, points: Sequence[Point], dice: random.Random, seed: str) -> Killed:
    """Kill a server once while five clients push, at a system call or at a time, and check everything."""
    root = directory / "store"
    shutil.copytree(template, root, symlinks=True)
    prefix: list[str] = []
    if dice.random() < 0.6:
        # The dice choose the system call first, or most points would be at the one that is made most often.
        call = dice.choice(sorted({point.syscall for point in points}))
        point = dice.choice([point for point in points if point.syscall == call])
        inject = f"inject={call}:signal=KILL:when={point.number}"
        prefix = ["strace", "-f", "-o", str(directory / "log"), "-e", f"trace={call}", "-e", inject]
        name = str(point)
    else:
        seconds = dice.uniform(0.0, 0.35)
        name = f"KILL after {seconds:.3f} s"
    wrong: list[str] = []
    acknowledged: dict[str, str] = {}
    wanted = pushes(seed)
    was_hit, visible = False, 0
    try:
        server = None
        with contextlib.suppress(RuntimeError):  # killed before it listened
            server = ServedStore(directory / "server", root=root, prefix=prefix)
        if server is not None:
            timer = None if prefix else threading.Timer(seconds, end, (server, signal.SIGKILL))
            if timer is not None:
                timer.start()
            wrong += _push_all(server.address, wanted, acknowledged)
            was_hit = len(acknowledged) < len(wanted) or not server.runs
            if timer is not None:
                timer.join()
            end(server, signal.SIGKILL)
        visible = _restarted(root, directory, wanted, acknowledged, wrong)
        wrong += crash.looked_at(root, {}, set())
        checked = Program(root, directory)("system", "fsck", check=False)
        wrong += [str(checked)] if checked.status else []
    finally:
        shutil.rmtree(directory)
    return Killed(name, was_hit, len(acknowledged), visible, tuple(wrong))


def end(server: ServedStore, number: signal.Signals) -> None:
    """End a server, and the tracer that it may run under, which lives as long as what it traces."""
    children = Path("/proc", str(server.pid), "task", str(server.pid), "children")
    with contextlib.suppress(OSError, ProcessLookupError):
        traced = [int(word) for word in children.read_text().split()]
        for process in traced or [server.pid]:
            os.kill(process, number)
    server.wait(_SECONDS)


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
