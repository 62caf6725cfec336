"""Digests: `algorithm:encoded`, which identify content by its bytes (OCI image-spec, descriptor.md, "Digests")."""

import hashlib
import re
from typing import NewType, Protocol

from polyarch.errors import CorruptError

Digest = NewType("Digest", str)

# The two registered algorithms, each with the length of its encoded part in hexadecimal digits.
_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class Hash(Protocol):
    """The methods of a hashlib object that are used here."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


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
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def algorithm(digest: Digest) -> str:
    """Return the part before the colon."""
    return digest.partition(":")[0]


def encoded(digest: Digest) -> str:
    """Return the part after the colon."""
    return digest.partition(":")[2]


def hasher(digest: Digest) -> Hash:
    """Return a new hash object of the digest's algorithm."""
    return hashlib.new(algorithm(digest))


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Return the chain ID of each prefix of a stack of layers (image-spec, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else of(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)
