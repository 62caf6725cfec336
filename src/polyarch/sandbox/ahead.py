"""Copying emulators in a child process, while this process does something else."""

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping

from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulation, syscalls
from polyarch.sandbox.emulators import EmulatorCopies


class CopiesAhead:
    """A child process that makes the copies of emulators that some platforms need, as far as they are missing.

    A copy takes 0.1 s of processor time, mostly of Python, which a thread would take from the other threads. Whoever
    needs a copy waits for it by the lock of the directory. Owns the child until `close`.
    """

    def __init__(
        self,
        wanted: Iterable[tuple[Platform, str | None]],
        search_path: str,
        emulators: str,
        named: Mapping[str, str],
    ) -> None:
        """Start the child, if there is something to copy. This process has one thread.

        `wanted` are platforms and processors as in `emulation.prepare`; the others are as for `Sandbox`.
        """
        self._child: int | None = None
        emulation.name(named)
        copies = EmulatorCopies(emulators)
        missing = emulation.uncopied(wanted, search_path, copies)
        if not missing:
            return
        parent = os.getpid()
        self._child = os.fork()
        if self._child:
            return
        # Only system calls and our own code, then os._exit: the caller's buffers are never used.
        try:
            syscalls.die_with_parent(parent)
            for each in missing:
                # Whoever needs the copy gets the same error.
                with contextlib.suppress(UnsupportedError, OSError):
                    copies.copy(*each)
        finally:
            os._exit(0)

    def close(self) -> None:
        """End the child. Safe to call twice."""
        if self._child is not None:
            # It removes the unfinished copy, if the handler of this process raises an exception.
            os.kill(self._child, signal.SIGTERM)
            os.waitpid(self._child, 0)
            self._child = None
