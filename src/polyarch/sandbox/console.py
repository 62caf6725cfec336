"""Copying between the terminal of a container and the terminal of this process.

crun can do this itself, but writes what remains when the process ends to its log instead of the terminal (crun 1.8.1,
`flush_fd_to_err`), so a short command often shows nothing. Given a console socket, crun sends the terminal's
controlling side to it, as runc's documentation describes ("terminals.md").
"""

import contextlib
import os
import select
import socket
import termios
import threading
import tty
from typing import Self

_CHUNK = 1 << 16


class Console:
    """Receives a terminal over a socket at `path` and copies in a thread of its own, until `close`.

    It owns the socket, the terminal's controlling side and the thread. It puts `stdin` into raw mode when the terminal
    arrives, and restores the mode at the end; `stdin` and `stdout` stay open. If no terminal arrives, `close` does not
    wait for it.
    """

    def __init__(self, path: str, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._listener = _listen(path)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="polyarch-console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy the remaining output of the container's processes, and stop."""
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stop)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        terminal = self._receive()
        if terminal is None:
            return
        before = termios.tcgetattr(self._stdin)
        try:
            tty.setraw(self._stdin, termios.TCSANOW)
            self._copy(terminal)
        finally:
            # The mode of a terminal that was hung up meanwhile cannot be restored.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, before)
            os.close(terminal)

    def _receive(self) -> int | None:
        """Return the controlling side, or None if the runtime ends without sending one."""
        if not _readable(self._listener.fileno(), self._stop):
            return None
        connection, _ = self._listener.accept()
        with connection:
            if not _readable(connection.fileno(), self._stop):
                return None
            _, received, _, _ = socket.recv_fds(connection, 1024, 1)
        return received[0] if received else None

    def _copy(self, terminal: int) -> None:
        os.set_blocking(terminal, False)
        typed = b""
        stdin_open = True
        while True:
            poll = select.poll()
            poll.register(terminal, select.POLLIN | (select.POLLOUT if typed else 0))
            poll.register(self._stop, select.POLLIN)
            # Read no more input until the terminal has accepted the last: output is copied meanwhile.
            if stdin_open and not typed:
                poll.register(self._stdin, select.POLLIN)
            ready = dict(poll.poll())
            if ready.get(self._stdin):
                typed = _read(self._stdin)
                stdin_open = bool(typed)
            if typed and ready.get(terminal, 0) & select.POLLOUT:
                with contextlib.suppress(OSError):
                    typed = typed[os.write(terminal, typed) :]
            if ready.get(terminal, 0) & (select.POLLIN | select.POLLHUP | select.POLLERR):
                if output := _read(terminal):
                    _write(self._stdout, output)
                elif ready[terminal] & (select.POLLHUP | select.POLLERR):
                    return
            elif ready.get(self._stop):
                return


def _listen(path: str) -> socket.socket:
    """Return a listening socket at `path`, which may be longer than the 107 bytes that a socket address holds."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        listener.listen(1)
    finally:
        os.close(directory)
    return listener


def _readable(descriptor: int, stop: int) -> bool:
    """Wait until `descriptor` or `stop` is readable. Return whether `descriptor` is."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(stop, select.POLLIN)
    return any(ready == descriptor for ready, _ in poll.poll())


def _read(descriptor: int) -> bytes:
    """Read what is available; empty at the end. A terminal that no process has open fails with EIO."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    """Write all of `data`; if the reader has gone away, drop the rest."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
