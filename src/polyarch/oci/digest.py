"""Digests: `algorithm:encoded`, the name of content by its bytes (OCI image-spec, descriptor.md, "Digests")."""

import hashlib
import re
from typing import NewType, Protocol

from polyarch.errors import CorruptError

Digest = NewType("Digest", str)

# The two registered algorithms; an encoded part of any other length or alphabet is not a digest of theirs.
_LENGTHS = {"sha256": 64, "sha512": 128}
_GRAMMAR = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class Hash(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def parse(text: str) -> Digest:
    """The digest that `text` spells. Raises CorruptError if it is none."""
    match = _GRAMMAR.fullmatch(text)
    if match is None or len(match[2]) != _LENGTHS[match[1]]:
        raise CorruptError(f"{text!r} is not a digest", "a digest reads sha256: and 64 lower-case hexadecimal digits")
    return Digest(text)


def is_digest(text: str) -> bool:
    """Whether `text` spells a digest."""
    match = _GRAMMAR.fullmatch(text)
    return match is not None and len(match[2]) == _LENGTHS[match[1]]


def of(data: bytes) -> Digest:
    """The SHA-256 digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def algorithm(digest: Digest) -> str:
    """The part before the colon."""
    return digest.partition(":")[0]


def encoded(digest: Digest) -> str:
    """The part behind the colon."""
    return digest.partition(":")[2]


def hasher(digest: Digest) -> Hash:
    """A new hash of the digest's algorithm."""
    return hashlib.new(algorithm(digest))


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The chain id of each prefix of a stack of layers (image-spec, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else of(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)
