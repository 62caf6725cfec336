"""The language of a page: which one a reader wants, and how it writes texts, numbers, sizes and ages."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from polyarch.images.check.findings import RULES
from polyarch.oci import times
from polyarch.page.texts import RULES_ZH, TEXTS

# Code of the language: its tag in HTML, and its own name.
LANGUAGES: Final[Mapping[str, tuple[str, str]]] = {"en": ("en", "English"), "zh": ("zh-Hans", "中文")}
_DEFAULT = "en"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_RANGE = re.compile(r"\s*(?P<tag>[A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=(?P<q>[01](?:\.\d{1,3})?))?\s*")
_LONGEST = 1000
# Ages by the first unit of which there is more than one, in seconds.
_AGES = (
    ("years_ago", 365 * 86400.0),
    ("months_ago", 30 * 86400.0),
    ("weeks_ago", 7 * 86400.0),
    ("days_ago", 86400.0),
    ("hours_ago", 3600.0),
    ("minutes_ago", 60.0),
)
# Builds that can be repeated have a time from this year, or are as old as their sources.
_FIRST_YEAR = 1990


class Language:
    """One language, at one moment: `now` is in seconds since 1970; None if that is unknown. Immutable."""

    def __init__(self, code: str, now: float | None) -> None:
        self.code = code
        self.tag, self.own_name = LANGUAGES[code]
        self._column = list(LANGUAGES).index(code)
        self._now = now

    def __call__(self, key: str, n: int | None = None, **values: object) -> str:
        """The text of a name in `texts.TEXTS`, with values; `n` chooses between one and several."""
        text = TEXTS[key][self._column]
        if n is None:
            return text.format(**values) if values else text
        one, _, several = text.partition("|")
        return (one if n == 1 or not several else several).format(n=self.number(n), **values)

    def rule(self, rule: str) -> str:
        """What a rule of `check` requires."""
        if self.code == "zh":
            return RULES_ZH.get(rule, "")
        known = RULES.get(rule)
        return known.summary if known is not None else ""

    def architecture(self, platform: str) -> str:
        """What an architecture is, for people who do not know its name in Go; empty if there is nothing to add."""
        name = platform.partition("/")[2].partition("/")[0]
        return self(f"arch_{name}") if f"arch_{name}" in TEXTS else ""

    def number(self, number: int) -> str:
        """A number with its thousands apart."""
        return f"{number:,}"

    def size(self, size: int | None) -> str:
        """A number of bytes in three digits; empty for None."""
        if size is None:
            return ""
        number, unit = float(size), 0
        while number >= 999.5 and unit < len(_UNITS) - 1:
            number /= 1000
            unit += 1
        shown = f"{number:.0f}" if unit == 0 or number >= 99.95 else f"{number:.3g}"
        return f"{shown} {_UNITS[unit]}"

    def age(self, created: str) -> str:
        """How long ago a time (RFC 3339) was; when it was, without a clock. Empty if it is unknown, or a fixed time
        instead of a real one.
        """
        moment = times.of_rfc3339(created)
        if moment is None or self._now is None or not self.date(created):
            return self.date(created)
        seconds = self._now - moment
        if seconds < 60:
            # The clock of the machine that built it may be ahead.
            return self("just_now") if seconds > -86400 else self.date(created)
        return next(self(key, int(seconds // unit)) for key, unit in _AGES if seconds >= unit)

    def date(self, created: str) -> str:
        """A time (RFC 3339) in UTC; empty if it is none, or a fixed time instead of a real one."""
        moment = times.of_rfc3339(created)
        if moment is None:
            return ""
        try:
            shown = datetime.fromtimestamp(moment, UTC)
        except (ValueError, OverflowError, OSError):
            return ""
        return f"{shown:%Y-%m-%d %H:%M} UTC" if shown.year >= _FIRST_YEAR else ""


def choose(accept_language: str) -> str:
    """The code of the language that a reader likes best, by the header Accept-Language (RFC 9110, 12.5.4)."""
    best, weight = _DEFAULT, 0.0
    for part in accept_language[:_LONGEST].split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        code, q = match["tag"].lower(), float(match["q"] or 1)
        if (code in LANGUAGES or code == "*") and q > weight:
            best, weight = code if code in LANGUAGES else _DEFAULT, q
    return best
