"""Text for a terminal: widths, clipping, sizes, ages."""

import functools
import re

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# Colours and cursor movements (CSI), and titles (OSC). They have no width, and those of another program would move the
# cursor of ours.
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]"


def width(text: str) -> int:
    """How many columns `text` takes on a terminal. A Chinese character takes two, a combining one none."""
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
    """`text`, cut to `columns` with an ellipsis if it is wider."""
    if width(text) <= columns:
        return text
    kept = ""
    room = columns - 1
    for character in text:
        room -= width(character)
        if room < 0:
            break
        kept += character
    return kept + "…" if columns > 0 else ""


def pad(text: str, columns: int) -> str:
    """`text`, padded with spaces to `columns`."""
    return text + " " * (columns - width(text))


def plain(text: str) -> str:
    """`text` without escape sequences and control characters, tabs as spaces."""
    text = re.sub(_ESCAPES, "", text).expandtabs(8)
    return text if text.isprintable() else "".join(character for character in text if character.isprintable())


def size(number: float) -> str:
    """A number of bytes as docker prints it: three digits, units of 1000."""
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number /= 1000
        unit += 1
    return f"{number:.3g}{_UNITS[unit]}" if number < 999.5 else f"{number:.0f}{_UNITS[unit]}"


def age(seconds: float) -> str:
    """How long ago `seconds` is, as docker prints it (go-units HumanDuration)."""
    minutes, hours, days = seconds / 60, round(seconds / 3600), seconds / 86400
    if seconds < 1:
        return "Less than a second ago"
    for applies, singular, amount, unit in (
        (seconds < 60, "1 second", int(seconds), "seconds"),
        (minutes < 60, "About a minute", int(minutes), "minutes"),
        (hours < 48, "About an hour", hours, "hours"),
        (days < 14, "", int(days), "days"),
        (days < 60, "", int(days / 7), "weeks"),
        (days < 730, "", int(days / 30), "months"),
        (True, "", int(days / 365), "years"),
    ):
        if applies:
            return f"{singular if singular and amount == 1 else f'{amount} {unit}'} ago"
    raise AssertionError("the last row always applies")


def short_digest(digest: str) -> str:
    """The first twelve hexadecimal digits of a digest, which docker prints as an image's ID."""
    return digest.partition(":")[2][:12]
