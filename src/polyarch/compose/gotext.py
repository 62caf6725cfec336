"""Numbers, durations and sizes in the spelling of Go, which compose's output has."""

import math
import re
import struct
from decimal import Decimal

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_UNITS |= {"m": 60 * 10**9, "h": 3600 * 10**9, "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_SIZE = re.compile(r"([0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+) ?(?:([kmgtp])(?:i?b)?|b)?", re.ASCII | re.IGNORECASE)
_SHOWN_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def digits(value: float, *, single: bool = False) -> tuple[str, str, int]:
    """The sign, the shortest digits that give the number again, and the exponent of the first digit."""
    text = _shortest(value) if single else repr(value)
    sign, places, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    found = "".join(map(str, places)).rstrip("0") or "0"
    return "-" if sign else "", found, len(places) + exponent - 1


def _shortest(value: float) -> str:
    """The shortest text that gives the same number in 32 bits."""
    for precision in range(1, 10):
        text = f"{value:.{precision}g}"
        if _rounded(float(text)) == _rounded(value):
            return text
    return repr(value)


def _rounded(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def number(value: object, *, most: int = 6, single: bool = False) -> str:
    """A value as Go's `%v` prints it. A number with an exponent of `most` or more has an exponent."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float):
        return "<nil>" if value is None else str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, found, exponent = digits(value, single=single)
    if exponent < -4 or exponent >= most:
        rest = f".{found[1:]}" if len(found) > 1 else ""
        return f"{sign}{found[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{found}"
    if len(found) <= exponent + 1:
        return sign + found.ljust(exponent + 1, "0")
    return f"{sign}{found[: exponent + 1]}.{found[exponent + 1 :]}"


def duration(text: str) -> str:
    """A duration such as `1d12h` as Go prints it: `36h0m0s`. Raises ValueError."""
    sign = text[:1] if text[:1] in "+-" else ""
    rest = text[len(sign) :]
    if rest == "0":
        return "0s"
    total, at = Decimal(0), 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            raise ValueError(f"{text!r} is not a duration")
        total += Decimal(part[1]) * _UNITS[part[2]]
        at = part.end()
    if not rest:
        raise ValueError(f"{text!r} is not a duration")
    return ("-" if sign == "-" and total else "") + _duration(int(total))


def _duration(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{_fraction(nanoseconds, size)}{unit}"
    minutes, seconds = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    shown = f"{_fraction(seconds, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    width = len(str(size)) - 1
    return f"{whole}.{rest:0{width}d}".rstrip("0") if rest else str(whole)


def size(text: str) -> int:
    """A size such as `64m` in bytes. Raises ValueError."""
    if re.fullmatch(r"-[0-9]+", text):
        return int(text)
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: as in 64m or 1gb")
    return int(Decimal(match[1].replace("_", "")) * (1 << 10 * _POWERS[(match[2] or "").lower()]))


def size_text(count: int) -> str:
    """Bytes with a unit, as `128MiB`, if that is exact; else the number."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_SHOWN_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    text = f"{value:.4g}{_SHOWN_UNITS[unit]}"
    return text if "e" not in text and size(text) == count else str(count)


def json_number(value: float, *, single: bool = False) -> str:
    """A number as Go's JSON encoder writes it."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if 1e-6 <= abs(value) < 1e21:
        sign, found, exponent = digits(value, single=single)
        return sign + format(Decimal(f"{found}e{exponent - len(found) + 1}"), "f")
    return re.sub(r"e-0(\d)$", r"e-\1", number(value, most=21, single=single))
