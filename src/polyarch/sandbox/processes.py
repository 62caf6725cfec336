"""Starting the processes of a sandbox, waiting for them and killing them."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from polyarch.errors import CancelledError
from polyarch.sandbox import runtime
from polyarch.sandbox.output import Reader, Sink
from polyarch.sandbox.running import RunningProcess
from polyarch.sandbox.watch import Watch

if TYPE_CHECKING:
    import subprocess


class Processes:
    """Owns the running processes. Its methods may be called from any thread."""

    def __init__(self, search_path: str) -> None:
        self._search_path = search_path
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    @contextlib.contextmanager
    def start(
        self,
        command: list[str],
        stdin: int | None,
        stdout: Sink,
        stderr: Sink,
        *,
        terminal: bool,
        watch: Watch | None,
        ended: Callable[[int], None],
    ) -> Iterator[RunningProcess]:
        """Start `command` and yield it. When the block ends, however it ends, it is killed.

        Raises CancelledError after `cancel`. `ended`: see `RunningProcess`.
        """
        import subprocess

        def stream(sink: Sink) -> int:
            if callable(sink):
                return subprocess.PIPE
            return subprocess.DEVNULL if sink is None else sink

        def check(status: int | None) -> None:
            self._refuse_if_cancelled()
            for reader in readers:
                if reader.failure is not None:
                    raise reader.failure
            if status is not None:
                ended(status)

        with contextlib.ExitStack() as undo:
            with self._lock:
                self._refuse_if_cancelled()
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL if stdin is None else stdin,
                    stdout=stream(stdout),
                    stderr=stream(stderr),
                    env={"PATH": self._search_path},
                    cwd="/",
                    # Outside the terminal's foreground group, Ctrl-C reaches only this process, which then kills the
                    # child. A child that may read the terminal must stay in the group.
                    process_group=0 if stdin is None and not terminal else None,
                )
                self._running.add(child)
            undo.callback(self._reap, child)
            readers = [
                Reader(pipe, sink, child)
                for pipe, sink in ((child.stdout, stdout), (child.stderr, stderr))
                if pipe is not None and callable(sink)
            ]
            for reader in readers:
                undo.callback(reader.join)
            running = RunningProcess(child, readers, watch, check)
            undo.callback(running.kill)
            yield running

    def cancel(self) -> None:
        """Kill everything that runs. Each current and later `run` then raises CancelledError."""
        with self._lock:
            self._cancelled = True
            runtime.kill(*self._running)

    def _reap(self, child: "subprocess.Popen[bytes]") -> None:
        child.wait()
        with self._lock:
            self._running.discard(child)

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled:
            raise CancelledError
