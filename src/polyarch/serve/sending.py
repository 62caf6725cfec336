"""Sending a part of a file: by the kernel on a plain connection, in parts through TLS."""

import asyncio
import errno
import os
from collections.abc import Callable
from typing import BinaryIO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

# What is encrypted at once. Some copies of it are in memory for each connection.
_PART = 128 << 10
# The kernel has to read from the disk, or cannot tell whether it has to.
_NOT_NOW = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
Run = Callable[[Callable[[], bytes]], "asyncio.Future[bytes]"]


async def send_file(
    response: web.StreamResponse, request: web.Request, file: BinaryIO, start: int, count: int, run: Run
) -> None:
    """Prepare a response and send `count` bytes from position `start`. `run` does what may block on a thread.

    Raises ConnectionResetError if the client is gone.
    """
    writer = await response.prepare(request)
    transport = request.transport
    if transport is None or writer is None:
        raise ConnectionResetError("the client is gone")
    if transport.get_extra_info("sslcontext") is not None:
        await _send_parts(writer, file, start, count, run)
    elif count:
        await asyncio.get_running_loop().sendfile(transport, file, start, count)
    await response.write_eof()


async def _send_parts(writer: AbstractStreamWriter, file: BinaryIO, start: int, count: int, run: Run) -> None:
    # The event loop would do this by itself, in parts of 16 KiB that each wait for a thread: with eight times the
    # processor time.
    descriptor, end = file.fileno(), start + count
    while start < end:
        size = min(_PART, end - start)
        part: bytes | bytearray | None = _cached(descriptor, start, size)
        if part is None:
            part = await run(lambda at=start, size=size: os.pread(descriptor, size, at))  # type: ignore[misc]
        if not part:
            raise ConnectionResetError("the file has become shorter")
        await writer.write(part)
        start += len(part)


def _cached(descriptor: int, start: int, size: int) -> bytearray | None:
    """Bytes of the file that are in memory; None if the disk has to be read, which would hold up other requests."""
    buffer = bytearray(size)
    try:
        read = os.preadv(descriptor, [buffer], start, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno in _NOT_NOW:
            return None
        raise
    del buffer[read:]
    return buffer
