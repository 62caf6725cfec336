"""Pushes, pulls and deletions at a server, while other processes collect the garbage of its store."""

import http.client
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.served_store import ServedStore
from tests.program import Program
from tests.serve.contents import Contents, Where
from tests.serve.load.pushing import Document, Pusher, RefusedError, image, index

# The layers that images share: when an image is deleted, those of the others must stay.
_SHARED = [random.Random(f"shared {number}").randbytes(60_000) for number in range(3)]
_REMEMBERED = 6


class Tally(NamedTuple):
    """What was done, and what went wrong."""

    pushed: int
    pulled: int
    deleted: int
    collected: int
    wrong: Sequence[str]


class _Workers:
    """Threads that share what they pushed. Each owns a repository, and is the only one that deletes from it."""

    def __init__(self, server: ServedStore, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.wrong: list[str] = []
        self.pushed = self.pulled = self.deleted = self.collected = 0
        self.kept: dict[str, Document] = {}
        self._mutex = threading.Lock()

    def push(self, number: int) -> Callable[[], None]:
        dice = random.Random(f"{self.seed} push {number}")
        own: list[tuple[str, Document]] = []
        pusher = Pusher(self.server.address)
        repository = f"worker/{number}"

        def step() -> None:
            tag = f"v{self.pushed}-{number}"
            document = image(f"{self.seed} {repository} {tag}", layers=2, size=80_000, shared=[dice.choice(_SHARED)])
            if dice.random() < 0.3:
                document = index(document, image(f"{tag} arm64", layers=1, shared=[dice.choice(_SHARED)]))
            pusher.push(repository, tag, document)
            with self._mutex:
                self.pushed += 1
                self.kept[f"{repository}:{tag}"] = document
            own.append((tag, document))
            if len(own) > _REMEMBERED:
                tag, _ = own.pop(dice.randrange(len(own)))
                with self._mutex:
                    del self.kept[f"{repository}:{tag}"]
                pusher.delete(repository, tag)
                self.deleted += 1

        return step

    def pull(self, number: int) -> Callable[[], None]:
        dice = random.Random(f"{self.seed} pull {number}")
        contents = Contents(Where(self.server.address))

        def step() -> None:
            with self._mutex:
                names = sorted(self.kept)
            if not names:
                time.sleep(0.01)
                return
            name = dice.choice(names)
            repository, _, tag = name.partition(":")
            try:
                contents.whole(repository, tag)
            except (OSError, AssertionError):
                # It may have been deleted while it was pulled.
                with self._mutex:
                    if name in self.kept:
                        raise
            self.pulled += 1

        return step

    def collect(self, number: int) -> Callable[[], None]:
        polyarch = Program(self.server.root, self.server.directory)
        words = [["system", "prune", "-f", "-a"], ["system", "prune", "-f"], ["system", "fsck"]]

        def step() -> None:
            done = polyarch(*words[self.collected % len(words)], check=False)
            if done.status:
                self.wrong.append(str(done))
            self.collected += 1

        return step


def work(directory: Path, seconds: float, seed: int) -> Tally:
    """Three threads push and delete, two pull, one collects, for so many seconds."""
    server = ServedStore(directory)
    try:
        workers = _Workers(server, seed)
        steps = [workers.push(number) for number in range(3)] + [workers.pull(number) for number in range(2)]
        deadline = time.monotonic() + seconds
        threads = [threading.Thread(target=_repeat, args=(step, deadline, workers.wrong)) for step in steps]
        threads.append(threading.Thread(target=_repeat, args=(workers.collect(0), deadline, workers.wrong)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        contents = Contents(Where(server.address))
        for name, document in workers.kept.items():
            repository, _, tag = name.partition(":")
            try:
                found = contents.whole(repository, tag)
            except (OSError, AssertionError) as error:
                workers.wrong.append(f"{name} in the end: {error}")
                continue
            if document.digest not in found:
                workers.wrong.append(f"{name} is another manifest than {document.digest}")
        if set(contents.tags()) != set(workers.kept):
            workers.wrong.append(f"tags: {sorted(set(contents.tags()) ^ set(workers.kept))}")
        return Tally(workers.pushed, workers.pulled, workers.deleted, workers.collected, tuple(workers.wrong))
    finally:
        server.stop()


def _repeat(step: Callable[[], None], deadline: float, wrong: list[str]) -> None:
    while time.monotonic() < deadline and not wrong:
        try:
            step()
        except (RefusedError, AssertionError, OSError, http.client.HTTPException) as error:
            wrong.append(f"{type(error).__name__}: {error}")
