"""Farms of real processes on loopback, for tests."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.program import Program

# Seconds that a process of a farm gets to start: the machine of the tests may be busy.
START = 60.0


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def until(condition: Callable[[], Any], what: str, seconds: float = START) -> Any:
    """Call `condition` until its result is true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        found = condition()
        if found:
            return found
        now = time.monotonic()
        assert now < deadline, f"not within {seconds} s: {what}"
        # What costs much is asked less often.
        time.sleep(max(0.05, 1.5 * (now - began)))


class Started:
    """A process of a farm, whose output goes to a file. It owns the process until `end`."""

    def __init__(
        self, polyarch: Program, output: Path, *arguments: str | Path, env: dict[str, str] | None = None
    ) -> None:
        self.output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [polyarch.path, *map(os.fspath, arguments)],
                env={**polyarch.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def waits_for(self, words: str, seconds: float = START) -> None:
        """Wait until it has said something."""

        def found() -> bool:
            assert self.process.poll() is None or words in self.said, f"it ended without {words!r}: {self.said}"
            return words in self.said

        until(found, f"{words!r} in: {self.said}", seconds)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.said}") from None


class Farm:
    """A scheduler and its members. It owns their processes until `close`."""

    def __init__(self, polyarch: Program, directory: Path, *, silence: float = 20) -> None:
        self.polyarch = polyarch
        self.directory = directory
        self.certificates = directory / "certificates"
        self.silence = str(silence)
        self.address = f"tls://127.0.0.1:{free_port()}"
        self.env = {"POLYARCH_FARM": self.address, "POLYARCH_FARM_CERT": str(self.certificates)}
        self._number = 0
        self._started: list[Started] = []
        directory.mkdir(parents=True, exist_ok=True)
        polyarch("farm", "init", self.certificates)
        self.scheduler = self.start_scheduler()

    def start(self, *arguments: str | Path, env: dict[str, str] | None = None) -> Started:
        self._number += 1
        output = self.directory / f"output-{self._number}"
        started = Started(self.polyarch, output, *arguments, env={**self.env, **(env or {})})
        self._started.append(started)
        return started

    def start_scheduler(self) -> Started:
        listen = self.address.partition("://")[2]
        # Only its owner leaves nothing there.
        scratch = self.directory / "scratch"
        scratch.mkdir(exist_ok=True)
        env = {"TMPDIR": str(scratch)}
        started = self.start("farm", "scheduler", "--listen", listen, "--silence", self.silence, env=env)
        started.waits_for(self.address)
        return started

    def member(self, name: str, *options: str | Path, address: str | None = None) -> Started:
        """Start a member with a store of its own, and wait until it has joined."""
        root = self.directory / f"store-{name}"
        started = self.start(
            "farm",
            "worker",
            address or self.address,
            "--name",
            name,
            "--silence",
            self.silence,
            *(() if "--slots" in options else ("--slots", "1")),
            *options,
            env={"POLYARCH_ROOT": str(root)},
        )
        started.waits_for(f"{name} is a member")
        return started

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.polyarch("farm", "status", "--json", env=self.env).stdout)
        return found

    def close(self) -> None:
        for one in reversed(self._started):
            with contextlib.suppress(AssertionError):
                one.end()


@contextlib.contextmanager
def farm(polyarch: Program, directory: Path, **options: Any) -> Iterator[Farm]:
    """A farm without members."""
    opened: Farm | None = None
    try:
        opened = Farm(polyarch, directory, **options)
        yield opened
    finally:
        if opened is not None:
            opened.close()
