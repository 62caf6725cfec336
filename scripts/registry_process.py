"""A registry as a process on a free port of loopback: how it is started, watched and ended, whichever program it is."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class RegistryProcess:
    """A running registry and its log. Who makes it ends it: `stop()`, or `kill()`.

    `address` is host:port, as in a reference. Everything lies below `directory`.
    """

    def __init__(
        self,
        directory: Path,
        command: Sequence[str],
        listening: re.Pattern[str],
        *,
        scheme: str = "http",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command, and return when it has said where it listens.

        listening: finds the line of the log that says so, with the port as its group `port`.
        environment: its whole environment; None: this process's.

        Raises RuntimeError with what it said when it ends instead, or takes too long.
        """
        self.directory = directory
        self.log = directory / "log"
        self.scheme = scheme
        directory.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.address = self._wait(listening)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def processor_seconds(self) -> float:
        """User and system time so far of the process with all its threads."""
        # utime and stime are fields 14 and 15; the name may hold anything, and ends with a bracket (proc(5)).
        fields = Path("/proc", str(self.pid), "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> int:
        """The most memory that was resident so far, in bytes."""
        status = Path("/proc", str(self.pid), "status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10

    def stop(self) -> None:
        """Ask it to end, and make it end where it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self._process.kill()
        self._process.wait()

    def _wait(self, listening: re.Pattern[str]) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            said = self.log.read_text(errors="replace")
            if found := listening.search(said):
                return f"127.0.0.1:{found['port']}"
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._process.args!r} ended with status {self._process.returncode}:\n{said}")
            time.sleep(0.005)
        raise RuntimeError(f"{self._process.args!r} did not listen within {_START_SECONDS:.0f} s:\n{said}")
