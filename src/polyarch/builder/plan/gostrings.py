"""How Go prints values. Image histories contain its `%q` and `%v`, and tools compare them as text."""

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quoted(text: str, *, ascii_only: bool = False) -> str:
    """`text` as strconv.Quote writes it, or with `ascii_only` as strconv.QuoteToASCII does."""
    return '"' + "".join(_escaped(character, '"', ascii_only) for character in text) + '"'


def quoted_character(number: int, *, ascii_only: bool = False) -> str:
    """The character of this number as strconv.QuoteRune writes it, or strconv.QuoteRuneToASCII."""
    valid = 0 <= number < 0x110000 and not 0xD800 <= number < 0xE000
    character = chr(number) if valid else "\ufffd"
    return "'" + _escaped(character, "'", ascii_only) + "'"


def _escaped(character: str, quote: str, ascii_only: bool) -> str:
    number = ord(character)
    if character in (quote, "\\"):
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and (number < 0x80 or not ascii_only):
        return character
    if number < 0x80 or 0xDC80 <= number < 0xDD00:
        # A control character, or (by surrogateescape) a byte that is not valid UTF-8.
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def quoted_list(items: tuple[str, ...]) -> str:
    """A slice of strings as `%q` prints it."""
    return "[" + " ".join(quoted(item) for item in items) + "]"


def plain_list(items: tuple[str, ...]) -> str:
    """A slice of strings as `%v` prints it."""
    return "[" + " ".join(items) + "]"


def duration(nanoseconds: int) -> str:
    """A time.Duration as its String method writes it: 1h0m0s, 1m30s, 1.5s, 20ms."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if rest < size * 1_000:
            return f"{sign}{_decimal(rest, size)}{unit}"
    if rest < 1_000_000_000:
        return f"{sign}{_decimal(rest, 1_000_000)}ms"
    minutes, remainder = divmod(rest, 60_000_000_000)
    text = f"{_decimal(remainder, 1_000_000_000)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
