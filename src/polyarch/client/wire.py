"""The protocol of a client and its worker process: messages over a socket, encoded by msgspec.

The client sends a job, and then an answer to each StreamRead and StreamWrite. The worker sends progress events, these
requests, and finally JobDone or JobFailed.
"""

import contextlib
import fcntl
import importlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import IO, Any, BinaryIO, TypeVar, get_origin

import msgspec

from polyarch import progress
from polyarch.errors import CancelledError, PolyarchError

_T = TypeVar("_T")
_HEADER = struct.Struct(">I")
# A str with surrogates (a file name or a line of a Dockerfile that is not UTF-8) cannot be encoded as msgpack. In a
# message that starts with _ESCAPED, surrogates and NUL characters are a NUL followed by the code in four hex digits.
_PLAIN, _ESCAPED = b"p", b"e"
_SPECIAL = re.compile("[\\0\ud800-\udfff]")
_CODE = re.compile("\\0([0-9a-f]{4})")


class StreamRead(msgspec.Struct, frozen=True, tag="read"):
    """Request at most `size` bytes of a stream of the client."""

    stream: int
    size: int


class StreamWrite(msgspec.Struct, frozen=True, tag="write"):
    """Write `data` to a stream of the client."""

    stream: int
    data: bytes


class JobDone(msgspec.Struct, frozen=True, tag="done"):
    """The encoded result. Its type depends on the kind of job."""

    result: bytes


class JobFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The error that ended the job.

    `kind` is "module:name" of its class. `arguments` are those of an OSError, `attributes` are those of a PolyarchError
    besides its message and hint. `trace` is the traceback in the worker.
    """

    kind: str
    message: str
    hint: str | None = None
    arguments: tuple[Any, ...] = ()
    attributes: dict[str, Any] = {}
    trace: str = ""


FromWorker = progress.Event | StreamRead | StreamWrite | JobDone | JobFailed


class StreamAnswer(msgspec.Struct, frozen=True):
    """The answer to a StreamRead or StreamWrite. If the stream raises an error, the client ends the worker instead."""

    data: bytes = b""


class ChannelClosedError(Exception):
    """The other process has closed the socket or has ended."""


class Channel:
    """One end of the socket, which it owns until `close`. Any thread may call `send`."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """Send a message. Raises ChannelClosedError."""
        with self._lock:
            try:
                self._socket.sendall(_HEADER.pack(len(frame)))
                self._socket.sendall(frame)
            except OSError as error:
                raise ChannelClosedError from error

    def receive(self) -> bytes:
        """Wait for the next message. Raises ChannelClosedError."""
        (size,) = _HEADER.unpack(self._exactly(_HEADER.size))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        done = 0
        while done < size:
            try:
                count = self._socket.recv_into(view[done:])
            except OSError as error:
                raise ChannelClosedError from error
            if not count:
                raise ChannelClosedError
            done += count
        return bytes(buffer)

    def close(self) -> None:
        # If a process that was forked in the meantime has a copy of the socket, closing this one has no effect.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def pair() -> tuple[Channel, socket.socket]:
    """A channel, and the other end of its socket for a child process."""
    here, there = socket.socketpair()
    if there.fileno() < 3:
        # In a program whose standard streams are closed. The child will have its own in their places.
        there = socket.socket(fileno=fcntl.fcntl(there, fcntl.F_DUPFD_CLOEXEC, 3))
    return Channel(here), there


def adopted(descriptor: int) -> Channel:
    """The channel of a child process that inherited the socket `descriptor`."""
    return Channel(socket.socket(fileno=descriptor))


def encode(value: object, stream: Callable[[Any], int] | None = None) -> bytes:
    """Encode a value as a message. `stream` is called with each file object in it, and returns its number."""

    def plain(item: Any) -> object:
        if isinstance(item, PurePath):
            return str(item)
        if stream is not None and (hasattr(item, "read") or hasattr(item, "write")):
            return stream(item)
        raise TypeError(f"{type(item).__name__} cannot be sent to a worker")

    try:
        return _PLAIN + msgspec.msgpack.encode(value, enc_hook=plain)
    except UnicodeEncodeError:
        built = msgspec.to_builtins(value, enc_hook=plain, builtin_types=(bytes,))
        return _ESCAPED + msgspec.msgpack.encode(_each_text(built, _escape))


def decode(frame: bytes, kind: type[_T] | Any, stream: Callable[[int], Any] | None = None) -> Any:
    """Decode a message as a value of the type `kind`. `stream` returns the file object for a number."""

    def made(wanted: type, item: Any) -> Any:
        if wanted in (BinaryIO, IO) or get_origin(wanted) is IO:
            assert stream is not None
            return stream(item)
        if issubclass(wanted, PurePath):
            return Path(item)
        raise TypeError(f"no {wanted} comes from a worker")

    built = msgspec.msgpack.decode(memoryview(frame)[1:])
    if frame[:1] == _ESCAPED:
        built = _each_text(built, _unescape)
    return msgspec.convert(built, kind, dec_hook=made, builtin_types=(bytes,))


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_each_text(key, change): _each_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(item, change) for item in value]
    return value


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\0{ord(found[0]):04x}", text)


def _unescape(text: str) -> str:
    return _CODE.sub(lambda found: chr(int(found[1], 16)), text)


def failed(error: BaseException) -> JobFailed:
    """The message for an error."""
    import traceback

    kind = f"{type(error).__module__}:{type(error).__qualname__}"
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, PolyarchError):
        extra = {name: value for name, value in vars(error).items() if name not in ("message", "hint", "__notes__")}
        attributes = msgspec.to_builtins(extra, builtin_types=(bytes,), enc_hook=str)
        return JobFailed(kind, error.message, error.hint, attributes=attributes, trace=trace)
    if isinstance(error, OSError):
        arguments = (error.errno, error.strerror, error.filename)
        plain = tuple(item if isinstance(item, int | str) else None for item in arguments)
        return JobFailed("builtins:OSError", str(error), arguments=plain, trace=trace)
    return JobFailed(kind, str(error), trace=trace)


def raised(record: JobFailed) -> Exception:
    """The error in a message: an instance of its PolyarchError class, an OSError, or an error that reports a bug."""
    module, _, name = record.kind.partition(":")
    if record.kind == "builtins:OSError":
        number, reason, filename = record.arguments
        return OSError(number, reason, filename) if number is not None else OSError(record.message)
    if name == "KeyboardInterrupt":
        return CancelledError()
    if module.split(".")[0] == "polyarch":
        kind = getattr(importlib.import_module(module), name, None)
        if isinstance(kind, type) and issubclass(kind, PolyarchError):
            error = kind.__new__(kind)
            PolyarchError.__init__(error, record.message, record.hint)
            vars(error).update({key: _attribute(kind, key, value) for key, value in record.attributes.items()})
            return error
    bug = PolyarchError(
        f"this is a bug in polyarch: {name}: {record.message}",
        "report it to Polyarch's developers with the traceback that __notes__ has",
    )
    bug.add_note(record.trace)
    return bug


def _attribute(kind: type[PolyarchError], name: str, value: Any) -> Any:
    """An attribute of an error with its original type: msgspec returns lists and dicts for tuples and structs."""
    if name == "locations":
        from polyarch.dockerfile.source import Location

        return msgspec.convert(value, tuple[Location, ...])
    return tuple(value) if isinstance(value, list) else value
