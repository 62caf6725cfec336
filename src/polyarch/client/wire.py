"""How a client and its worker process talk: frames over a socket, each with one value encoded by msgspec.

The worker sends progress events, requests to read or write one of the client's streams, and at the end `JobDone` or
`JobFailed`. The client sends the job first, and then an answer to each stream request.
"""

import contextlib
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
# msgpack has no place for a str that is not UTF-8: a file name, a line of a Dockerfile. In a frame that begins with
# _ESCAPED each character that cannot be written is a NUL and its code in four digits, and so is a NUL.
_PLAIN, _ESCAPED = b"p", b"e"
_SPECIAL = re.compile("[\\0\ud800-\udfff]")
_CODE = re.compile("\\0([0-9a-f]{4})")


class StreamRead(msgspec.Struct, frozen=True, tag="read"):
    """Asks for at most `size` bytes of a stream of the client; -1 for all that is left."""

    stream: int
    size: int


class StreamWrite(msgspec.Struct, frozen=True, tag="write"):
    """Bytes for a stream of the client. An empty `data` flushes it."""

    stream: int
    data: bytes


class JobDone(msgspec.Struct, frozen=True, tag="done"):
    """The result of the job, encoded: what type it has depends on the job."""

    result: bytes


class JobFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The error that ended the job.

    `kind` is `module:name` of the class, `arguments` are those of an OSError, `attributes` what a PolyarchError
    carries besides its message and hint, `trace` where in the worker it was raised.
    """

    kind: str
    message: str
    hint: str | None = None
    arguments: tuple[Any, ...] = ()
    attributes: dict[str, Any] = {}
    trace: str = ""


FromWorker = progress.Event | StreamRead | StreamWrite | JobDone | JobFailed


class StreamAnswer(msgspec.Struct, frozen=True):
    """The answer to a StreamRead, with its bytes, or to a StreamWrite. A stream that fails ends the worker instead."""

    data: bytes = b""


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end of the socket. It owns the socket until `close`; `send` may be called from any thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """Send one frame. Raises ChannelClosedError."""
        with self._lock:
            try:
                self._socket.sendall(_HEADER.pack(len(frame)))
                self._socket.sendall(frame)
            except OSError as error:
                raise ChannelClosedError from error

    def receive(self) -> bytes:
        """The next frame. Raises ChannelClosedError where there is none any more."""
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
        # Where a process that was forked meanwhile has the socket too, closing it alone would tell the worker nothing.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def pair() -> tuple[Channel, socket.socket]:
    """A channel, and the other end of its socket for a process that is to be started."""
    here, there = socket.socketpair()
    return Channel(here), there


def adopted(descriptor: int) -> Channel:
    """The channel of a process that was started with the other end as `descriptor`."""
    return Channel(socket.socket(fileno=descriptor))


def encode(value: object, stream: Callable[[Any], int] | None = None) -> bytes:
    """The frame of a value. `stream` gives a number to a file object in it, by which the worker asks for its bytes."""

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
    """The value in a frame, of the type `kind`. `stream` opens the file object with a number."""

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
    """How an error travels."""
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
    """The error as its kind: a PolyarchError's own class with its attributes, an OSError, or what says it is a bug."""
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
    """An attribute of an error as its class has it: msgspec gives lists and dicts for tuples and structs."""
    if name == "locations":
        from polyarch.dockerfile.source import Location

        return msgspec.convert(value, tuple[Location, ...])
    return tuple(value) if isinstance(value, list) else value
