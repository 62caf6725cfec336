"""The processes of a sandbox: started, waited for and killed."""

import contextlib
import threading
from typing import TYPE_CHECKING

from polyarch.errors import CancelledError
from polyarch.sandbox import runtime
from polyarch.sandbox.output import Reader, Sink

if TYPE_CHECKING:
    import subprocess


class Processes:
    """Owns the processes that run. Its methods may be called from any thread."""

    def __init__(self, search_path: str) -> None:
        self._search_path = search_path
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    def run(self, command: list[str], stdin: int | None, stdout: Sink, stderr: Sink, *, terminal: bool) -> int:
        """The exit status of `command`, 128 + n if signal n ended it. On any exception the process is killed.

        Raises CancelledError after `cancel`, and what a function given for `stdout` or `stderr` raised.
        """
        import subprocess

        def stream(sink: Sink) -> int:
            if callable(sink):
                return subprocess.PIPE
            return subprocess.DEVNULL if sink is None else sink

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
                    # Outside of the terminal's foreground group, so that Ctrl-C reaches only this process, which then
                    # kills the child. A child that may read the terminal has to stay in the group.
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
            undo.callback(runtime.kill, child)
            status = child.wait()
        self._refuse_if_cancelled()
        for reader in readers:
            if reader.failure is not None:
                raise reader.failure
        return 128 - status if status < 0 else status

    def cancel(self) -> None:
        """Kill everything that runs; each `run` then raises CancelledError, as later ones do."""
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
