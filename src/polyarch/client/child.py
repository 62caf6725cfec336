"""The worker process: it receives one job over a socket, and sends progress and the result.

If the client ends or gives up, the socket hangs up and the kernel sends SIGIO. The handler then raises
KeyboardInterrupt in the main thread, as Ctrl-C does, so that each owner of a process, mount or file cleans up. A thread
that watches the socket is not possible: a process with a second thread cannot enter a user namespace.
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
    """Do the job that comes over the socket `descriptor`."""
    channel = wire.adopted(descriptor)
    _heed(descriptor)
    link = Link(channel)
    try:
        answer: wire.JobDone | wire.JobFailed = _performed(link)
    except BaseException as error:
        answer = wire.failed(error)
    # From now on it does not matter if the client hangs up.
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
    """Interrupt the main thread if the client hangs up, and on SIGTERM."""
    # Blocked and ignored signals are inherited. If SIGCHLD was ignored, children could not be waited for.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # The client itself receives Ctrl-C from a terminal.
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
    """The client as the job sees it: receives events, reads and writes its streams. It owns nothing."""

    def __init__(self, channel: wire.Channel) -> None:
        self.channel = channel
        self._lock = threading.Lock()

    def send(self, message: "progress.Event | wire.JobDone | wire.JobFailed") -> None:
        """Send a message. If the client is gone, nothing is sent: SIGIO interrupts the main thread."""
        with contextlib.suppress(wire.ChannelClosedError):
            self.channel.send(wire.encode(message))

    def ask(self, message: wire.StreamRead | wire.StreamWrite) -> bytes:
        """The answer to a request for a stream of the client. Raises OSError if the client is gone."""
        with self._lock:
            try:
                self.channel.send(wire.encode(message))
                answer = self.channel.receive()
            except wire.ChannelClosedError as error:
                raise OSError("the client is gone") from error
        return msgspec.msgpack.decode(answer, type=wire.StreamAnswer).data

    def stream(self, number: int) -> BinaryIO:
        """The stream of the client with this number."""
        raw = RemoteStream(self, number)
        return RemoteFile(raw, raw, 1 << 16)


class RemoteStream(io.RawIOBase):
    """A stream of the client, which calls its `read` and `write` in the thread that waits for this job."""

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
    """A buffered RemoteStream. It is a BinaryIO because msgspec checks that."""
