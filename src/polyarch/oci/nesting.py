"""How deep JSON of others may nest: whoever walks or encodes it again recurses, in C or in Python."""

import re
from itertools import accumulate

from polyarch.errors import CorruptError

# No document of the image specification has ten levels; Python's stack ends at a thousand.
DEEPEST = 200

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check(raw: bytes, what: str) -> None:
    """Raises CorruptError, naming `what`, for JSON that nests more than `DEEPEST` levels."""
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return
    lowest, highest = _heights(raw)
    # Brackets in strings count first: to take strings away costs ten times as much, and hardly any has one.
    if (lowest < 0 or highest > DEEPEST) and _heights(_STRING.sub(b"", raw))[1] > DEEPEST:
        raise CorruptError(f"{what} is nested more than {DEEPEST} levels deep")


def _heights(raw: bytes) -> tuple[int, int]:
    """The least and the greatest number of brackets that are open at once."""
    heights = list(accumulate(map(_STEPS.__getitem__, raw.translate(None, _NO_BRACKET))))
    return min(heights, default=0), max(heights, default=0)
