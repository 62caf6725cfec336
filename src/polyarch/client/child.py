"""The worker process: one job from the client over a socket, progress and the result back.

The client may be gone or give up at any moment: then the socket hangs up, the kernel sends SIGIO, and the main thread
is interrupted as by Ctrl-C, so that every owner of a process, mount or file cleans up. No thread watches the socket,
because a process with a second thread cannot enter a user namespace.
"""

import contextlib
import fcntl
import io
import os
import select
import signal
import threading
from types import FrameType
from typing import Any, BinaryIO

import msgspec

from polyarch import progress
from polyarch.client import jobs, wire


def main(descriptor: int) -> None:
    """Do the job that the socket `descriptor` gives."""
    channel = wire.adopted(descriptor)
    _heed(descriptor)
    link = Link(channel)
    try:
        answer: wire.JobDone | wire.JobFailed = _performed(link)
    except BaseException as error:
        answer = wire.failed(error)
    # From here on the client may hang up: it needs nothing more.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with contextlib.suppress(wire.ChannelClosedError):
        link.send(answer)


def _performed(link: "Link") -> wire.JobDone:
    job = wire.decode(link.channel.receive(), jobs.Job)
    takes, gives, work = jobs.types_of(job.kind)
    payload = wire.decode(job.payload, takes, link.stream) if job.payload else None
    result = work(job.settings, payload, link.send)
    return wire.JobDone(wire.encode(result) if gives is not None else b"")


def _heed(end: int) -> None:
    """Interrupt the main thread when the client hangs up, or when this process is asked to end."""
    # A process inherits what its parent blocks and ignores; our own children must be waited for.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Only the client says when to stop. It has a terminal's Ctrl-C itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted or (number == signal.SIGIO and not _hung_up(end)):
            return
        interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGIO, interrupt)
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
    if _hung_up(end):
        raise KeyboardInterrupt


def _hung_up(end: int) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLRDHUP)
    return bool(poll.poll(0))


class Link:
    """The client as the job sees it: it takes events, and its streams are read and written. It owns nothing."""

    def __init__(self, channel: wire.Channel) -> None:
        self.channel = channel
        self._lock = threading.Lock()

    def send(self, message: "progress.Event | wire.JobDone | wire.JobFailed") -> None:
        """Send a message. Where the client is gone, the main thread hears of it by SIGIO."""
        with contextlib.suppress(wire.ChannelClosedError):
            self.channel.send(wire.encode(message))

    def ask(self, message: wire.StreamRead | wire.StreamWrite) -> bytes:
        """The client's answer to a request about one of its streams. Raises OSError where the client is gone."""
        with self._lock:
            try:
                self.channel.send(wire.encode(message))
                answer = self.channel.receive()
            except wire.ChannelClosedError as error:
                raise OSError("the client is gone") from error
        return msgspec.msgpack.decode(answer, type=wire.StreamAnswer).data

    def stream(self, number: int) -> BinaryIO:
        """The client's stream with this number."""
        raw = RemoteStream(self, number)
        return RemoteFile(raw, raw, 1 << 16)


class RemoteStream(io.RawIOBase):
    """A stream that the client has: its `read` and `write` are called there, in the thread that waits for us."""

    def __init__(self, link: Link, number: int) -> None:
        super().__init__()
        self._link = link
        self._number = number

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._link.ask(wire.StreamRead(self._number, len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any, /) -> int:
        self._link.ask(wire.StreamWrite(self._number, bytes(data)))
        return len(data)


class RemoteFile(io.BufferedRWPair, BinaryIO):
    """A RemoteStream with a buffer. It says that it is a BinaryIO, because msgspec looks whether it is one."""
