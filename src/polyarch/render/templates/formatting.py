"""One value as Go's fmt package prints it with a verb and its flags."""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from polyarch.builder.plan.gostrings import quoted, quoted_character
from polyarch.render.templates.values import kind, raw, run_error

# From this power of ten on, %v and %g write an exponent.
_EXPONENT_FROM = 6
_BASES = {"d": 10, "v": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}


class FormatFlags(msgspec.Struct, frozen=True):
    """What stands between `%` and the verb. `go_syntax` is what `#` means before a `v`."""

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    go_syntax: bool = False
    space: bool = False
    zero: bool = False
    width: int = 0
    precision: int | None = None


_PLAIN = FormatFlags()


def shown(value: Any, verb: str = "v", flags: FormatFlags = _PLAIN) -> str:
    """A value printed with a verb. A verb that is not for its kind gives `%!d(string=x)`, as in Go.

    Raises UsageError for what only Go can print: the Go types and addresses of lists and maps, and floats in base 2
    and 16.
    """
    found = kind(value)
    if found == "nil":
        return _padded("<nil>", flags) if verb in "vT" else f"%!{verb}(<nil>)"
    if verb == "T":
        return _padded(_clipped(type_name(value), flags), flags)
    if found in ("list", "map"):
        return _container(value, verb, flags)
    text = _SCALARS[found](value, verb, flags)
    return bad_verb(value, verb, flags) if text is None else text


def type_name(value: Any) -> str:
    """Go's name of a value's type. Raises UsageError for lists and maps, whose Go types are not those of docker."""
    found = kind(value)
    if found in ("list", "map"):
        raise run_error(f"the Go type of a {found} is not known", "print the value with %v or json")
    return "<nil>" if found == "nil" else found


def bad_verb(value: Any, verb: str, flags: FormatFlags) -> str:
    """What Go prints for a verb that is not for this kind of value."""
    return f"%!{verb}({type_name(value)}={shown(value, 'v', flags)})"


def _container(value: Any, verb: str, flags: FormatFlags) -> str:
    if verb == "p" or flags.go_syntax:
        raise run_error(f"%{'#' if flags.go_syntax else ''}{verb} of a {kind(value)} is not supported")
    if isinstance(value, list | tuple):
        return "[" + " ".join(_item(item, verb, flags) for item in value) + "]"
    pairs = (f"{_item(key, verb, flags)}:{_item(item, verb, flags)}" for key, item in sorted(value.items()))
    return "map[" + " ".join(pairs) + "]"


def _item(value: Any, verb: str, flags: FormatFlags) -> str:
    return "<nil>" if value is None else shown(value, verb, flags)


def _padded(text: str, flags: FormatFlags, *, zero: bool | None = None) -> str:
    fill = "0" if (flags.zero if zero is None else zero) and not flags.minus else " "
    return text.ljust(flags.width, fill) if flags.minus else text.rjust(flags.width, fill)


def _clipped(text: str, flags: FormatFlags) -> str:
    return text if flags.precision is None else text[: flags.precision]


def _bool(value: bool, verb: str, flags: FormatFlags) -> str | None:
    return _padded("true" if value else "false", flags) if verb in "tv" else None


def _string(value: str, verb: str, flags: FormatFlags) -> str | None:
    if verb == "q" or flags.go_syntax:
        text = _clipped(value, flags)
        # A sharp asks for a raw string where the text can be one.
        if flags.sharp and all(c == "\t" or (c.isprintable() and c not in "`\ufeff") for c in text):
            return _padded(f"`{text}`", flags)
        return _padded(quoted(text, ascii_only=flags.plus), flags)
    if verb in "sv":
        return _padded(_clipped(value, flags), flags)
    return _hexadecimal(value, verb, flags) if verb in "xX" else None


def _hexadecimal(value: str, verb: str, flags: FormatFlags) -> str:
    pairs = [f"{byte:02{verb}}" for byte in raw(value)[: flags.precision]]
    prefix = f"0{verb}" if flags.sharp and pairs else ""
    if flags.space:
        return _padded(" ".join(prefix + pair for pair in pairs), flags)
    return _padded(prefix + "".join(pairs), flags)


