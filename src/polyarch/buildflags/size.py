"""Parse a size in the format of docker's flags."""

import re
from decimal import Decimal

from polyarch.errors import UsageError

_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_DIGITS = 30
_LARGEST = (1 << 63) - 1


def bytes_of(word: str, *, memory: bool = False) -> int:
    """The number of bytes in `500MB`, `2GiB`, `64m` or a bare number. Raises UsageError. With `memory`, every unit is a
    power of 1024, as in docker's memory flags.
    """
    match = re.fullmatch(_SIZE, word.strip())
    if match is None:
        raise UsageError(f"{word!r} is not a size", "expected a size such as 500MB or 2GiB, or a number of bytes")
    unit = (1024 if match[3] or memory else 1000) ** " kmgt".index(match[2].lower() or " ")
    if len(match[1]) > _DIGITS or (found := int(Decimal(match[1]) * unit)) > _LARGEST:
        raise UsageError(f"{word[:_DIGITS]!r} is more than any memory or disk has")
    return found
