"""Start a worker process, send it a job and wait for the result, all in the calling thread.

To enter a user namespace, a process must have a single thread, and it cannot leave the namespace again. Programs have
threads, so each build and each run has a worker process.
"""

import contextlib
import os
import select
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from polyarch import progress
from polyarch.client import jobs, wire
from polyarch.client.settings import ClientSettings
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

_START = (
    "import sys; descriptor = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; "
    "from polyarch.client.child import main; main(descriptor)"
)
# Seconds that a worker has to kill what it runs, unmount and remove its files after the socket was closed.
_GRACE = 20.0
_CHUNK = 1 << 16


class Worker:
    """A worker process for one job, as a context manager. The process has ended when the `with` statement ends.

    `stdin`, `stdout` and `stderr` are passed to `subprocess.Popen`.
    """

    def __init__(self, *, stdin: Any = subprocess.DEVNULL, stdout: Any = None, stderr: Any = None) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise UnsupportedError(
                "a worker process cannot be started: this program has no Python interpreter of its own",
                "run it with a Python interpreter; a build also takes isolate=False",
            )
        self._channel, there = wire.pair()
        self._streams: list[Any] = []
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(there.fileno()), *_search_path()],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                pass_fds=(there.fileno(),),
                # So that only this process receives Ctrl-C from a terminal.
                start_new_session=True,
            )
        except OSError as error:
            self._channel.close()
            raise PolyarchError(f"cannot start a worker process: {sys.executable}: {error.strerror}") from error
        except BaseException:
            self._channel.close()
            raise
        finally:
            there.close()
        # If another thread forks in the meantime, its child has a copy of the worker's end of the socket, which then
        # does not hang up when the worker ends.
        self._ended: int | None = None
        with contextlib.suppress(OSError):
            self._ended = os.pidfd_open(self._process.pid)
        self.stdin: IO[bytes] | None = self._process.stdin
        self.stdout: IO[bytes] | None = self._process.stdout
        self.stderr: IO[bytes] | None = self._process.stderr

    def perform(
        self,
        kind: jobs.Kind,
        settings: ClientSettings,
        request: object,
        emit: progress.Emit,
        sinks: Mapping[IO[bytes], Callable[[bytes], object]] | None = None,
        feed: bytes = b"",
    ) -> Any:
        """Do the job and return its result. Calls `emit` and the streams in the request in the calling thread.

        `sinks` are called with the output of the worker, and `feed` is its standard input. Raises the error of the job
        as the same class, PolyarchError if the worker ends without a result, and what `emit` or a stream raises.
        """
        payload = wire.encode(request, self._stream) if request is not None else b""
        try:
            self._channel.send(wire.encode(jobs.Job(kind, settings, payload)))
        except wire.ChannelClosedError:
            raise self._died() from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            for pipe in sinks or ():
                selector.register(pipe, selectors.EVENT_READ)
            if self.stdin is not None:
                selector.register(self.stdin, selectors.EVENT_WRITE)
            if self._ended is not None:
                selector.register(self._ended, selectors.EVENT_READ)
            answer = self._answer(selector, emit, dict(sinks or {}), memoryview(feed))
        if isinstance(answer, wire.JobFailed):
            raise wire.raised(answer)
        for stream in self._streams:
            if callable(flush := getattr(stream, "flush", None)):
                flush()
        gives = jobs.types_of(kind)[1]
        return wire.decode(answer.result, gives) if gives is not None else None

    def _answer(
        self,
        selector: selectors.BaseSelector,
        emit: progress.Emit,
        sinks: dict[IO[bytes], Callable[[bytes], object]],
        feed: memoryview,
    ) -> wire.JobDone | wire.JobFailed:
        """Serve the worker until it has sent its result and all of its output has been read."""
        answer: wire.JobDone | wire.JobFailed | None = None
        while answer is None or sinks:
            for key, _ in selector.select():
                if key.fileobj is self._channel:
                    answer = self._serve(emit)
                    if answer is not None:
                        selector.unregister(self._channel)
                elif key.fileobj is self.stdin and self.stdin is not None:
                    feed = self._fed(selector, feed)
                elif key.fileobj == self._ended:
                    selector.unregister(key.fileobj)
                    while answer is None and _is_ready(self._channel.fileno()):
                        answer = self._serve(emit)
                    if answer is None:
                        raise self._died()
                else:
                    pipe: Any = key.fileobj
                    if data := os.read(pipe.fileno(), _CHUNK):
                        sinks[pipe](data)
                    else:
                        selector.unregister(pipe)
                        del sinks[pipe]
        return answer

    def _serve(self, emit: progress.Emit) -> wire.JobDone | wire.JobFailed | None:
        """Handle the next message. Returns it if it is the result."""
        try:
            message = wire.decode(self._channel.receive(), wire.FromWorker)
        except wire.ChannelClosedError:
            raise self._died() from None
        if isinstance(message, wire.JobDone | wire.JobFailed):
            return message
        if isinstance(message, wire.StreamRead):
            data = self._streams[message.stream].read(message.size)
            if not isinstance(data, bytes):
                raise UsageError(f"a stream gave {type(data).__name__}, not bytes", 'open it in binary mode: "rb"')
            self._tell(wire.StreamAnswer(data))
        elif isinstance(message, wire.StreamWrite):
            self._streams[message.stream].write(message.data)
            self._tell(wire.StreamAnswer())
        else:
            emit(message)
        return None

    def _tell(self, answer: wire.StreamAnswer) -> None:
        with contextlib.suppress(wire.ChannelClosedError):
            self._channel.send(msgspec.msgpack.encode(answer))

    def _fed(self, selector: selectors.BaseSelector, feed: memoryview) -> memoryview:
        """Write a part of `feed` to the process and return the rest. Closes the pipe at the end of `feed`."""
        assert self.stdin is not None
        try:
            # A write of this size does not block if the pipe is ready (pipe(7)).
            feed = feed[os.write(self.stdin.fileno(), feed[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            feed = feed[:0]
        if not feed:
            selector.unregister(self.stdin)
            self.stdin.close()
        return feed

    def _stream(self, stream: Any) -> int:
        """Register a file object, and return the number that the worker uses for it."""
        self._streams.append(stream)
        return len(self._streams) - 1

    def _died(self) -> PolyarchError:
        status = self._process.wait()
        if status < 0:
            name = signal.Signals(-status).name
            hint = "the kernel may have run out of memory: see dmesg" if -status == signal.SIGKILL else None
            return PolyarchError(f"the worker process was killed by {name}", hint)
        return PolyarchError(
            f"the worker process ended with status {status} before it gave a result",
            "what it wrote to standard error says why",
        )

    def _has_ended(self, seconds: float) -> bool:
        """Wait at most so long for the end of the process."""
        if self._ended is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self._process.returncode is not None
        return _is_ready(self._ended, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        try:
            if not self._has_ended(_GRACE):
                self._process.kill()
        except BaseException:
            self._process.kill()
            raise
        finally:
            self._process.wait()
            if self._ended is not None:
                os.close(self._ended)
            for pipe in (self.stdin, self.stdout, self.stderr):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()


def perform(kind: jobs.Kind, settings: ClientSettings, request: object, emit: progress.Emit) -> Any:
    """Do a job in a new worker process and return its result. Raises as `Worker.perform`."""
    with Worker(stdout=subprocess.DEVNULL) as worker:
        return worker.perform(kind, settings, request, emit)


def _search_path() -> list[str]:
    """The import path of this process, in absolute paths, for the worker."""
    found = []
    for entry in sys.path:
        # A relative path is of no use if the working directory was removed.
        with contextlib.suppress(OSError):
            found.append(os.path.abspath(entry))
    return found


def _is_ready(descriptor: int, seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
