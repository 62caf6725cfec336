"""The ssh agent's socket for a RUN: a forwarding socket with the owner and mode of the mount.

As in BuildKit (sshforward): an agent answers only its own user, so another user in a container could not use the
agent's socket itself.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from polyarch.errors import PolyarchError

_CHUNK = 1 << 16
# BuildKit's default (solver/llbsolver/ops/exec_mounts).
_MODE = 0o600
# Seconds between attempts to accept a connection where that fails.
_PAUSE = 0.05


# Makes a connection to an agent. Raises OSError.
Connect = Callable[[], socket.socket]


def at(path: str) -> Connect:
    """Connect to the agent whose UNIX socket is at `path`."""

    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(path)
        except BaseException:
            made.close()
            raise
        return made

    return connect


class AgentSocket:
    """A socket that forwards each connection to an agent. Owns its connections and threads until `close`."""

    def __init__(self, directory: Path, connect: Connect, uid: int, gid: int, mode: int | None) -> None:
        """Make `directory`/agent, owned by `uid` and `gid`. Raises PolyarchError for ids that are not available."""
        self.path = directory / "agent"
        self._connect = connect
        self._lock = threading.Lock()
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _bind(self._listener, self.path)
            os.chmod(self.path, _MODE if mode is None else mode)
            os.chown(self.path, uid, gid)
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            raise PolyarchError(
                f"cannot give the ssh agent's socket to {uid}:{gid}: {error.strerror}",
                "add ranges of ids to /etc/subuid and /etc/subgid, and install the package uidmap",
            ) from error
        self._start(self._accept)

    def close(self) -> None:
        """End all connections and wait for the threads."""
        with self._lock:
            self._closed = True
            connections = [self._listener, *self._connections]
        for connection in connections:
            # Wakes the threads that wait in accept and recv.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="polyarch-agent", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                # No file descriptor is left: the step has to close connections first.
                time.sleep(_PAUSE)
                continue
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.ExitStack() as opened:
            try:
                agent = opened.enter_context(self._connect())
            except OSError:
                return  # no descriptor is left, or the agent is gone: the client sees a closed connection
            with self._lock:
                if self._closed:
                    return
                self._connections |= {client, agent}
            try:
                back = threading.Thread(target=pump, args=(agent, client), name="polyarch-agent", daemon=True)
                back.start()
                pump(client, agent)
                back.join()
            finally:
                with self._lock:
                    self._connections -= {client, agent}


def pump(source: socket.socket, target: socket.socket) -> None:
    """Forward data until its end, and then the end."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _bind(listener: socket.socket, path: Path) -> None:
    # The path of a socket has at most 107 bytes, and that of a store may be longer.
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
