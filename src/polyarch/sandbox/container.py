"""Sandbox: owns the mounts and processes of one command."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from polyarch.errors import PolyarchError
from polyarch.oci.platform import Platform
from polyarch.sandbox.process import Process

Sink = Callable[[bytes], None] | int | None


class CancelledError(PolyarchError):
    """The process was killed because `Sandbox.cancel` was called."""


class Sandbox:
    """Runs processes in root filesystems; the caller has entered the namespace.

    Owns a tmpfs at `directory`/run, the mounts in it and the processes that run. `close` (or leaving `with`) kills
    and unmounts; where this process itself is killed, the kernel does both. All methods may be called from any
    thread; `run` in several at once.
    """

    def __init__(self, directory: Path, search_path: str) -> None:
        """`directory` exists and is this sandbox's alone; it must be on the same kind of file system as uppers.

        Raises UnsupportedError where no OCI runtime is on `search_path`.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def rootfs(self, lowers: Sequence[str], upper: str | None = None, work: str | None = None) -> Iterator[str]:
        """The path of the union of `lowers` (directories in overlay's disk form, lowest first), mounted meanwhile.

        Changes go to `upper`, with `work` an empty directory beside it on the same file system; without them they
        are thrown away.
        """
        raise NotImplementedError
        yield ""

    def run(
        self,
        process: Process,
        rootfs: str,
        *,
        platform: Platform | None = None,
        stdin: int | None = None,
        stdout: Sink = None,
        stderr: Sink = None,
    ) -> int:
        """The exit status of `process` in `rootfs` (128 + n where signal n ended it).

        `platform` is what its binaries are made for, None for the host's. stdin is a file descriptor, None for
        /dev/null; stdout and stderr each a file descriptor, a function that is called with what comes, from a
        thread of its own, or None for /dev/null. On any exception, KeyboardInterrupt too, the process is killed.
        Raises CancelledError after `cancel`, PolyarchError where it could not be started.
        """
        raise NotImplementedError

    def cancel(self) -> None:
        """Kills all that runs; each `run` then raises CancelledError, as do later ones."""
        raise NotImplementedError

    def close(self) -> None:
        """Kills what runs, undoes the mounts. May be called twice."""
        raise NotImplementedError
