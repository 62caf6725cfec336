"""The verifying reader: all bytes from outside pass through it once before they are used."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Readable

_CHUNK = 1 << 20


class VerifyingReader:
    """Reads the content of a descriptor and raises CorruptError if its size or digest differs.

    The last bytes are returned only after the digest has matched: a caller that stops early has verified nothing.
    `close` calls `on_close`; the reader owns nothing else of `content`. Errors name `where` the bytes came from and
    give the `hint`.
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
        self._hash = digests.hasher(digests.parse(descriptor.digest), little=descriptor.size <= digests.LITTLE)
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
        actual = f"{digests.algorithm(self._descriptor.digest)}:{self._hash.hexdigest()}"
        if actual != self._descriptor.digest:
            raise self._corrupt(f"is corrupt: its bytes have the digest {actual}")
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
    """Return `content` itself if it is `place.Verifying` for this descriptor, else a VerifyingReader around it.

    Targets read through this, so that each byte is hashed once on its way between any two places.
    """
    checked: Descriptor | None = getattr(content, "verifies", None)
    if checked is not None and (checked.digest, checked.size) == (descriptor.digest, descriptor.size):
        return content
    return VerifyingReader(content, descriptor)


def verified(raw: bytes, descriptor: Descriptor, where: str = "", hint: str | None = None) -> bytes:
    """Return `raw` if its size and digest match `descriptor`. Raises CorruptError, with `hint`, otherwise."""
    place = f" from {where}" if where else ""
    if len(raw) != descriptor.size:
        how = f"has {len(raw)} bytes instead of the declared {descriptor.size}"
        raise CorruptError(f"{descriptor.digest}{place} {how}", hint)
    hasher = digests.hasher(digests.parse(descriptor.digest), little=len(raw) <= digests.LITTLE)
    hasher.update(raw)
    if f"{digests.algorithm(descriptor.digest)}:{hasher.hexdigest()}" != descriptor.digest:
        raise CorruptError(f"{descriptor.digest}{place} is corrupt: its bytes have another digest", hint)
    return raw
