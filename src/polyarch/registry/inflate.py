"""Content-Encoding: what a gateway compressed on the way. It belongs to HTTP and not to images."""

import zlib
from collections.abc import Callable

from polyarch.errors import RegistryError

_PIECE = 1 << 20
_SMALL = 64 << 10


class Inflated:
    """A body with its gzip Content-Encoding undone (RFC 9110, section 8.4.1.3). It owns nothing."""

    def __init__(self, read: Callable[[int], bytes], host: str) -> None:
        self._read = read
        self._host = host
        self._inflate = zlib.decompressobj(wbits=31)

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`. Raises RegistryError if this is not a gzip stream."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        while size and not self._inflate.eof:
            raw = self._inflate.unconsumed_tail or self._read(_SMALL)
            if not raw:
                raise RegistryError(f"the compressed response of {self._host} ended early", retryable=True)
            try:
                piece = self._inflate.decompress(raw, size)
            except zlib.error as error:
                raise RegistryError(f"{self._host} declared a gzip response that is not gzip") from error
            if piece:
                return piece
        return b""


def begins(raw: bytes, prefix: bytes) -> bool:
    """Whether the gzip stream that begins with `raw` inflates to something that begins with `prefix`."""
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, len(prefix)) == prefix
    except zlib.error:
        return False
