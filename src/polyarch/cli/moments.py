"""Moments as docker's filters take them: `until=24h`, `until=2026-01-31`, `until=1767225600`."""

import re
from datetime import datetime

from polyarch.errors import UsageError

# The durations of Go's time.ParseDuration, without parts of a second.
_AGE = re.compile(r"(?:\d+(?:\.\d+)?[hms])+")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_HINT = "as in 24h, 1h30m, 2026-01-31, 2026-01-31T12:00:00Z, or seconds since 1970"


def parse(text: str, now: float) -> float:
    """The moment in seconds since 1970: so long before `now`, or a date, in the local time zone unless it names one.

    Raises UsageError.
    """
    if _AGE.fullmatch(text):
        return now - sum(float(part[:-1]) * _UNITS[part[-1]] for part in re.findall(r"[\d.]+[hms]", text))
    if re.fullmatch(r"\d+(\.\d+)?", text) and not re.fullmatch(r"\d{8}", text):
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a time", _HINT) from error
