"""The terminal of a container, copied to and from the terminal of this process.

crun can do this itself, but then writes what is left when the process ends to its log and not to the terminal
(crun 1.8.1, `flush_fd_to_err`), so a short-lived command often shows nothing. With a console socket it sends the
terminal's controlling side here, as the runtime specification of runc describes ("terminals.md").
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

    It owns the socket, the terminal's controlling side and the thread. `stdin` is put into raw mode when the terminal
    comes, and back at the end; `stdin` and `stdout` stay open. A terminal that never comes is nothing to wait for.
    """

    def __init__(self, path: str, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._listener = _listen(path)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="polyarch-console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy what the container's processes have written by now, and end."""
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
            # A terminal that was hung up meanwhile has no mode to go back to.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, before)
            os.close(terminal)

    def _receive(self) -> int | None:
        """The controlling side; None where the runtime ends without sending one."""
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
            # Input waits until the terminal has taken what came before, so that output is read meanwhile.
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
                if said := _read(terminal):
                    _write(self._stdout, said)
                elif ready[terminal] & (select.POLLHUP | select.POLLERR):
                    return
            elif ready.get(self._stop):
                return


def _listen(path: str) -> socket.socket:
    """A socket at `path`, which may be longer than the 107 bytes that an address holds."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        listener.listen(1)
    finally:
        os.close(directory)
    return listener


def _readable(descriptor: int, stop: int) -> bool:
    """Whether there is something to read, as soon as there is or `stop` says that there will not be."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(stop, select.POLLIN)
    return any(ready == descriptor for ready, _ in poll.poll())


def _read(descriptor: int) -> bytes:
    """What there is, empty at the end. A controlling side whose terminal nobody has open says EIO."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""


def _write(descriptor: int, data: bytes) -> None:
    """Write all; what nobody reads any more is dropped."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
