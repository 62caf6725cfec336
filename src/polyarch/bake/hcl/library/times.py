"""Times, in RFC 3339."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from polyarch.bake.hcl import types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, whole
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_TOKEN = re.compile(r"''|'(?:[^']|'')*'|'.*|([a-zA-Z])\1*|[^a-zA-Z']+", re.DOTALL)
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


class GoTime:
    """A time as Go has it: to the nanosecond, in any of the years that RFC 3339 can write."""

    def __init__(self, moment: datetime, nanoseconds: int) -> None:
        self.moment = moment
        self.nanoseconds = nanoseconds

    @property
    def zone(self) -> str:
        """The offset, as +HH:MM."""
        offset = self.moment.utcoffset() or timedelta()
        minutes = int(offset.total_seconds()) // 60
        sign = "-" if minutes < 0 else "+"
        return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    def rfc3339(self) -> str:
        """The time in RFC 3339, in seconds."""
        moment = self.moment
        date = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
        zone = "Z" if self.zone == "+00:00" else self.zone
        return f"{date}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}{zone}"


def parse(text: str) -> GoTime:
    """A time in RFC 3339. Raises FunctionError."""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None or int(match[9] or 0) > 23 or int(match[10] or 0) > 59:
            raise ValueError
        offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
        zone = timezone(-offset if match[8] == "-" else offset)
        moment = datetime(*(int(match[index]) for index in range(1, 7)), tzinfo=zone)  # type: ignore[arg-type, misc]
    except ValueError:
        raise FunctionError(f"{text!r} is not a time in RFC 3339, as in 2006-01-02T15:04:05Z") from None
    return GoTime(moment, int((match[7] or ".0")[1:10].ljust(9, "0")))


def _of(seconds: float) -> GoTime:
    try:
        return GoTime(datetime.fromtimestamp(seconds, UTC), 0)
    except (OverflowError, ValueError, OSError):
        raise FunctionError("the time is before the year 1 or after the year 9999") from None


@TABLE.define("timestamp")
def _timestamp(_: Sequence[HclValue], host: FunctionHost) -> HclValue:
    return values.text(_of(int(host.now)).rfc3339())


@TABLE.define("timeadd timestamp:string duration:string")
def _timeadd(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    time = parse(given[0].data)
    total = time.nanoseconds + _duration(given[1].data)
    try:
        moment = time.moment + timedelta(seconds=total // 10**9)
    except OverflowError:
        raise FunctionError("the time is before the year 1 or after the year 9999") from None
    return values.text(GoTime(moment, total % 10**9).rfc3339())


def _duration(text: str) -> int:
    """A duration of Go in nanoseconds, as in 1h30m. Raises FunctionError."""
    plain = text[1:] if text[:1] in ("+", "-") else text
    parts = list(_DURATION.finditer(plain))
    if plain != "0" and (not parts or "".join(part[0] for part in parts) != plain):
        raise FunctionError(f"{text!r} is not a duration, as in 1h30m")
    total = 0
    for part in parts:
        whole_part, _, fraction = part[1].partition(".")
        if len(whole_part) > 19:
            raise FunctionError(f"{text!r} is too long a duration")
        unit = _NANOSECONDS[part[2]]
        total += int(whole_part or 0) * unit + int(fraction[:18] or 0) * unit // 10 ** len(fraction[:18])
    if total > (1 << 63) - 1:
        raise FunctionError(f"{text!r} is too long a duration")
    return -total if text.startswith("-") else total


@TABLE.define("formatdate format:string time:string")
def _formatdate(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(formatted(given[0].data, parse(given[1].data)))


@TABLE.define("formattimestamp format:string time:any")
def _formattimestamp(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if given[1].type == types.NUMBER:
        time = _of(whole(given[1], "time"))
    elif given[1].type == types.STRING:
        time = parse(given[1].data)
    else:
        raise FunctionError(f"time must be a text or a number of seconds, but is {types.friendly(given[1].type)}")
    if given[0].data == "X":
        return values.text(str(_seconds(time)))
    return values.text(formatted(given[0].data, time))


def _seconds(time: GoTime) -> int:
    since = time.moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86400 + since.seconds


@TABLE.define("unixtimestampparse unix_timestamp:number")
def _unixtimestampparse(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    time = _of(whole(given[0], "unix_timestamp"))
    moment = time.moment
    year, week, _day = moment.isocalendar()
    numbers = {
        "year": moment.year,
        "year_day": moment.timetuple().tm_yday,
        "day": moment.day,
        "month": moment.month,
        "weekday": moment.isoweekday() % 7,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "iso_year": year,
        "iso_week": week,
    }
    names = {
        "month_name": _MONTHS[moment.month - 1],
        "weekday_name": _DAYS[moment.weekday()],
        "rfc3339": time.rfc3339(),
    }
    found = {name: values.integer(number) for name, number in numbers.items()}
    return values.object_of({**found, **{name: values.text(text) for name, text in names.items()}})


def formatted(pattern: str, time: GoTime) -> str:
    """The time in the words of cty's formatdate. Raises FunctionError."""
    parts: list[str] = []
    for match in _TOKEN.finditer(pattern):
        token = match[0]
        if token.startswith("'"):
            if token == "''":
                parts.append("'")
            elif len(token) == 1 or not token.endswith("'"):
                raise FunctionError("a quote in the format is not closed")
            else:
                parts.append(token[1:-1].replace("''", "'"))
        elif match[1]:
            verbs = _verbs(time)
            if token not in verbs:
                raise FunctionError(f"the format has an unknown part {token!r}")
            parts.append(verbs[token])
        else:
            parts.append(token)
    return "".join(parts)


def _verbs(time: GoTime) -> dict[str, str]:
    moment = time.moment
    half = "AM" if moment.hour < 12 else "PM"
    twelve = moment.hour % 12 or 12
    zone = time.zone
    plain = zone.replace(":", "")
    return {
        "YY": f"{moment.year % 100:02d}",
        "YYYY": f"{moment.year:04d}",
        "M": str(moment.month),
        "MM": f"{moment.month:02d}",
        "MMM": _MONTHS[moment.month - 1][:3],
        "MMMM": _MONTHS[moment.month - 1],
        "D": str(moment.day),
        "DD": f"{moment.day:02d}",
        "EEE": _DAYS[moment.weekday()][:3],
        "EEEE": _DAYS[moment.weekday()],
        "h": str(moment.hour),
        "hh": f"{moment.hour:02d}",
        "H": str(twelve),
        "HH": f"{twelve:02d}",
        "AA": half,
        "aa": half.lower(),
        "m": str(moment.minute),
        "mm": f"{moment.minute:02d}",
        "s": str(moment.second),
        "ss": f"{moment.second:02d}",
        "Z": "Z" if zone == "+00:00" else zone,
        "ZZZ": "UTC" if plain == "+0000" else plain,
        "ZZZZ": plain,
        "ZZZZZ": zone,
    }
