"""Parse a size as docker's flags take it."""

import re

from polyarch.errors import UsageError

_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"


def bytes_of(word: str, *, memory: bool = False) -> int:
    """The number of bytes that `500MB`, `2GiB`, `64m` or a bare number stands for. Raises UsageError.

    With `memory` every unit is a power of 1024, as in docker's memory flags.
    """
    match = re.fullmatch(_SIZE, word.strip())
    if match is None:
        raise UsageError(f"{word!r} is not a size", "a size reads 500MB, 2GiB or a number of bytes")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] or memory else 1000) ** power)
