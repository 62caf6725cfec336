"""The connection of a step as frames, on asyncio: its TLS is safe to read and write at the same time."""

import asyncio
import contextlib
import itertools
import struct
import threading
from collections.abc import Callable
from typing import cast

from polyarch.farm.messages import Frame

_HEAD = struct.Struct(">BII")
# A longer frame is a fault of the peer.
_LONGEST = 256 << 20
# A writer waits if so many bytes are on their way, and the peer is slow.
_MOST = 1 << 20
_CHUNK = 64 << 10

Received = Callable[[Frame, int, bytes], None]


class FrameProtocol(asyncio.Protocol):
    """One connection. `received` gets each frame and `lost` the end, both in the thread of the loop."""

    def __init__(self, received: Received, lost: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._room = threading.Condition()
        self._queued = 0
        self._paused = self._closed = False
        # The numbers of streams, which no two steps on this connection share.
        self.streams = itertools.count(1)

    @property
    def is_open(self) -> bool:
        """Whether the connection is there, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    def serve(self, received: Received, lost: Callable[[], None]) -> None:
        """Give frames and the end to others from now on. Called in the thread of the loop."""
        self._received, self._lost = received, lost

    # ── asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implements `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Implements `asyncio.Protocol`."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size and not self._closed:
            kind, number, length = _HEAD.unpack_from(self._buffer)
            if length > _LONGEST or kind not in Frame._value2member_map_:
                self.close()
                return
            if len(self._buffer) < _HEAD.size + length:
                return
            payload = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            self._received(Frame(kind), number, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Implements `asyncio.Protocol`."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self._lost()

    def pause_writing(self) -> None:
        """Implements `asyncio.Protocol`."""
        with self._room:
            self._paused = True

    def resume_writing(self) -> None:
        """Implements `asyncio.Protocol`."""
        with self._room:
            self._paused = False
            self._room.notify_all()

    # ── from any thread

    def send(self, kind: Frame, number: int = 0, payload: bytes = b"") -> bool:
        """Send a frame from any thread but the loop's. Waits for a slow peer; False if the connection has ended."""
        with self._room:
            self._room.wait_for(lambda: self._closed or (self._queued < _MOST and not self._paused))
            if self._closed:
                return False
            self._queued += len(payload)
        self._loop.call_soon_threadsafe(self._write, kind, number, payload)
        return True

    def send_now(self, kind: Frame, number: int = 0, payload: bytes = b"") -> None:
        """Send a frame from the thread of the loop."""
        with self._room:
            self._queued += len(payload)
        self._write(kind, number, payload)

    def greet(self, line: bytes) -> None:
        """Send the first line of a connection, from the thread of the loop."""
        if self._transport is not None:
            self._transport.write(line)

    def close(self) -> None:
        """End the connection, from the thread of the loop."""
        if self._transport is not None:
            self._transport.close()

    def _write(self, kind: Frame, number: int, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_HEAD.pack(kind, number, len(payload)) + payload)
        with self._room:
            self._queued -= len(payload)
            self._room.notify_all()


class AgentStreams:
    """Connections to ssh agents that are carried on a `FrameProtocol`, by number. Used in the thread of the loop."""

    def __init__(self, frames: FrameProtocol) -> None:
        self._frames = frames
        self._writers: dict[int, asyncio.StreamWriter] = {}
        # What arrived for connections that are being made.
        self._early: dict[int, list[tuple[Frame, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def expect(self, number: int) -> None:
        """Keep what arrives for a connection that is being made, until `carry` or `refuse`."""
        self._early[number] = []

    def refuse(self, number: int) -> None:
        """There is no connection: the other end sees its end."""
        self._early.pop(number, None)
        self._frames.send_now(Frame.END, number)

    def carry(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what comes from `reader`, and write what arrives to `writer`, which it owns from now on."""
        self._writers[number] = writer
        task = asyncio.get_running_loop().create_task(self._forward(number, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for kind, payload in self._early.pop(number, []):
            self.received(kind, number, payload)

    def received(self, kind: Frame, number: int, payload: bytes) -> None:
        """Take a frame of a stream."""
        writer = self._writers.get(number)
        if writer is None:
            if number in self._early:
                self._early[number].append((kind, payload))
            return
        with contextlib.suppress(OSError):
            if kind is Frame.DATA:
                writer.write(payload)
            elif writer.can_write_eof():
                writer.write_eof()

    def close(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    async def _forward(self, number: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                self._frames.send_now(Frame.DATA, number, data)
        self._frames.send_now(Frame.END, number)
