"""Carrying connections and datagrams from sockets of this machine into a network namespace.

One thread enters the namespace and stays there: the sockets that it makes are inside, those that it was given stay
outside, and it copies between them. Nothing waits: a slow reader stops the reading of its own connection only.
"""

import contextlib
import errno
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable

from polyarch.sandbox import syscalls

_CHUNK = 256 << 10
_DATAGRAM = 65535
# docker's proxy forgets the sender of a datagram after 90 seconds without another one.
_IDLE_SECONDS = 90.0
_MOST_SENDERS = 1024
# When this process has no free file descriptor, a connection waits for this long.
_FULL_SECONDS = 0.05

Ready = Callable[[int], None]


class Relay:
    """Copies between listeners outside and ports inside the namespace at `path`, until `close`.

    Owns its thread, the listeners that it was given, and all sockets that it makes.
    """

    def __init__(self, path: str) -> None:
        self._namespace = path
        self._loop = _Loop()
        self._given: queue.SimpleQueue[tuple[socket.socket, tuple[str, int]] | None] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._entered = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="polyarch-relay", daemon=True)
        self._thread.start()
        self._entered.wait()
        if self._failure is not None:
            self.close()
            raise self._failure

    @property
    def native_id(self) -> int:
        """The thread's number in /proc/self/task, whose `net` shows the namespace."""
        return self._thread.native_id or 0

    def forward(self, listener: socket.socket, address: str, port: int) -> None:
        """Carry what reaches `listener` to `address` and `port` inside. May be called from any thread."""
        listener.setblocking(False)
        self._given.put((listener, (address, port)))
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Close all sockets and end the thread."""
        if self._wake < 0:
            return
        self._given.put(None)
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)
        self._wake = -1

    def _run(self) -> None:
        try:
            syscalls.enter_namespace(self._namespace, syscalls.CLONE_NEWNET)
        except OSError as error:
            self._failure = error
        self._entered.set()
        self._loop.watch(self._wake, select.EPOLLIN, self._take)
        with contextlib.closing(self._loop):
            self._loop.run()

    def _take(self, _: int) -> None:
        os.eventfd_read(self._wake)
        with contextlib.suppress(queue.Empty):
            while given := self._given.get_nowait():
                listener, target = given
                kind = _Streams if listener.type == socket.SOCK_STREAM else _Datagrams
                kind(self._loop, listener, target)
            self._loop.stopped = True


class _Loop:
    """What to do when a descriptor is ready. Owns the sockets given to `own`."""

    def __init__(self) -> None:
        self.stopped = False
        self._epoll = select.epoll()
        self._ready: dict[int, Ready] = {}
        self._owned: dict[int, socket.socket] = {}
        self._each_turn: list[Callable[[], None]] = []

    def own(self, opened: socket.socket) -> None:
        self._owned[opened.fileno()] = opened

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        """Call `ready` when one of the events is there; with no events, stop that.

        epoll reports hang-ups even if nothing is asked for, so such a descriptor is taken out.
        """
        if descriptor in self._ready and events:
            self._epoll.modify(descriptor, events)
        elif events:
            self._epoll.register(descriptor, events)
        elif self._ready.pop(descriptor, None):
            self._epoll.unregister(descriptor)
        if events:
            self._ready[descriptor] = ready

    def drop(self, opened: socket.socket) -> None:
        """Close a socket of ours."""
        descriptor = opened.fileno()
        if descriptor >= 0:
            self.watch(descriptor, 0, _nothing)
            self._owned.pop(descriptor, None)
            opened.close()

    def each_turn(self, do: Callable[[], None]) -> None:
        self._each_turn.append(do)

    def run(self) -> None:
        while not self.stopped:
            for descriptor, events in self._epoll.poll(_IDLE_SECONDS / 3 if self._each_turn else None):
                # An earlier one of these may have closed it.
                if ready := self._ready.get(descriptor):
                    ready(events)
            for do in self._each_turn:
                do()

    def close(self) -> None:
        for opened in list(self._owned.values()):
            self.drop(opened)
        self._epoll.close()


class _Streams:
    """A listener for connections, each of which is carried to `target`."""

    def __init__(self, loop: _Loop, listener: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        loop.own(listener)
        loop.watch(listener.fileno(), select.EPOLLIN, self._accept)

    def _accept(self, _: int) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_FULL_SECONDS)
            return
        self._loop.own(client)
        try:
            inside = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            self._loop.drop(client)
            return
        self._loop.own(inside)
        client.setblocking(False)
        inside.setblocking(False)
        inside.connect_ex(self._target)
        _Connection(self._loop, client, inside)


class _Connection:
    """Two connected sockets. What one receives is sent by the other; an end of data is passed on as such."""

    def __init__(self, loop: _Loop, client: socket.socket, inside: socket.socket) -> None:
        self._loop = loop
        self._client = client
        self._inside = inside
        self._connected = False
        # By the socket that it came from: data that the other one could not send yet.
        self._waiting = {client: memoryview(b""), inside: memoryview(b"")}
        self._ended: set[socket.socket] = set()
        for opened in (client, inside):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def _other(self, one: socket.socket) -> socket.socket:
        return self._inside if one is self._client else self._client

    def _watch(self) -> None:
        for one, ready in ((self._client, self._client_ready), (self._inside, self._inside_ready)):
            events = 0
            if one is self._inside and not self._connected:
                events = select.EPOLLOUT
            elif self._connected:
                events = select.EPOLLIN if one not in self._ended and not self._waiting[one] else 0
                events |= select.EPOLLOUT if self._waiting[self._other(one)] else 0
            self._loop.watch(one.fileno(), events, ready)

    def _client_ready(self, events: int) -> None:
        self._ready(self._client, events)

    def _inside_ready(self, events: int) -> None:
        if not self._connected:
            if self._inside.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._close()
                return
            self._connected = True
            self._watch()
            return
        self._ready(self._inside, events)

    def _ready(self, one: socket.socket, events: int) -> None:
        try:
            if self._waiting[self._other(one)]:
                self._send(self._other(one))
            if events & ~select.EPOLLOUT and one not in self._ended and not self._waiting[one]:
                self._receive(one)
        except OSError:
            # Either side has reset the connection.
            self._close()
            return
        if len(self._ended) == 2 and not any(self._waiting.values()):
            self._close()
        else:
            self._watch()

    def _receive(self, one: socket.socket) -> None:
        try:
            data = one.recv(_CHUNK)
        except BlockingIOError:
            return
        if data:
            self._waiting[one] = memoryview(data)
            self._send(one)
        else:
            self._ended.add(one)
            self._pass_end(one)

    def _send(self, source: socket.socket) -> None:
        """Send what came from `source`, as far as the other socket takes it."""
        with contextlib.suppress(BlockingIOError):
            while self._waiting[source]:
                sent = self._other(source).send(self._waiting[source])
                self._waiting[source] = self._waiting[source][sent:]
        self._pass_end(source)

    def _pass_end(self, source: socket.socket) -> None:
        if source in self._ended and not self._waiting[source]:
            self._other(source).shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._loop.drop(self._client)
        self._loop.drop(self._inside)


class _Datagrams:
    """A socket for datagrams. Each sender has a socket inside, on which the answers to it arrive."""

    def __init__(self, loop: _Loop, listener: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listener = listener
        self._target = target
        # In the order of their last use.
        self._senders: dict[tuple[str, int], tuple[socket.socket, float]] = {}
        loop.own(listener)
        loop.watch(listener.fileno(), select.EPOLLIN, self._receive)
        loop.each_turn(self._forget)

    def _receive(self, _: int) -> None:
        # A full buffer or an unreachable port loses a datagram, as a network may.
        with contextlib.suppress(OSError):
            data, sender = self._listener.recvfrom(_DATAGRAM)
            known = self._senders.pop(sender, None)
            inside = known[0] if known else self._open(sender)
            self._senders[sender] = (inside, time.monotonic())
            inside.send(data)

    def _open(self, sender: tuple[str, int]) -> socket.socket:
        inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._loop.own(inside)
        inside.setblocking(False)
        inside.connect(self._target)

        def answer(_: int) -> None:
            with contextlib.suppress(OSError):
                self._listener.sendto(inside.recv(_DATAGRAM), sender)

        self._loop.watch(inside.fileno(), select.EPOLLIN, answer)
        return inside

    def _forget(self) -> None:
        now = time.monotonic()
        for sender, (inside, used) in list(self._senders.items()):
            if now - used < _IDLE_SECONDS and len(self._senders) <= _MOST_SENDERS:
                break
            self._loop.drop(inside)
            del self._senders[sender]


def _nothing(_: int) -> None:
    """Ignore that a descriptor is ready."""
