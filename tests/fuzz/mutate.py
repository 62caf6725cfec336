"""Mutations as values: a list of edits turns a good input into a bad one, and can be recorded and shrunk."""

import random
from typing import Literal, NamedTuple

Kind = Literal["set", "insert", "delete", "repeat", "cut", "swap"]
KINDS: tuple[Kind, ...] = ("set", "insert", "delete", "repeat", "cut", "swap")
_BLOCK = 512

# What has a meaning somewhere.
WORDS = (
    b"\x00",
    b"\xff",
    b"/",
    b"..",
    b"../",
    b"/../outside/x",
    b".wh.",
    b".wh..wh..opq",
    b'"',
    b"\\",
    b"\n",
    b"{",
    b"[" * 2000,
    b"-1",
    b"9" * 30,
    b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"77777777777\x00",
    b"1 size=99999999999999999999\n",
    b"25 GNU.sparse.size=99999\n",
    b"null",
    b"1e999",
    b"sha256:",
    b"$",
    b"${",
    b"**",
    b"<<EOF\n",
    b"\xed\xa0\x80",
    b"0",
    b"1",
    b"2",
    b"5",
    b"x",
    b"g",
    b"L",
    b"K",
    b"S",
)


class Edit(NamedTuple):
    """One change. `place` and `size` count bytes, modulo the input's; for "swap" they count blocks of 512."""

    kind: Kind
    place: int
    size: int
    word: bytes


def mutated(raw: bytes, edits: list[Edit], *, tar: bool = False) -> bytes:
    """The input after all edits; of a tar, with checksums that are right again, or no reader would look further."""
    for kind, place, size, word in edits:
        at = place % (len(raw) + 1)
        until = min(len(raw), at + size)
        match kind:
            case "set":
                raw = raw[:at] + word + raw[at + len(word) :]
            case "insert":
                raw = raw[:at] + word + raw[at:]
            case "delete":
                raw = raw[:at] + raw[until:]
            case "repeat":
                raw = raw[:until] + raw[at:until] * 2 + raw[until:]
            case "cut":
                raw = raw[:at]
            case "swap":
                raw = _swapped(raw, place, size)
    return _with_checksums(raw) if tar else raw


def random_edits(dice: random.Random) -> list[Edit]:
    """A few edits, more seldom many."""
    return [
        Edit(dice.choice(KINDS), dice.randrange(1 << 16), dice.randrange(64), dice.choice(WORDS))
        for _ in range(min(12, 1 + int(dice.expovariate(0.5))))
    ]


def _swapped(raw: bytes, one: int, other: int) -> bytes:
    blocks = [raw[at : at + _BLOCK] for at in range(0, len(raw), _BLOCK)] or [b""]
    one, other = one % len(blocks), other % len(blocks)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def _with_checksums(raw: bytes) -> bytes:
    blocks = [raw[at : at + _BLOCK] for at in range(0, len(raw), _BLOCK)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == _BLOCK:
            total = sum(block) - sum(block[148:156]) + 8 * 32
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)
