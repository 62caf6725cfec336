"""Digests: `algorithm:encoded`, which identify content by its bytes (OCI image-spec, descriptor.md, "Digests")."""

import re
import sys
from typing import NewType, Protocol

from polyarch.errors import CorruptError

Digest = NewType("Digest", str)

# The two registered algorithms, each with the length of its encoded part in hexadecimal digits.
_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"(sha256|sha512):([0-9a-f]+)")

# hashlib loads libcrypto, which takes 3 ms. Python's own SHA-256 hashes so many bytes in a tenth of that.
LITTLE = 64 << 10


class Hash(Protocol):
    """The methods of a hashlib object that are used here."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


def new(name: str = "sha256", *, little: bool = False) -> Hash:
    """Return a new hash object of an algorithm that hashlib has.

    `little` says that it is for few bytes. hashlib is not loaded for those: a command that finds all results in its
    caches hashes nothing else.
    """
    if little and name == "sha256" and "hashlib" not in sys.modules:
        try:
            if sys.version_info >= (3, 12):
                from _sha2 import sha256
            else:
                from _sha256 import sha256  # type: ignore[import-not-found]
        except ImportError:  # pragma: no cover (a Python that was built without it)
            pass
        else:
            small: Hash = sha256()
            return small
    import hashlib

    return hashlib.new(name)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data`, in hexadecimal digits."""
    hasher = new(little=len(data) <= LITTLE)
    hasher.update(data)
    return hasher.hexdigest()


def parse(text: str) -> Digest:
    """Return `text` as a Digest. Raises CorruptError if it is not a digest."""
    match = _GRAMMAR.fullmatch(text)
    if match is None or len(match[2]) != _LENGTHS[match[1]]:
        raise CorruptError(
            f"{text!r} is not a digest", "a digest is sha256: followed by 64 lower-case hexadecimal digits"
        )
    return Digest(text)


def is_digest(text: str) -> bool:
    """Return whether `text` is a digest."""
    match = _GRAMMAR.fullmatch(text)
    return match is not None and len(match[2]) == _LENGTHS[match[1]]


def of(data: bytes) -> Digest:
    """Return the SHA-256 digest of `data`."""
    return Digest(f"sha256:{sha256(data)}")


def algorithm(digest: Digest) -> str:
    """Return the part before the colon."""
    return digest.partition(":")[0]


def encoded(digest: Digest) -> str:
    """Return the part after the colon."""
    return digest.partition(":")[2]


def hasher(digest: Digest, *, little: bool = False) -> Hash:
    """Return a new hash object of the digest's algorithm, as `new` does."""
    return new(algorithm(digest), little=little)


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Return the chain ID of each prefix of a stack of layers (image-spec, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else of(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)
