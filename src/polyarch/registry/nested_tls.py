"""TLS inside of TLS: to a server, through a tunnel of a proxy that is itself reached over TLS.

`ssl` wraps sockets only, so the inner connection is driven by hand with memory buffers.
"""

import io
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from polyarch.registry.connection import Stream

_PIECE = 16 << 10
Result = TypeVar("Result")


class NestedTLS:
    """A TLS connection over another stream. It owns that stream."""

    def __init__(self, outer: "Stream", context: ssl.SSLContext, host: str) -> None:
        """Do the handshake. Raises OSError, of which ssl.SSLError is a kind."""
        self._outer = outer
        self._received = outer.makefile("rb", 0)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._run(self._inner.do_handshake)

    def sendall(self, data: bytes, /) -> None:
        """Send all of `data`. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[self._run(lambda: self._inner.write(view[:_PIECE])) :]  # noqa: B023 (run at once)

    def receive_into(self, buffer: "memoryview[int]") -> int:
        """Read into `buffer`; how many bytes, 0 at the end. Raises OSError."""
        try:
            data = self._run(lambda: self._inner.read(len(buffer)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        buffer[: len(data)] = data
        return len(data)

    def _run(self, operation: Callable[[], Result]) -> Result:
        """Do a step of TLS, and move what it wants to send or to read."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._flush()
                if received := self._received.read(_PIECE):
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._outer.sendall(self._outgoing.read())

    def makefile(self, mode: Any, buffering: int, /) -> io.BufferedReader:
        """A buffered reader of what comes."""
        return io.BufferedReader(_Reader(self), buffering)

    def settimeout(self, value: float | None, /) -> None:
        """Set how long to wait for the peer."""
        self._outer.settimeout(value)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._outer.fileno()

    def close(self) -> None:
        """Close both connections. Safe to call twice."""
        self._received.close()
        self._outer.close()


class _Reader(io.RawIOBase):
    """What a NestedTLS receives, as a file. It owns nothing."""

    def __init__(self, source: NestedTLS) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._source.receive_into(memoryview(buffer))
