"""The one verifying reader: every byte from outside passes it once before anything uses it."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Readable

_CHUNK = 1 << 20


class VerifyingReader:
    """Reads what a descriptor points at and raises CorruptError where size or digest differ.

    `close` calls `on_close`; nothing else of `content` is owned. The last bytes are returned only after the digest was
    found to be right: a caller that stops early has verified nothing. Errors say `where` the bytes came from, and give
    the `hint`.
    """

    def __init__(
        self,
        content: Readable,
        descriptor: Descriptor,
        on_close: Callable[[], None] | None = None,
        where: str = "",
        hint: str | None = None,
    ) -> None:
        self._content = content
        self._descriptor = descriptor
        self._hash = digests.hasher(digests.parse(descriptor.digest))
        self._left = descriptor.size
        self._on_close = on_close
        self._where = f" from {where}" if where else ""
        self._hint = hint
        self._begun = self._finished = False

    @property
    def verifies(self) -> Descriptor | None:
        """Implements `place.Verifying`."""
        return self._descriptor if not self._begun else None

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if self._finished or size == 0:
            return b""
        self._begun = True
        chunk = self._content.read(min(size, self._left) if self._left else 1)
        self._left -= len(chunk)
        if self._left < 0:
            raise self._corrupt(f"is longer than the declared {self._descriptor.size} bytes")
        self._hash.update(chunk)
        if not chunk or self._left == 0:
            self._finish()
        return chunk

    def _finish(self) -> None:
        if self._left:
            raise self._corrupt(f"ends {self._left} bytes before the declared {self._descriptor.size}")
        if self._content.read(1):
            raise self._corrupt(f"is longer than the declared {self._descriptor.size} bytes")
        found = f"{digests.algorithm(self._descriptor.digest)}:{self._hash.hexdigest()}"
        if found != self._descriptor.digest:
            raise self._corrupt(f"is corrupt: its bytes have the digest {found}")
        self._finished = True

    def _corrupt(self, how: str) -> CorruptError:
        return CorruptError(f"{self._descriptor.digest}{self._where} {how}", self._hint)

    def close(self) -> None:
        """Close the source. Safe to call twice."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verifying(content: Readable, descriptor: Descriptor) -> Readable:
    """`content` itself if it is `place.Verifying` for this descriptor, else a VerifyingReader around it.

    Whoever keeps bytes reads them through this. So each byte is hashed once on its way from any place to any other.
    """
    checked: Descriptor | None = getattr(content, "verifies", None)
    if checked is not None and (checked.digest, checked.size) == (descriptor.digest, descriptor.size):
        return content
    return VerifyingReader(content, descriptor)


def verified(raw: bytes, descriptor: Descriptor, where: str = "", hint: str | None = None) -> bytes:
    """`raw` itself, once size and digest are known to be right. Raises CorruptError, with `hint`."""
    place = f" from {where}" if where else ""
    if len(raw) != descriptor.size:
        how = f"has {len(raw)} bytes, not the {descriptor.size} it claims"
        raise CorruptError(f"{descriptor.digest}{place} {how}", hint)
    hasher = digests.hasher(digests.parse(descriptor.digest))
    hasher.update(raw)
    if f"{digests.algorithm(descriptor.digest)}:{hasher.hexdigest()}" != descriptor.digest:
        raise CorruptError(f"{descriptor.digest}{place} is corrupt: its bytes have another digest", hint)
    return raw
