"""A served store on a disk that is full: a tmpfs of which a part is left."""

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.served_store import ServedStore
from tests.program import Program
from tests.reliability import crash
from tests.serve.contents import Contents, Where
from tests.serve.load.pushing import Pusher, RefusedError, image

_SIZE = 48 << 20
# Insufficient Storage (RFC 4918, section 11.5).
_STATUS = 507


@contextlib.contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A tmpfs at this directory. It needs root."""
    directory.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "polyarch-tests", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill_up(directory: Path, room: int, name: str) -> list[str]:
    """Let a push meet a disk with `room` bytes left. Returns what is wrong; a push that had enough is right."""
    with small_disk(directory / "disk") as disk:
        server = ServedStore(directory / "server", root=disk / "store")
        try:
            return _filled(server, disk, room, name)
        finally:
            server.stop()


def _filled(server: ServedStore, disk: Path, room: int, name: str) -> list[str]:
    wrong: list[str] = []
    contents = Contents(Where(server.address))
    there, more = image(f"{name} there", layers=70, size=100), image(f"{name} more", layers=3, size=2_000_000)
    with Pusher(server.address) as pusher:
        pusher.push("there", "1", there)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, _free(disk) - room)))
    filled = _free(disk)
    refused = 0
    for attempt in range(3):
        try:
            with Pusher(server.address) as pusher:
                pusher.push("more", f"{attempt}", more)
        except RefusedError as error:
            refused += 1
            wrong += _told(error)
        except OSError as error:
            wrong.append(f"the connection was cut instead of an answer: {error}")
        contents.whole("there", "1")
    if room < 1_000_000 and not refused:
        wrong.append("all was taken, though there was no room")
    # What arrived before the disk was full is removed with its upload; whole blobs may stay for the next attempt.
    if refused and _free(disk) < filled - sum(map(len, more.blobs)):
        wrong.append(f"{filled - _free(disk)} bytes are taken by pushes that failed")
    wrong += _collected(server)
    filler.unlink()
    try:
        with Pusher(server.address) as pusher:
            pusher.push("more", "last", more)
        contents.whole("more", "last")
        contents.whole("there", "1")
    except (RefusedError, AssertionError, OSError) as error:
        wrong.append(f"after there was room again: {error}")
    server.stop()
    wrong += crash.looked_at(server.root, {}, set())
    checked = Program(server.root, disk)("system", "fsck", check=False)
    return wrong + ([str(checked)] if checked.status else [])


def _collected(server: ServedStore) -> list[str]:
    """Start the server again on the full disk, let it look for blobs, and free space by another process meanwhile."""
    root = server.root
    again = ServedStore(server.directory / "again", root=root)
    try:
        with Pusher(again.address) as pusher:
            # More digests than a block of the disk has room for, if the server keeps a list of what it was asked for.
            asked = [
                (path, pusher.ask("HEAD", f"there/blobs/sha256:{path.name}")[0])
                for path in (root / "oci/blobs/sha256").iterdir()
            ]
        wrong = [f"HEAD of {path.name}: status {status}" for path, status in asked if status != 200]
        done = Program(root, server.directory)("system", "prune", "-f", check=False)
        return wrong + ([str(done)] if done.status else [])
    finally:
        again.stop()


def rooms(count: int, seed: int) -> list[int]:
    """How many bytes are left, in so many runs."""
    dice = random.Random(seed)
    return [dice.choice((0, 4, 40, 400, 1200, 3000)) << 10 for _ in range(count)]


def _told(error: RefusedError) -> list[str]:
    if error.status != _STATUS:
        return [f"a full disk is answered so: {error}"]
    try:
        (told,) = json.loads(error.body)["errors"]
    except (ValueError, KeyError, TypeError):
        return [f"this is not an error of the specification: {error}"]
    return [] if "space" in told["message"] else [f"the answer does not say what is wrong: {error}"]


def _free(disk: Path) -> int:
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize
