"""The sandbox of a build, created when the first RUN needs it, and a runner for each step."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from polyarch.builder.perform.environment import OngoingBuild
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import RunCommand
from polyarch.errors import CancelledError
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings

if TYPE_CHECKING:
    from polyarch.builder.perform.run import Runner
    from polyarch.sandbox import CopiesAhead, Sandbox

# Seconds between attempts to take a lock that another process holds: waiting for a flock cannot be cancelled.
_PAUSE = 0.01

# Platforms that will run, each with the processor that the options name.
Expected = tuple[tuple[Platform, str | None], ...]


class Runners:
    """Gives each step of a build its `Runner`. Owns their one sandbox, until `close`; safe from many threads.

    A build without RUN imports neither of the two.
    """

    def __init__(self, build: OngoingBuild) -> None:
        self._build = build
        self._environment = build.environment
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._failure: Exception | None = None
        self._expected: Expected = ()
        self._copies: CopiesAhead | None = None

    def begin(self, platforms: Iterable[Platform], run: RunSettings) -> None:
        """Begin to copy the emulators for these platforms, if the store has no copies: then no step will be cached."""
        if not os.path.exists(self._environment.store.layout.emulators):
            self._copy((platform, run) for platform in platforms)

    def expect(self, steps: Iterable[RunCommand]) -> None:
        """Begin to copy the emulators that these steps need. Called once, before the process enters its namespace."""
        self._expected = self._copy((step.platform, step.settings) for step in steps)

    def _copy(self, wanted: Iterable[tuple[Platform, RunSettings]]) -> Expected:
        from polyarch.sandbox import CopiesAhead, chosen

        expected = tuple(dict.fromkeys((platform, chosen(platform, run.emulated_cpus)) for platform, run in wanted))
        if self._copies is None:
            emulators, settings = self._environment.store.layout.emulators, self._environment.settings
            # One child for all builds of a command, of which the first says what it copies.
            self._copies = self._environment.common.once(
                "copies", lambda: CopiesAhead(expected, settings.search_path, emulators, dict(settings.emulators))
            )
        return expected

    def runner(self, outside: Outside) -> "Runner":
        """A runner for one step, which waits for others in `with outside():`. Raises PolyarchError."""
        from polyarch.builder.perform.run import Runner

        def wait(attempt: Callable[[], bool]) -> None:
            """Call `attempt` until it returns True."""
            with outside():
                while not attempt():
                    if self._build.stopped():
                        raise CancelledError
                    time.sleep(_PAUSE)

        sandbox, build = self._made(), self._build
        return Runner(self._environment, build.filesystems, sandbox, build.emit, wait, build.shared_caches)

    def _made(self) -> "Sandbox":
        from polyarch.sandbox import Sandbox

        with self._lock:
            # Each step that needs the sandbox gets the error of the first attempt, and not one of a second attempt.
            if self._failure is not None:
                raise self._failure
            if self._sandbox is None:
                try:
                    directory = self._environment.scratch / "sandbox"
                    directory.mkdir()
                    emulators, settings = self._environment.store.layout.emulators, self._environment.settings
                    self._sandbox = Sandbox(directory, settings.search_path, emulators, dict(settings.emulators))
                    self._sandbox.expect(self._expected)
                except Exception as error:
                    self._failure = error
                    raise
            return self._sandbox

    def cancel(self) -> None:
        """End the processes that run."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.cancel()

    def close(self) -> None:
        """Undo the mounts of the sandbox, and end the copying."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.close()
                self._sandbox = None
            if self._copies is not None:
                self._copies.close()
