"""Words for people: widths on a terminal, sizes, ages."""

import functools
import re

from polyarch.errors import UsageError

_SIZE = r"(?i)(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# Colours and cursor movements (CSI), and titles (OSC): they take no room, and another program's must not move ours.
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]"


def width(text: str) -> int:
    """The columns that `text` takes on a terminal: Chinese characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@functools.lru_cache(maxsize=4096)
def _columns(character: str) -> int:
    if character.isascii():
        return 1
    import unicodedata

    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, columns: int) -> str:
    """`text`, cut with an ellipsis where it takes more than `columns`."""
    if width(text) <= columns:
        return text
    kept = ""
    left = columns - 1
    for character in text:
        left -= width(character)
        if left < 0:
            break
        kept += character
    return kept + "…" if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """`text`, with spaces up to `columns`."""
    return text + " " * (columns - width(text))


def plain(text: str) -> str:
    """`text` without escape sequences and control characters, tabs as spaces."""
    text = re.sub(_ESCAPES, "", text).expandtabs(8)
    return text if text.isprintable() else "".join(character for character in text if character.isprintable())


def size(number: float) -> str:
    """A number of bytes as docker writes it: three digits, units of 1000."""
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.3g}{_UNITS[unit]}" if number < 999.5 else f"{number:.0f}{_UNITS[unit]}"


def bytes_of(word: str, *, memory: bool = False) -> int:
    """The number of bytes that `500MB`, `2GiB`, `64m` or a bare number says. Raises UsageError.

    For `memory` a unit is always of 1024, as docker has it.
    """
    match = re.fullmatch(_SIZE, word.strip())
    if match is None:
        raise UsageError(f"{word!r} is not a size", "a size reads 500MB, 2GiB or a number of bytes")
    power = " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * (1024 if match[3] or memory else 1000) ** power)


def age(seconds: float) -> str:
    """How long ago, as docker writes it."""
    minutes, hours, days = seconds / 60, round(seconds / 3600), seconds / 86400
    if seconds < 1:
        return "Less than a second ago"
    for limit, one, amount, unit in (
        (seconds < 60, "1 second", int(seconds), "seconds"),
        (minutes < 60, "About a minute", int(minutes), "minutes"),
        (hours < 48, "About an hour", hours, "hours"),
        (days < 14, "", int(days), "days"),
        (days < 60, "", int(days / 7), "weeks"),
        (days < 730, "", int(days / 30), "months"),
        (True, "", int(days / 365), "years"),
    ):
        if limit:
            return f"{one if one and amount == 1 else f'{amount} {unit}'} ago"
    raise AssertionError("one limit always holds")


def short_digest(digest: str) -> str:
    """The twelve digits by which docker shows an image."""
    return digest.partition(":")[2][:12]
