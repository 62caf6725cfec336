"""A limit on the nesting of untrusted JSON, because decoding and encoding it recurses, in C or in Python."""

import re
from itertools import accumulate

from polyarch.errors import CorruptError

# No document of the image specification has ten levels; Python's recursion limit is a thousand.
DEEPEST = 200

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check(raw: bytes, what: str) -> None:
    """Raise CorruptError, naming `what`, if the JSON nests more than `DEEPEST` levels."""
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return
    lowest, highest = _heights(raw)
    # Count brackets in strings too at first: removing strings takes ten times as long and is rarely needed.
    if (lowest < 0 or highest > DEEPEST) and _heights(_STRING.sub(b"", raw))[1] > DEEPEST:
        raise CorruptError(f"{what} is nested more than {DEEPEST} levels deep")


def _heights(raw: bytes) -> tuple[int, int]:
    """Return the lowest and the highest number of open brackets."""
    heights = list(accumulate(map(_STEPS.__getitem__, raw.translate(None, _NO_BRACKET))))
    return min(heights, default=0), max(heights, default=0)
