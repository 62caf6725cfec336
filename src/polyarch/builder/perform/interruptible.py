"""A reader that ends when its build does: an interrupt need not wait for the end of a large base layer."""

from collections.abc import Callable
from typing import Self

from polyarch.errors import CancelledError
from polyarch.oci.place import BlobReader


class InterruptibleReader:
    """Reads `reader`, which it owns, until `stopped` returns True. Then `read` raises CancelledError."""

    def __init__(self, reader: BlobReader, stopped: Callable[[], bool]) -> None:
        self._reader = reader
        self._stopped = stopped
        self.close = reader.close

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`."""
        if self._stopped():
            raise CancelledError
        return self._reader.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
