"""Part of something that a server has, resumed where the connection was cut."""

from collections.abc import Callable

from polyarch.distribution import headers
from polyarch.errors import CorruptError, RegistryError
from polyarch.oci.retry import Retry
from polyarch.registry.response import Response

_PIECE = 1 << 20


class ResumedRange:
    """`size` bytes from `offset`: `place.Readable`, to be closed. They are not verified.

    `open_` requests the bytes from a position up to, not including, another. Reading raises CorruptError if what the
    server has is shorter, RegistryError if it cannot be reached.
    """

    def __init__(
        self,
        open_: Callable[[int, int], Response],
        offset: int,
        size: int,
        retry: Retry,
        sleep: Callable[[float], None],
    ) -> None:
        self._open = open_
        self._position = offset
        self._end = offset + size
        self._retry = retry
        self._sleep = sleep
        self._response: Response | None = open_(offset, self._end) if size else None

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if not size or self._position == self._end:
            return b""
        return self._retry.call(lambda: self._read(size), self._sleep)

    def _read(self, size: int) -> bytes:
        if self._response is None:
            self._response = self._open(self._position, self._end)
        try:
            piece = self._response.read(min(size, self._end - self._position))
            if not piece:
                missing = self._end - self._position
                raise RegistryError(f"the server ended its answer {missing} bytes too early", retryable=True)
        except RegistryError:
            self.close()
            raise
        self._position += len(piece)
        if self._position == self._end:
            self.close()
        return piece

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def __enter__(self) -> "ResumedRange":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def positioned(response: Response, start: int, what: str) -> Response:
    """A response to a request for a range, read up to `start` if the server ignores ranges.

    Raises CorruptError if there is nothing at `start`, RegistryError for another range; then it is closed.
    """
    try:
        if response.status == 416:
            raise CorruptError(f"{what} is shorter than its index says: it has no byte {start}")
        if response.status == 206:
            if headers.range_start(response.header("Content-Range")) != start:
                raise RegistryError(f"{what}: the server sent another range than was asked for")
            return response
        left = start
        while left and (dropped := response.read(min(left, _PIECE))):
            left -= len(dropped)
        if left:
            raise CorruptError(f"{what} is shorter than its index says: it has no byte {start}")
    except BaseException:
        response.close()
        raise
    return response