def _int(value: int, verb: str, flags: FormatFlags) -> str | None:
    if verb in ("c", "q", "U"):
        return _character(value, verb, flags)
    base = _BASES.get(verb)
    if base is None:
        return None
    if flags.precision == 0 and value == 0:
        return _padded("", flags, zero=False)
    sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
    least = flags.precision or 0
    if flags.precision is None and flags.zero and not flags.minus:
        least = flags.width - len(sign)
    digits = format(abs(value), {10: "d", 2: "b", 8: "o", 16: verb}[base]).rjust(least, "0")
    prefix = ""
    if flags.sharp:
        prefix = {2: "0b", 8: "" if digits.startswith("0") else "0", 16: f"0{verb}"}.get(base, "")
    if verb == "O":
        prefix = f"0o{prefix}"
    return _padded(sign + prefix + digits, flags, zero=False)


def _character(value: int, verb: str, flags: FormatFlags) -> str:
    valid = 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000
    character = chr(value) if valid else "\ufffd"
    if verb == "c":
        return _padded(character, flags)
    if verb == "q":
        return _padded(quoted_character(value, ascii_only=flags.plus), flags)
    code = f"U+{value % (1 << 64):0{max(flags.precision or 0, 4)}X}"
    sample = f" '{character}'" if flags.sharp and valid and character.isprintable() else ""
    return _padded(code + sample, flags, zero=False)


def _float(value: float, verb: str, flags: FormatFlags) -> str | None:
    if verb in "bxX":
        raise run_error(f"%{verb} of a float64 is not supported")
    if verb not in "eEfFgGv":
        return None
    text = _decimal(abs(value), "g" if verb == "v" else verb, flags.precision)
    sign = "-" if str(value).startswith("-") else "+" if flags.plus else " " if flags.space else ""
    if text[0].isdigit() and flags.sharp:
        text = _with_point(text, verb, flags.precision)
    if not text[0].isdigit():
        return _padded(("+" if text == "Inf" and not sign else sign) + text, flags, zero=False)
    if sign and flags.zero and not flags.minus:
        return sign + text.rjust(flags.width - len(sign), "0")
    return _padded(sign + text, flags)


def _decimal(value: float, verb: str, precision: int | None) -> str:
    """A number that is not negative, as strconv.FormatFloat writes it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Inf"
    if verb not in "gG" or precision is not None:
        return format(value, f".{6 if precision is None else precision}{'f' if verb == 'F' else verb}")
    digits, power = shortest(value)
    text = fixed(digits, power) if -4 <= power < _EXPONENT_FROM else scientific(digits, power)
    return text.upper() if verb == "G" else text


def _with_point(text: str, verb: str, precision: int | None) -> str:
    """A decimal number with the point, and for %g the zeros at the end, that `#` asks for."""
    mantissa, e, exponent = text.partition("E" if "E" in text else "e")
    digits = mantissa.replace(".", "").lstrip("0")
    missing = (6 if precision is None else precision) - len(digits) if verb in "gGv" else 0
    if "." not in mantissa:
        missing -= mantissa == "0"
        mantissa += "."
    return f"{mantissa}{'0' * missing}{e}{exponent}"


def shortest(value: float) -> tuple[str, int]:
    """The fewest digits that give this number again, and the power of ten of the first: 0.015 is ("15", -2)."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0", 0
    leading = len(whole + fraction) - len(digits)
    return digits.rstrip("0"), len(whole) - 1 - leading + int(exponent or 0)


def fixed(digits: str, power: int) -> str:
    """The number of `shortest` without an exponent."""
    if power < 0:
        return f"0.{'0' * (-power - 1)}{digits}"
    whole, fraction = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def scientific(digits: str, power: int) -> str:
    """The number of `shortest` with an exponent of at least two digits."""
    return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{'-' if power < 0 else '+'}{abs(power):02d}"


_SCALARS: dict[str, Callable[[Any, str, FormatFlags], str | None]] = {
    "bool": _bool,
    "int": _int,
    "float64": _float,
    "string": _string,
}
