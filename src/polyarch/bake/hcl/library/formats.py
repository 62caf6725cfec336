"""`format` and `formatlist`: verbs like those of C's printf (cty's format.go, and Go's fmt for numbers)."""

import re
from collections.abc import Sequence

import msgspec

from polyarch.bake.hcl import decimals, graphemes, jsonvalues, types, values
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, repeated
from polyarch.bake.hcl.numbers import BigFloat
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_VERB = re.compile(r"%([0#\-+ ]*)([1-9][0-9]*)?(?:\.([0-9]*))?(?:\[([1-9][0-9]*)\])?([a-zA-Z])")
_INTEGERS = {"b": "b", "d": "d", "o": "o", "x": "x", "X": "X"}


class Verb(msgspec.Struct, frozen=True):
    """One verb, as it is written. `precision` is None without a dot."""

    flags: str
    width: int
    precision: int | None
    mode: str
    text: str


@TABLE.define("format format:string *args:any?")
def _format(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.text(formatted(given[0].data, given[1:]))


@TABLE.define("formatlist format:string *args:any?")
def _formatlist(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    lists = [one.data if one.is_sequence and not one.is_null else None for one in given[1:]]
    lengths = {len(one) for one in lists if one is not None}
    if len(lengths) > 1:
        raise FunctionError(f"the lists have different lengths: {', '.join(map(str, sorted(lengths)))}")
    found = []
    for index in range(lengths.pop() if lengths else 1):
        arguments = [given[1 + at] if one is None else one[index] for at, one in enumerate(lists)]
        found.append(values.text(formatted(given[0].data, arguments)))
    return values.list_of(types.STRING, found)


def formatted(pattern: str, arguments: Sequence[HclValue]) -> str:
    """The pattern with its verbs replaced. Raises FunctionError."""
    parts: list[str] = []
    at, following, highest = 0, 1, 0
    while at < len(pattern):
        end = pattern.find("%", at)
        if end < 0:
            parts.append(pattern[at:])
            break
        parts.append(pattern[at:end])
        if pattern.startswith("%%", end):
            parts.append("%")
            at = end + 2
            continue
        match = _VERB.match(pattern, end)
        if match is None:
            raise FunctionError(f"there is no verb after % in {pattern[end : end + 20]!r}")
        number = int(match[4]) if match[4] else following
        following, highest = number + 1, max(highest, number)
        if number > len(arguments):
            raise FunctionError(f"{match[0]} needs argument {number}, and there are {len(arguments)}")
        precision = None if match[3] is None else int(match[3] or 0)
        verb = Verb(match[1], int(match[2] or -1), precision, match[5], match[0])
        repeated(" ", max(verb.width, verb.precision or 0))
        parts.append(_verb(verb, arguments[number - 1]))
        at = match.end()
    if highest < len(arguments):
        raise FunctionError(f"there are {len(arguments)} arguments, and the format uses {highest}")
    return "".join(parts)


def _verb(verb: Verb, value: HclValue) -> str:
    if verb.mode != "v" and value.is_null:
        raise FunctionError(f"{verb.text} cannot show null")
    try:
        match verb.mode:
            case "v":
                return _padded(verb, _as_is(verb, value))
            case "t":
                return ("false", "true")[convert(value, types.BOOL).data]
            case "b" | "d" | "o" | "x" | "X":
                return _integer(verb, convert(value, types.NUMBER).data)
            case "e" | "E" | "f" | "g" | "G":
                return _number(verb, convert(value, types.NUMBER).data)
            case "s" | "q":
                return _padded(verb, _string(verb, convert(value, types.STRING).data))
    except ConversionError as error:
        raise FunctionError(f"{verb.text}: {error}") from None
    raise FunctionError(f"there is no verb {verb.text}")


def _as_is(verb: Verb, value: HclValue) -> str:
    if "#" not in verb.flags and not value.is_null:
        if isinstance(value.data, str):
            return value.data
        if isinstance(value.data, BigFloat):
            return decimals.general(value.data)
    return jsonvalues.encoded(value, value.type)


def _string(verb: Verb, text: str) -> str:
    if verb.precision:
        text = "".join(list(graphemes.clusters(text))[: verb.precision])
    return jsonvalues.text(text) if verb.mode == "q" else text


def _padded(verb: Verb, text: str) -> str:
    missing = verb.width - graphemes.count(text)
    if missing <= 0:
        return text
    padding = ("0" if "0" in verb.flags else " ") * missing
    return text + padding if "-" in verb.flags else padding + text


def _integer(verb: Verb, number: BigFloat) -> str:
    if not number.is_whole:
        raise FunctionError(f"{verb.text} needs a whole number")
    magnitude = abs(number.truncated())
    digits = str(decimals.plain(abs(number))) if verb.mode == "d" else format(magnitude, _INTEGERS[verb.mode])
    if verb.precision is not None:
        digits = digits.rjust(verb.precision, "0") if magnitude or verb.precision else ""
    prefix = ""
    if "#" in verb.flags:
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}.get(verb.mode, "")
    return _signed(verb, number.sign < 0, prefix, digits, zeros=verb.precision is None)


def _signed(verb: Verb, negative: bool, prefix: str, digits: str, *, zeros: bool) -> str:
    """The digits with a sign, in the width of the verb."""
    sign = "-" if negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""
    missing = verb.width - len(sign) - len(prefix) - len(digits)
    if missing > 0 and "-" in verb.flags:
        return sign + prefix + digits + " " * missing
    if missing > 0 and "0" in verb.flags and zeros:
        return sign + prefix + "0" * missing + digits
    return " " * max(0, missing) + sign + prefix + digits


def _number(verb: Verb, number: BigFloat) -> str:
    if number.infinite:
        sign = "" if " " in verb.flags else "+"
        return _signed(msgspec.structs.replace(verb, flags=verb.flags + sign), number.negative, "", "Inf", zeros=False)
    digits, point = decimals.exact(number.mantissa, number.exponent)
    mode = verb.mode.lower()
    if mode == "f":
        text = _fixed(digits, point, 6 if verb.precision is None else verb.precision)
    elif mode == "e":
        text = _scientific(digits, point, 6 if verb.precision is None else verb.precision)
    else:
        text = decimals.general(abs(number), verb.precision)
    text = text.upper() if verb.mode in "EG" else text
    # Unlike for integers, zeros come before the alignment to the left.
    flags = verb.flags.replace("-", "") if "0" in verb.flags else verb.flags
    return _signed(msgspec.structs.replace(verb, flags=flags), number.negative, "", text, zeros=True)


def _fixed(digits: str, point: int, precision: int) -> str:
    digits, point = decimals.round_to(digits, point, point + precision)
    whole = (digits[:point] if point > 0 else "").ljust(max(0, point), "0") or "0"
    fraction = ("0" * -point + digits)[:precision] if point <= 0 else digits[point : point + precision]
    return f"{whole}.{fraction.ljust(precision, '0')}" if precision else whole


def _scientific(digits: str, point: int, precision: int) -> str:
    digits, point = decimals.round_to(digits, point, precision + 1)
    exponent = point - 1 if digits else 0
    digits = digits.ljust(precision + 1, "0")
    fraction = f".{digits[1 : precision + 1]}" if precision else ""
    return f"{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
